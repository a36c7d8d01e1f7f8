"""Runs the tests of this folder inside Slicer, for CTest. Needs pytest in Slicer's Python."""

import unittest
from pathlib import Path


class MedEnhanceMRMLTest(unittest.TestCase):
    """One test: all of the folder's tests pass."""

    def test_folder(self):
        try:
            import pytest
        except ModuleNotFoundError:
            self.skipTest("pytest is not installed in this Slicer (slicer.util.pip_install)")
        folder = Path(__file__).resolve().parent
        self.assertEqual(pytest.main(["-p", "no:cacheprovider", str(folder)]), 0)
