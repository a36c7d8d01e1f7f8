"""Programs of others to compare with, each called as its authors recommend.

They come with the optional packages of ``pip install medenhance[bench]`` and are imported when
they first run. Denoisers are told the true noise level, but for that of ANTs, which finds it
itself. Mind the licences: bm4d is for non-commercial use only. Nothing else in MedEnhance needs
any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.evaluation.methods import Method
from MedEnhanceLib.evaluation.peers import ants, bm4d, dipy
from MedEnhanceLib.evaluation.peers.packages import DISTRIBUTIONS, is_installed, package
from MedEnhanceLib.options import Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

PREFIX = "peer-"
ATROPOS = "peer-atropos"


@dataclass(frozen=True)
class Peer:
    """A program of others.

    Attributes:
        task: what it is for.
        package: which must be installed.
        run: takes the volume and the task's options.
        prepare: imports what it needs, so that no measured run pays for it.
    """

    task: Task
    package: str
    run: Callable[[Volume, Options], Result]
    prepare: Callable[[], object]


PEERS = {
    "peer-dipy-nlmeans": Peer(Task.DENOISE, "dipy", dipy.denoise, partial(package, dipy.PACKAGE)),
    "peer-ants-denoise": Peer(Task.DENOISE, "ants", ants.denoise, partial(package, "ants")),
    "peer-bm4d": Peer(Task.DENOISE, "bm4d", bm4d.denoise, bm4d.prepare),
    ATROPOS: Peer(Task.SEGMENT, "ants", ants.segment, partial(package, "ants")),
}
"""By the ids that users type."""


def peers_of(task: Task, ids: Sequence[str]) -> list[Method]:
    """The peers of these ids, ready to run.

    Raises:
        OptionsError: when one is unknown or for another task.
        DependencyError: when its package is not installed.
    """
    found = []
    for name in ids:
        if name not in PEERS:
            raise OptionsError(f"There is no '{name}'; the peers are {', '.join(PEERS)}.")
        peer = PEERS[name]
        if peer.task is not task:
            raise OptionsError(f"The peer '{name}' is for {peer.task}, not for {task}.")
        peer.prepare()
        found.append(Method(name, peer.run))
    return found


def peer_ids(task: Task, installed: bool = True) -> list[str]:
    """The task's peers whose packages are installed, or those whose packages are not."""
    return [
        name
        for name, peer in PEERS.items()
        if peer.task is task and is_installed(peer.package) is installed
    ]


def distributions(ids: Iterable[str]) -> list[str]:
    """What the packages of the peers among these ids are called on PyPI."""
    packages = dict.fromkeys(PEERS[name].package for name in ids if name in PEERS)
    return [DISTRIBUTIONS.get(name, name) for name in packages]


def told_the_brain(method: Method, mask: NDArray[np.bool_]) -> Method:
    """The method, told where the brain is (k, j, i) when it is one that has to be."""
    if method.id != ATROPOS:
        return method
    return replace(method, run=partial(ants.segment, mask=mask))
