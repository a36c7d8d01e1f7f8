import typer

evaluate = typer.Typer(name="evaluate")


@evaluate.command()
def x() -> None:
    """x"""
