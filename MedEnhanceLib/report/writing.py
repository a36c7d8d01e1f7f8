"""The kinds of file a report can be."""

from __future__ import annotations

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.report.content import Report

ENDINGS = (".html", ".pdf")


def report_bytes(report: Report, ending: str) -> bytes:
    """The report as a file of this ending.

    Raises:
        FileError: when there is no such kind of report.
    """
    if ending.lower() == ".html":
        from MedEnhanceLib.report.html import html_text

        return html_text(report).encode()
    if ending.lower() == ".pdf":
        from MedEnhanceLib.report.pdf import pdf_bytes

        return pdf_bytes(report)
    raise FileError(f"A report cannot be a '{ending}' file; name it *.html or *.pdf.")
