"""Adapt a denoiser to the scans of one's own scanner, without clean images.

``python -m training.adapt --model mr-denoise-residual --scans FILE... --out FOLDER`` learns from
single noisy scans (Neighbor2Neighbor), with ``--repeats FIRST SECOND`` from scans of the same
thing made twice (Noise2Noise). A slab of every scan is held out; the adapted model is written as
a bundle only when it does better there. The bundle knows no file names and no patient.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from MedEnhanceLib.assessment import suitability
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog, user_folder
from MedEnhanceLib.cli.failing import endings_unwind
from MedEnhanceLib.errors import BundleError, FileError, OptionsError
from MedEnhanceLib.importing.copying import safe_name
from MedEnhanceLib.intensity import scaling_named
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.private import make_folder, remove_folder, sweep
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume
from training.adapted_bundle import publish_adapted
from training.failing import at_least_one, failing_in_a_sentence
from training.noise_correlation import ALIKE, SHORTEST_AXIS, noise_correlation
from training.parallel import Processes
from training.repeats import check_repeats
from training.self_supervised import Scan, SelfSupervised, long_axes, self_supervised_loss
from training.train import Training, learning_rate, set_learning_rate

# Of the folder of a run, and of one that is kept, which nobody sweeps up.
RUNNING, KEPT = "medenhance-adapting-", "medenhance-adapted-"
WHITE_NOISE = (
    "The models were trained on noise like this; adapting to it may well make them worse, which "
    "the self-supervised loss does not tell: compare both on a scan before you rely on the new one."
)
SCHEDULE = {
    "learning_rate": 3e-4,
    "weight_decay": 0.0,
    "warm_up": 20,
    "clip": 1.0,
    "ema": 0.98,
    "ema_from": 20,
    "validate_every": 50,
    "patience": 4,
    "seed": 1,
}


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    with failing_in_a_sentence(), endings_unwind():
        model = adaptable_model(args.model)
        pairs = [[path] for path in args.scans] + args.repeats
        print(adapt(model, pairs, args.out or user_folder(), args.id, args.steps))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="id of the denoiser to start from")
    parser.add_argument("--scans", type=Path, nargs="+", default=[], help="files or DICOM folders")
    parser.add_argument(
        "--repeats",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("FIRST", "SECOND"),
        help="the same scan made twice, without moving; may be given more than once",
    )
    parser.add_argument("--out", type=Path, help="folder of models; by default the user's own")
    parser.add_argument("--id", help="of the new model; by default the old one's with -adapted")
    parser.add_argument("--steps", type=at_least_one, default=300, help="at most so many")
    parser.add_argument("--threads", type=at_least_one, default=1, help="CPU threads")
    return parser.parse_args()


def adapt(
    model: Bundle, files: Sequence[Sequence[Path]], models: Path, name: str | None, steps: int
) -> Path:
    """Adapt ``model`` to the scans, each one file or two of the same thing; its new folder.

    Raises:
        OptionsError: when the scans do not fit together, or adapting brought nothing.
        MedEnhanceError: when a file or the model cannot be read, or the new one not be written.
    """
    name = name or f"{model.id}-adapted"
    check_request(files, models, name)
    scans = [read_scan(paths, model) for paths in files]
    axes = (0, 1, 2) if len(files[0]) == 2 else axes_of_pairs(scans, model.input.multiple)
    config = SCHEDULE | {"id": name, "steps": steps, "validate_every": min(50, steps)}
    config |= {"network_def": model.network, "init": str(model.weights)}
    config["method"] = "Noise2Noise" if len(files[0]) == 2 else "Neighbor2Neighbor"
    given = "--repeats FIRST SECOND" if len(files[0]) == 2 else "--scans FILE..."
    config["command"] = f"python -m training.adapt --model {model.id} {given} --steps {steps}"
    with run_folder() as run:
        recipe = SelfSupervised(scans, axes, model.input.multiple)
        training = Adaptation(config, recipe, run, Processes(torch.device("cpu")))
        before = recipe.validate(training.network.eval())["score"]
        training.network.train()
        training.run()
        if training.best <= before:
            raise OptionsError(
                f"Adapting brought nothing: the self-supervised loss on the held-out slabs stayed "
                f"at {-before:.3f}; keep using '{model.id}'."
            )
        return publish_adapted(config, model, run, models, (-before, -training.best))


@contextmanager
def run_folder() -> Iterator[Path]:
    """A folder for the run; it goes afterwards, unless its outcome could not be published."""
    sweep(RUNNING)
    run = make_folder(RUNNING)
    try:
        yield run
    except (BundleError, FileError) as error:
        if not (run / "best.pt").exists():
            raise
        kept = run.rename(run.with_name(run.name.replace(RUNNING, KEPT)))
        told = f"{str(error).rstrip('.')}; what was learned is kept in '{kept}'."
        raise FileError(told) from error
    finally:
        remove_folder(run)


def adaptable_model(model_id: str) -> Bundle:
    """The model with this id; raises `OptionsError` when it cannot be adapted."""
    model = Catalog.default().find(model_id)
    is_network = isinstance(model, Bundle) and model.input.channels == ("image", "noise")
    if not is_network or model.task is not Task.DENOISE or model.modality == "CT":
        raise OptionsError(
            f"'{model_id}' cannot be adapted; choose a denoiser for MR that is a trained network "
            "and takes an image and its noise level."
        )
    assert isinstance(model, Bundle)
    if model.program:
        raise OptionsError(
            f"'{model_id}' is a finished program ({model.program}), which cannot be trained; "
            "choose a model whose layers are known, such as mr-denoise-residual."
        )
    model.require_trust()
    model.verify_weights()
    return model


def check_request(files: Sequence[Sequence[Path]], models: Path, name: str) -> None:
    """Raise `OptionsError` when there is nothing to learn from, or no such model can be made."""
    if not files:
        raise OptionsError("There is nothing to learn from; name --scans or --repeats.")
    if len({len(paths) for paths in files}) > 1:
        raise OptionsError("Give either --scans or --repeats, not both.")
    if safe_name(name) != name:
        raise OptionsError(f"'{name}' cannot be an id; '{safe_name(name)}', for example, can.")
    if (models / name).exists() or name in {model.id for model in Catalog.default().entries}:
        raise OptionsError(f"There is a model '{name}' already; choose another --id.")


def read_scan(paths: Sequence[Path], model: Bundle) -> Scan:
    """A scan, or two repeats of it, each over its own peak, with the noise's level."""
    volumes, names = [read_volume(path) for path in paths], [path.name for path in paths]
    if not volumes[0].geometry.is_close(volumes[-1].geometry):
        raise OptionsError(
            f"'{names[0]}' and '{names[1]}' do not lie on the same grid; repeats must "
            "be made with the same settings and without moving."
        )
    for volume, name in zip(volumes, names, strict=True):
        verdict = suitability(volume, model)
        if verdict.verdict == "refused":
            raise OptionsError(f"'{name}' teaches '{model.id}' nothing: {verdict.reasons[0]}")
    scalings = [scaling_named(model.input.normalisation, volume.voxels) for volume in volumes]
    levels = [
        checked_noise(volume, name) / scaling.scale
        for volume, name, scaling in zip(volumes, names, scalings, strict=True)
    ]
    voxels = [s.normalise(volume.voxels) for s, volume in zip(scalings, volumes, strict=True)]
    scan = Scan(np.stack(voxels), float(np.sqrt(np.mean(np.square(levels)))))
    if len(volumes) == 2:
        check_repeats(scan, volumes, names)
    return scan


