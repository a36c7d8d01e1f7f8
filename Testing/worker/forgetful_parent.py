"""A program that starts a worker, says so, and waits to be killed."""

from __future__ import annotations

import sys
import tempfile
import time

import numpy as np

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker import Worker


def main(folder: str, *command: str) -> None:
    tempfile.tempdir = folder
    worker = Worker(command=command)
    worker.submit(Volume(np.zeros((2, 2, 2), np.float32), Geometry((2, 2, 2))), "denoise")
    pid = worker.wait().provenance["pid"]
    worker.submit(Volume(np.zeros((2, 2, 2), np.float32), Geometry((2, 2, 2))), "denoise", "deaf")
    while not worker.poll():
        pass
    print(pid, flush=True)
    time.sleep(120)


if __name__ == "__main__":
    main(*sys.argv[1:])
