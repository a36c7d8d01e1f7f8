"""The part of MedEnhance that knows 3D Slicer: MRML nodes, Qt widgets, Slicer's Python packages."""
