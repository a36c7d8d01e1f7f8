"""``benchmark``: what is told of the rows, and sizes that make no sense."""

from __future__ import annotations

import json

import pytest

from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.benchmark.suite import Part, Plan
from Testing.cli.conftest import Run

ROWS = [Row("whole run / network", "small", 1.25, "x", 1.3), Row("memory", "small", 9.0, "MB", 8)]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would have been measured."""
    asked: list[Plan] = []

    def parts(plan: Plan) -> list[Part]:
        asked.append(plan)
        return [Part("something", lambda: iter(ROWS))]

    monkeypatch.setattr("MedEnhanceLib.cli.benchmark.parts", parts)
    return asked


def test_table_and_json_tell_the_goals_and_whether_they_were_met(
    run: Run, plans: list[Plan]
) -> None:
    table = run("benchmark")
    assert "at most 1.3" in table.stdout and "yes" in table.stdout and "NO" in table.stdout
    assert "minutes" in table.stderr and "something" in table.stderr
    assert "whole run / network, small: 1.25" in table.stderr
    rows = json.loads(run("benchmark", "--json").stdout)["rows"]
    assert [row["met"] for row in rows] == [True, False]
    assert rows[0]["value"] == 1.25


def test_models_and_size_are_those_asked_for(run: Run, plans: list[Plan]) -> None:
    run("benchmark", "--model", "mr-denoise-residual", "--size", "96x64x48", "--rounds", "2")
    plan = plans[0]
    assert [bundle.id for bundle in plan.models] == ["mr-denoise-residual"]
    assert plan.shape == (48, 64, 96) and plan.rounds == 2 and not plan.slow
    for words in (["--model", "mr-denoise-residual"], ["--size", "64x64x64"], ["--rounds", 2]):
        assert "1 measurements.\n" in run("benchmark", *words).stderr
    run("benchmark")
    assert "mr-denoise-attention" in plans[-1].slow


def test_a_size_that_is_none_is_refused(run: Run) -> None:
    refused = run("benchmark", "--size", "large")
    assert refused.exit_code == 1 and "'large'" in refused.stderr


def test_a_filter_is_not_measured(run: Run, plans: list[Plan]) -> None:
    refused = run("benchmark", "--model", "filter-median")
    assert refused.exit_code == 1 and "'filter-median' is no trained network" in refused.stderr
    assert not plans