def checked_noise(volume: Volume, name: str) -> float:
    """The noise of a scan in its own unit; raises `OptionsError` when there is none."""
    sigma = estimate_noise(volume.voxels)
    if sigma == 0:
        raise OptionsError(f"No noise was found in '{name}', so it teaches nothing.")
    return sigma


def axes_of_pairs(scans: Sequence[Scan], multiple: int) -> tuple[int, ...]:
    """Axes along which neighbours are two measurements in every scan; warns when some are not.

    Raises:
        OptionsError: when all of them are too short to be halved for a network of ``multiple``.
    """
    least = max(2 * multiple, SHORTEST_AXIS)
    long = long_axes(scans, least)
    if not long:
        raise OptionsError(
            f"No axis is long enough to learn from, as parts of the scans have less than {least} "
            "voxels; take larger scans, or --repeats."
        )
    if len(long) < 3:
        print(
            f"Warning: only neighbours along {_letters(long)} are used, as parts of the scans have "
            f"less than {least} voxels along the rest.",
            flush=True,
        )
    return independent_axes(scans, long)


def independent_axes(scans: Sequence[Scan], axes: Sequence[int]) -> tuple[int, ...]:
    """Those of ``axes`` along which noise is not alike; all, with a warning, if there is none."""
    found = np.max([noise_correlation(scan.voxels[0]) for scan in scans], axis=0)
    said = ", ".join(f"{found[axis]:.2f} along {'kji'[axis]}" for axis in axes)
    apart = tuple(axis for axis in axes if found[axis] <= ALIKE)
    if len(apart) == len(axes):
        print(
            f"Correlation of neighbours' noise: {said}. {WHITE_NOISE}",
            flush=True,
        )
    elif apart:
        print(
            f"Warning: the noise of neighbours is alike (correlation {said}), as after "
            f"interpolation; only neighbours along {_letters(apart)} are used.",
            flush=True,
        )
    else:
        print(
            f"Warning: the noise of neighbours is alike along every axis (correlation {said}), as "
            "after interpolation; little of it can be learned from single scans. Take scans as "
            "they were acquired, or --repeats.",
            flush=True,
        )
    return apart or tuple(axes)


def _letters(axes: Sequence[int]) -> str:
    return ", ".join("kji"[axis] for axis in axes)


class Adaptation(Training):
    """A run whose loss needs no clean image."""

    recipe: SelfSupervised

    def _learn(self) -> dict[str, float]:
        set_learning_rate(self.optimiser, learning_rate(self.step, self.config))
        lesson = self.recipe.lesson(self.processes.rng(self.config["seed"], self.step))
        loss = self_supervised_loss(self.network, lesson)
        self.precision.step(loss, self.optimiser, self.network, self.config["clip"])
        self._finish_step()
        return {"loss": float(loss.detach())}


if __name__ == "__main__":
    main()
