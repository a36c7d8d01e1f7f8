"""Import a MONAI bundle, from its folder or a zip archive of it."""

from __future__ import annotations

from pathlib import Path

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.importing.copying import copy_bundle
from MedEnhanceLib.importing.placing import place, staging


def import_bundle(
    source: str | Path, into: str | Path | None = None, replace: bool = False
) -> Bundle:
    """Copy a bundle into the folder of the user's models. Nothing in it is executed.

    Args:
        source: a bundle's folder, or a .zip of it, with or without a top folder.
        into: where to; by default the user's folder, `MedEnhanceLib.catalog.user_folder`.
        replace: whether a model of the same name there makes way.

    Returns:
        The bundle in its new place. It is not trusted: its ``foreign`` says whether, and why, it
        would need to be.

    Raises:
        BundleError: when it is no bundle that MedEnhance can use, is damaged, is not safe to
            unpack, or its name is taken; nothing is left behind then.
        FileError: when files cannot be read or written.
    """
    with staging(None if into is None else Path(into)) as stage:
        return place(copy_bundle(Path(source), stage), replace)
