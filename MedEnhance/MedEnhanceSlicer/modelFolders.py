"""Models of the user's own: where they are, and which may run code.

Both are remembered in the application's settings and never in a scene: a scene that was made
elsewhere must not be able to name folders, or to trust models, on this computer.
"""

import hashlib
import json
from dataclasses import replace

import slicer

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import MedEnhanceError

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
    """Ids of the models that the user lets run code of their own."""
    return [entry.split("@")[0] for entry in _list(TRUSTED)]


def trust(model):
    """Let a model run code of its own; other weights or code under its name are asked for anew."""
    _store(TRUSTED, [*(e for e in _list(TRUSTED) if e != _entry(model)), _entry(model)])


def readCatalog():
    """The models there are now."""
    catalog = Catalog.default(folders(), trusted())
    known = _list(TRUSTED)
    return replace(catalog, entries=tuple(_asTrusted(model, known) for model in catalog.entries))


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


def _asTrusted(model, known):
    """The model, trusted no longer unless it is the very one that the user has trusted."""
    if not getattr(model, "trusted", False):
        return model
    try:
        isKnown = _entry(model) in known
    except (MedEnhanceError, OSError):
        # Its files cannot be read, or are damaged.
        isKnown = False
    return model if isKnown else replace(model, trusted=False)


def _entry(model):
    """The model's id, with a hash of its weights and of whatever it could run."""
    digest = hashlib.sha256(model.verify_weights().encode())
    for path in sorted(model.folder.rglob("*")):
        if path.is_file() and path != model.weights and path.parent.name != "__pycache__":
            digest.update(path.relative_to(model.folder).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{model.id}@{digest.hexdigest()}"


def _list(key):
    try:
        values = json.loads(slicer.app.userSettings().value(key, "[]") or "[]")
    except ValueError:
        return []
    return [str(value) for value in values] if isinstance(values, list) else []


def _store(key, values):
    slicer.app.userSettings().setValue(key, json.dumps(values))
