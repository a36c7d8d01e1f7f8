"""A name for what is kept on disk, that changes with all that it was made of."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fingerprint(*parts: bytes | NDArray[Any]) -> str:
    """24 hex digits; of arrays only the values count, not shape and type."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:24]
