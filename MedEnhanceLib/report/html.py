"""A report as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from MedEnhanceLib.report.content import Report
from MedEnhanceLib.report.facts import value_text
from MedEnhanceLib.result import Measure

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.use { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: rgba(213, 94, 0, .12); }
.warning { border-left: 4px solid #e69f00; padding: .3rem .8rem; }
img { max-width: 100%; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem;
  border-bottom: 1px solid rgba(128, 128, 128, .35); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.meaning { opacity: .75; }
"""


def html_text(report: Report) -> str:
    """The whole page."""
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="use">{escape(report.use)}</p>',
        *[f'<p class="warning">{escape(warning)}</p>' for warning in report.warnings],
        _picture(report),
        "<h2>What changed</h2>",
        f"<p>{escape(report.note)}</p>" if report.note else "",
        _measures(report.measures, report.has_before),
        "<h2>How it was made</h2>",
        _facts(report.facts),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>MedEnhance: {escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _picture(report: Report) -> str:
    if report.picture is None:
        return "<p>The input is no longer there, so there is no picture.</p>"
    data = base64.b64encode(report.picture).decode("ascii")
    return f'<img alt="Slices before and after" src="data:image/png;base64,{data}">'


def _measures(measures: Iterable[Measure], has_before: bool) -> str:
    titles = ["Before", "After"] if has_before else ["Value"]
    head = "".join(f'<th class="number">{title}</th>' for title in titles)
    rows = "".join(_measure_row(measure, has_before) for measure in measures)
    return f"<table>\n<tr><th>Measure</th>{head}<th>How to read it</th></tr>\n{rows}</table>"


def _measure_row(measure: Measure, has_before: bool) -> str:
    values = [measure.before, measure.after] if has_before else [measure.after]
    cells = "".join(
        f'<td class="number">{escape(value_text(value, measure.unit))}</td>' for value in values
    )
    name, meaning = escape(measure.name), escape(measure.meaning)
    return f'<tr><td>{name}</td>{cells}<td class="meaning">{meaning}</td></tr>\n'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>\n" for n, v in facts)
    return f"<table>\n{rows}</table>"
