"""Models of the user's own: where they are, and which may run code.

Both are remembered in the application's settings and never in a scene: a scene that was made
elsewhere must not be able to name folders, or to trust models, on this computer.
"""

import json
from pathlib import Path

import slicer

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.trust import pinned

FOLDERS, TRUSTED = "MedEnhance/ModelFolders", "MedEnhance/TrustedModels"


def folders():
    """Folders that are looked into, besides the user's own."""
    return _list(FOLDERS)


def add(folder):
    """Look into a folder, too."""
    if folder not in folders():
        _store(FOLDERS, [*folders(), folder])


def remove(folder):
    """Look no longer into a folder; nothing is deleted."""
    _store(FOLDERS, [known for known in folders() if known != folder])


def trusted():
    """Models that the user lets run code of their own: ids with a hash of the files."""
    return _list(TRUSTED)


def trust(model):
    """Let a model run code of its own; other weights or code under its name are asked for anew.

    :raises BundleError: when its files cannot be told from others.
    """
    name = pinned(model)
    if name not in trusted():
        _store(TRUSTED, [*trusted(), name])


def readCatalog():
    """The models there are now."""
    return Catalog.default(folders(), trusted())


def hasModels(folder, catalog):
    """Whether any model of a catalog lies in a folder."""
    places = [getattr(model, "folder", None) for model in catalog.entries]
    return any(place and Path(folder) in (place, place.parent) for place in places)


def isBundle(path):
    """Whether a file is a bundle, which tells all that is needed, rather than a lone network."""
    return path.suffix == ".zip" or path.name == "metadata.json"


def importBundle(path):
    """Add a bundle to the user's models; its facts.

    :param path: .zip, or the metadata.json of a bundle's folder.
    :raises MedEnhanceError: says why it cannot be used; nothing is kept then.
    """
    from MedEnhanceLib import importing

    return importing.import_bundle(path if path.suffix == ".zip" else path.parent.parent)


def _list(key):
    try:
        values = json.loads(slicer.app.userSettings().value(key, "[]") or "[]")
    except ValueError:
        return []
    return [str(value) for value in values] if isinstance(values, list) else []


def _store(key, values):
    slicer.app.userSettings().setValue(key, json.dumps(values))
