"""Names of private folders whose owner was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAKER = """
import sys
from MedEnhanceLib.private import make_folder
from pathlib import Path
print(make_folder(sys.argv[1], Path(sys.argv[2])).name)
"""


def left_behind(prefix: str, place: Path | None = None) -> str:
    """The name of a folder that a process made which has ended; the folder itself only if asked.

    Args:
        place: where the folder is left; by default it is removed again.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as elsewhere:
        command = [sys.executable, "-c", MAKER, prefix, str(place or elsewhere)]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
    return made.stdout.strip()
