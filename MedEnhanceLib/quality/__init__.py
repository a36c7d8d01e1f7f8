"""How good a result is.

``evidence`` and ``sharpness`` look at a run without knowing the truth; ``metrics`` compares an
image with a reference image, ``segmentation_metrics`` a segmentation with reference labels.
"""
