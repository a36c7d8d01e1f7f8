"""Trust in bundles that run code of their own: in an id, or in the very files that bear it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import BundleError, MedEnhanceError

PINNED = re.compile(r"(.+)@[0-9a-f]{64}", re.DOTALL)


def pinned(bundle: Bundle) -> str:
    """The bundle's id with a hash of all its files; trust in this ends when one of them changes.

    Raises:
        BundleError: when a file cannot be read or is damaged, or a folder is a link, behind which
            files would change unseen.
    """
    digest = hashlib.sha256(bundle.verify_weights().encode())
    for path in sorted(bundle.folder.rglob("*")):
        if path.is_symlink() and path.is_dir():
            raise BundleError(
                f"The bundle '{bundle.id}' holds a link to a folder ('{path.name}'), so it cannot "
                "be trusted; put the folder itself in its place."
            )
        if path.is_file() and path != bundle.weights:
            digest.update(os.fsencode(path.relative_to(bundle.folder)) + b"\0")
            digest.update(hashlib.sha256(_bytes(bundle, path)).digest())
    return f"{bundle.id}@{digest.hexdigest()}"


def meant_by(name: str, bundles: Mapping[str, Bundle]) -> list[Bundle]:
    """Those of the bundles, listed by id, that are trusted by whoever trusts ``name``.

    It is what `pinned` gave, or an id, or the name of a folder where no bundle has such an id.
    """
    if pin := PINNED.fullmatch(name):
        bundle = bundles.get(pin[1])
        return [bundle] if bundle is not None and _is_as_pinned(bundle, name) else []
    if name in bundles:
        return [bundles[name]]
    return [bundle for bundle in bundles.values() if bundle.folder.name == name]


def _is_as_pinned(bundle: Bundle, name: str) -> bool:
    try:
        return pinned(bundle) == name
    except MedEnhanceError:
        return False


def _bytes(bundle: Bundle, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"The bundle '{bundle.id}' has a file that cannot be read ('{path.name}', "
            f"{error.strerror}); allow it to be read, or remove it."
        ) from error
