"""The part of MedEnhance that knows 3D Slicer: MRML nodes, Qt widgets, Slicer's Python packages."""

import sys

# An older Slicer would fail in the middle of an import with an error that tells nobody why.
if sys.version_info < (3, 10):  # noqa: UP036
    raise ImportError(
        f"MedEnhance needs Slicer 5.10 or newer, but this one has Python {sys.version_info[0]}."
        f"{sys.version_info[1]}; install a newer Slicer."
    )
