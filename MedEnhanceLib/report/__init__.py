"""Reports of a run for people: what was changed, how it was made, a picture; HTML or PDF.

A report holds nothing that tells whose image it is: only what is listed in `facts`, the measures,
and one picture of the slice that tells most.
"""

from MedEnhanceLib.report.content import Report, report_of
from MedEnhanceLib.report.writing import ENDINGS, report_bytes

__all__ = ["ENDINGS", "Report", "report_bytes", "report_of"]
