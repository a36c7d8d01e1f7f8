"""``python -m MedEnhanceLib.worker``: the inference process; started by the client only."""

from __future__ import annotations

from MedEnhanceLib.worker.server import serve

if __name__ == "__main__":
    serve()
