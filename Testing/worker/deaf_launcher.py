"""Runs a command as a launcher does that gives it an input of its own, on which nobody speaks."""

from __future__ import annotations

import subprocess
import sys

if __name__ == "__main__":
    sys.exit(subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait())
