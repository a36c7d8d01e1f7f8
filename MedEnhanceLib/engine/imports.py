"""All that runs import, at once, for who measures runs."""

from __future__ import annotations

import importlib
import time

from MedEnhanceLib.costs import keep_imports

ENGINE = ("torch", "monai.networks.nets", "MedEnhanceLib.engine.forward", "MedEnhanceLib.tasks")


def import_engine() -> float:
    """Import what the runs need, so that no run pays for it; the core-seconds it took."""
    started = time.process_time()
    for module in ENGINE:
        importlib.import_module(module)
    keep_imports()
    return time.process_time() - started
