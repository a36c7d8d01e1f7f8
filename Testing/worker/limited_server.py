"""The real server in a process that may not hold more than so many megabytes of data."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import torch

from MedEnhanceLib.worker.server import serve


def limit(megabytes: int) -> None:
    """Limit private memory to what there is now and so many megabytes."""
    # The threads and the code of the convolutions come into being with the first one.
    torch.nn.Conv3d(2, 2, 3)(torch.zeros(1, 2, 8, 8, 8))
    with torch.device("meta"):
        torch.nn.Conv3d(2, 2, 3)
    status = Path("/proc/self/status").read_text()
    held = int(status.split("VmData:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (held + (megabytes << 20),) * 2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    limit(int(os.environ["MEGABYTES"]))
    serve()
