"""The file named by ``--report``."""

from __future__ import annotations

from pathlib import Path

from MedEnhanceLib.cli.outputs import Content
from MedEnhanceLib.result import Result
from MedEnhanceLib.volume import Volume


def report_content(path: Path, volume: Volume, result: Result) -> Content:
    """As JSON for programs, as HTML or PDF for people."""
    from MedEnhanceLib.report import ENDINGS, report_bytes, report_of

    if path.suffix.lower() not in ENDINGS:
        return result.report()
    report = report_of(
        result.task,
        volume,
        result.output,
        result.evidence,
        result.provenance,
        result.warnings,
        result.uncertainty,
        result.note,
    )
    return report_bytes(report, path.suffix)
