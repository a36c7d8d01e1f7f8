"""The process that holds the warm model, and its client.

    with Worker() as worker:
        worker.submit(volume, "denoise")
        result = worker.wait(on_event=print)

The process is started by the first job and stays for the next ones. It ends when it is closed, and
also when the program that started it ends, however that happens.
"""

from __future__ import annotations

from MedEnhanceLib.worker.client import Worker
from MedEnhanceLib.worker.protocol import Event, Job

__all__ = ["Event", "Job", "Worker"]
