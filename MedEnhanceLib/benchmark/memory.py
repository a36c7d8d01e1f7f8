"""How much memory a run takes above what its imports take, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import MedEnhanceLib
from MedEnhanceLib import costs
from MedEnhanceLib.benchmark.phantoms import body, head
from MedEnhanceLib.enhancement import enhance
from MedEnhanceLib.result import Result
from MedEnhanceLib.tiles import Index
from MedEnhanceLib.volume import Volume

LIBRARY = Path(MedEnhanceLib.__file__).resolve().parent.parent


@dataclass(frozen=True)
class Case:
    """A run to be measured.

    Attributes:
        task, model: as `enhance` takes them.
        shape: of the volume, (k, j, i).
        modality: "MR" for a head, "CT" for a body.
        spacing: mm along (x, y, z).
        options: of the task, as JSON.
    """

    task: str
    model: str
    shape: Index
    modality: str = "MR"
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    options: dict[str, object] | None = None


@dataclass(frozen=True)
class Peak:
    """What a run took.

    Attributes:
        peak_mb: most memory held above that after the imports, the input included; None where
            the system does not tell (it does on Linux).
        core_seconds: of the run.
    """

    peak_mb: float | None
    core_seconds: float


def measured_alone(case: Case) -> Peak:
    """The cost of a run in a fresh process; raises `CalledProcessError` when it fails."""
    command = [sys.executable, "-m", "MedEnhanceLib.benchmark.memory", json.dumps(asdict(case))]
    # Python looks for modules where it is started first of all, so not in the user's folder.
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=LIBRARY)
    return Peak(**json.loads(answer.stdout.splitlines()[-1]))


def measured_here(case: Case) -> Peak:
    """The cost of a run in this process, which should not have run anything before."""
    from MedEnhanceLib.engine.imports import import_engine

    import_engine()
    result, cost = costs.measured(lambda: _run(case))
    return Peak(cost.peak_mb, float(result.provenance["core_seconds"]))


def _run(case: Case) -> Result:
    return enhance(volume_of(case), case.task, case.model, case.options)


def volume_of(case: Case) -> Volume:
    """The phantom that a case is run on."""
    make = body if case.modality == "CT" else head
    return make(case.shape, case.spacing)


def main() -> None:
    """Measure the case given as JSON on the command line, and print its `Peak` as JSON."""
    data = json.loads(sys.argv[1])
    i, j, k = data["shape"]
    x, y, z = data["spacing"]
    peak = measured_here(Case(**{**data, "shape": (i, j, k), "spacing": (x, y, z)}))
    print(json.dumps(asdict(peak)))


if __name__ == "__main__":
    main()
