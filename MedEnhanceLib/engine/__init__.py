"""Everything that needs torch or monai. Import from here only lazily, inside functions."""
