"""Python packages that trained models need, and how they get into Slicer.

Nothing is installed unless the user agrees. PyTorch comes through the PyTorch extension, which
knows which build suits the computer; the rest through Slicer's installer, held back by a
constraints file so that NumPy, SimpleITK and PyTorch stay as they are.
"""

import importlib.metadata
import importlib.util
import logging
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from MedEnhanceLib.diagnosis import REQUIRED as LEAST
from MedEnhanceLib.diagnosis import package_state
from MedEnhanceLib.errors import DependencyError

TORCH_REQUIREMENT = ">=" + LEAST["torch"]
REQUIRED = {name: f"{name}>={LEAST[name]}" for name in ("torch", "monai", "safetensors")}
PROTECTED = ("numpy", "SimpleITK", "scipy", "torch", "torchvision")


def missingPackages():
    """Names of the packages that are not installed, or too old. Imports none of them."""
    return [name for name in REQUIRED if not isInstalled(name)]


def missingFor(model):
    """Names of the packages that a model needs and that are not installed, or too old."""
    if not model.is_trained:
        return []
    missing = missingPackages()
    if getattr(model, "program", "") == "ONNX" and not isInstalled("onnxruntime"):
        missing.append("onnxruntime")
    return missing


def isInstalled(name):
    """Whether a package could be imported and is new enough, found out without importing it."""
    if importlib.util.find_spec(name) is None:
        return False
    state = package_state(name, LEAST.get(name, "0"))
    # Without a version nothing speaks against it.
    return state["ok"] or state["found"] is None


def checkFor(model):
    """Raise DependencyError when the model cannot run here; classical filters always can.

    :param model: MedEnhanceLib Model.
    """
    missing = missingFor(model)
    if missing:
        raise DependencyError(
            _(
                "The model '{title}' needs the Python packages {packages}, which are missing or "
                "too old; press Apply in the MedEnhance module to install them, or choose a "
                "classical filter."
            ).format(title=model.title, packages=", ".join(missing))
        )


def ensureFor(model, tell=None):
    """Install what the model lacks, after asking.

    :param tell: called with a sentence before the installation, which may take minutes.
    :return: a sentence when Slicer should be restarted, else "".
    :raises DependencyError: when something is still missing afterwards.
    """
    missing = missingFor(model)
    if not missing:
        return ""
    if not slicer.util.confirmOkCancelDisplay(question(missing), _("MedEnhance")):
        raise DependencyError(
            _("{packages} not installed, as you chose; classical filters work without.").format(
                packages=", ".join(missing)
            )
        )
    if tell is not None:
        tell(_("Installing {packages}; that takes minutes.").format(packages=", ".join(missing)))
    before = protectedVersions()
    if "torch" in missing:
        installTorch()
    others = [REQUIRED.get(name, name) for name in missing if name != "torch"]
    if others:
        installPackages(others)
    importlib.invalidate_caches()
    stillMissing = [name for name in missing if not isInstalled(name)]
    if stillMissing:
        raise DependencyError(
            _(
                "{packages} could not be installed; see the error log (View > Error Log), check "
                "the network connection or proxy, and press Apply again."
            ).format(packages=", ".join(stillMissing))
        )
    return restartAdvice(before)


def question(missing):
    """What the user is asked before anything is installed."""
    text = _(
        "Trained models need Python packages that are missing or too old: {packages}.\n\n"
        "They are downloaded from the Python Package Index into this Slicer. Other packages keep "
        "their versions."
    ).format(packages=", ".join(missing))
    if "torch" in missing:
        text += " " + _("PyTorch is large (0.2 to 3 GB, depending on the graphics card).")
    return text + "\n\n" + _("Install them now?")


def installTorch():
    """Through the PyTorch extension; the user has agreed already."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise DependencyError(
            _(
                "PyTorch is installed by Slicer's PyTorch extension, which is missing; install it "
                "in the Extensions Manager (search for PyTorch), restart Slicer and try again."
            )
        ) from error
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=TORCH_REQUIREMENT
        )
    except Exception as error:
        logging.exception("MedEnhance: installing PyTorch failed")
        raise DependencyError(
            _(
                "PyTorch could not be installed ({reason}); restart Slicer, open the module "
                "PyTorch Utils and install it there."
            ).format(reason=error)
        ) from error
    if torch is None:
        raise DependencyError(_("PyTorch was not installed; classical filters work without it."))


def installPackages(requirements):
    """With Slicer's installer, leaving the protected packages as they are."""
    with tempfile.TemporaryDirectory(prefix="MedEnhance-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(constraintsText(protectedVersions()), encoding="utf-8")
        try:
            pipInstall(requirements, str(constraints))
        except Exception as error:
            logging.exception("MedEnhance: installing packages failed")
            raise DependencyError(
                _("{packages} could not be installed: {reason}").format(
                    packages=", ".join(requirements), reason=error
                )
            ) from error


def pipInstall(requirements, constraints):
    """With `slicer.packaging`; Slicer before 5.11 has only `slicer.util.pip_install`."""
    try:
        from slicer.packaging import pip_ensure
    except ImportError:
        slicer.util.pip_install([*requirements, "--constraint", constraints])
        return
    pip_ensure(
        requirements,
        constraints=constraints,
        requester="MedEnhance",
        prompt_install=False,
        prompt_restart=False,
    )


def protectedVersions():
    """Installed version of each protected package; those that are absent are left out."""
    versions = {}
    for name in PROTECTED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def constraintsText(versions):
    """Pip constraints that keep the versions; builds ("+cu126") are left to the installed one."""
    return "".join(f"{name}=={version.split('+')[0]}\n" for name, version in versions.items())


def restartAdvice(before):
    """A sentence when a package that Slicer has loaded changed underneath it."""
    after = protectedVersions()
    changed = [name for name, version in before.items() if after.get(name) != version]
    if not changed:
        return ""
    return _("{packages} changed during the installation; restart Slicer before you go on.").format(
        packages=", ".join(changed)
    )


def summary():
    """One line for the panel: what is installed."""
    missing = missingPackages()
    if missing:
        return _("Missing or too old: {packages}. Apply asks before installing.").format(
            packages=", ".join(missing)
        )
    versions = protectedVersions()
    return _("Installed: PyTorch {torch}, MONAI {monai}.").format(
        torch=versions.get("torch", "?"), monai=importlib.metadata.version("monai")
    )
