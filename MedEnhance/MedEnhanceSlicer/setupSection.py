"""The part of the panel for device, memory, models of one's own, and whether all is in place."""

import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import qt
from slicer.i18n import tr as _

import MedEnhanceLib
from MedEnhanceLib.errors import MedEnhanceError
from MedEnhanceLib.worker.process import NO_WINDOW, own_environment

from . import dependencies, modelFolders, wording
from .importForm import ImportForm

POLL_MS = 200
LIBRARY = Path(MedEnhanceLib.__file__).resolve().parent.parent


class SetupSection:
    """Settings that hold for all runs, and the state of the installation.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param logic: MedEnhanceLogic.
    :param modelsChanged: called when there are other models than before.
    """

    def __init__(self, ui, logic, modelsChanged):
        self.ui = ui
        self.logic = logic
        self._modelsChanged = modelsChanged
        self._process = None
        self._answer = self._complaint = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MS)
        self._timer.connect("timeout()", self.onPoll)
        ui.setupCollapsibleButton.connect("contentsCollapsed(bool)", self.onCollapsed)
        ui.addFolderButton.connect("clicked(bool)", self.onAddFolder)
        ui.removeFolderButton.connect("clicked(bool)", self.onRemoveFolder)
        ui.foldersListWidget.connect("currentRowChanged(int)", self.onFolderMarked)
        ui.importModelButton.connect("clicked(bool)", self.onImport)
        ui.checkSetupButton.connect("clicked(bool)", self.onCheck)
        self._import = ImportForm(ui, self._add)
        self._say("", None)
        self._sayImport("", None)
        self._showFolders()

    def close(self):
        """Stop what is being looked into."""
        self._timer.stop()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._answer.close()
            self._complaint.close()
            self._process = None

    def onCollapsed(self, collapsed=False):
        if not collapsed:
            self.showPackages()
            self._showFolders()

    def showPackages(self):
        """Tell which packages are installed now."""
        self.ui.packagesLabel.text = dependencies.summary()

    def onAddFolder(self, checked=None):
        """Ask for a folder and look for models in it from now on."""
        self.addFolder(
            qt.QFileDialog.getExistingDirectory(None, _("Folder with MONAI bundles"), "")
        )

    def addFolder(self, folder):
        """Look for models in a folder from now on; "" is no folder."""
        if not folder:
            return
        modelFolders.add(folder)
        self._reread("")
        if modelFolders.hasModels(folder, self.logic.catalog):
            self._sayImport(_("Models in {folder} are listed now.").format(folder=folder), "good")
        else:
            told = _("No model was found in {folder}; the log tells of those that cannot be used.")
            self._sayImport(told.format(folder=folder), "warning")

    def onRemoveFolder(self, checked=None):
        item = self.ui.foldersListWidget.currentItem()
        if item is not None:
            modelFolders.remove(item.text())
            self._reread(_("The folder is not looked into any longer."))

    def onFolderMarked(self, row=None):
        self.ui.removeFolderButton.enabled = self.ui.foldersListWidget.currentRow >= 0

    def onImport(self, checked=None):
        """Ask for a file and add it to the user's models."""
        kinds = _("Models (*.zip *.ts *.pt *.pth *.onnx);;Bundle (metadata.json)")
        chosen = qt.QFileDialog.getOpenFileName(None, _("Import a model"), "", kinds)
        # PySide6 gives the filter along, PythonQt the path alone.
        self.importModel(chosen if isinstance(chosen, str) else chosen[0])

    def importModel(self, path):
        """Add a bundle, or ask below the button how a lone network is to be used; "" is none."""
        self._import.hide()
        self._sayImport("", None)
        if not path:
            return
        if not modelFolders.isBundle(Path(path)):
            self._import.ask(Path(path), self._currentTask())
            return
        self._add(lambda: modelFolders.importBundle(Path(path)))

    def _add(self, add):
        """Add a model by calling ``add``; what went wrong is said below the button."""
        try:
            bundle = add()
        except MedEnhanceError as error:
            self._sayImport(str(error), "refused")
            return
        self._import.hide()
        self._reread("")
        self._sayImport(_("'{title}' is listed now.").format(title=bundle.title), "good")

    def onCheck(self, checked=None):
        """Look into the installation in a process of its own, which may load torch."""
        if self._process is not None:
            return
        command = [shutil.which("PythonSlicer") or sys.executable, "-m", "MedEnhanceLib.diagnosis"]
        for folder in modelFolders.folders():
            command += ["--models", folder]
        for model in modelFolders.trusted():
            command += ["--trust", model]
        try:
            # A pipe would fill up, as it is read only when the check has ended.
            self._answer = tempfile.TemporaryFile()  # noqa: SIM115
            self._complaint = tempfile.TemporaryFile()  # noqa: SIM115
            self._process = subprocess.Popen(
                command,
                env=own_environment(),
                stdin=subprocess.DEVNULL,
                stdout=self._answer,
                stderr=self._complaint,
                # Python looks for modules where it is started first of all.
                cwd=LIBRARY,
                # On Windows a console would open over Slicer.
                creationflags=NO_WINDOW if os.name == "nt" else 0,
            )
        except OSError as error:
            self._say(_("The check could not start ({reason}).").format(reason=error), "refused")
            return
        self._say(_("Looking; this takes some seconds..."), None)
        self.ui.checkSetupButton.enabled = False
        self._timer.start()

    def onPoll(self):
        """Take the check's answer when it is there."""
        if self._process is None or self._process.poll() is None:
            return
        process, self._process = self._process, None
        self._timer.stop()
        self.ui.checkSetupButton.enabled = True
        said, complaint = taken(self._answer), taken(self._complaint)
        try:
            found = json.loads(said)
        except ValueError:
            self._say(
                _("The check ended with code {code} and said: {words}").format(
                    code=process.returncode, words=lastLine(complaint) or _("nothing.")
                ),
                "refused",
            )
            return
        self._say(diagnosisText(found), "good" if found["ok"] else "warning")

    def _currentTask(self):
        parameters = self.logic.getParameterNode()
        return parameters.task.task

    def _reread(self, sentence):
        self.logic.forgetModels()
        self._showFolders()
        self._sayImport(sentence, None)
        self._modelsChanged()

    def _showFolders(self):
        self.ui.foldersListWidget.clear()
        for folder in modelFolders.folders():
            self.ui.foldersListWidget.addItem(folder)
        self.onFolderMarked()

    def _say(self, text, verdict):
        show(self.ui.setupLabel, text, verdict)

    def _sayImport(self, text, verdict):
        show(self.ui.importLabel, text, verdict)


def show(label, text, verdict):
    """A sentence with the colour of its verdict; an empty one takes no room."""
    label.text = text
    label.visible = bool(text)
    label.styleSheet = wording.bannerStyle(verdict) if verdict else ""


def diagnosisText(found):
    """The library's diagnosis, in lines: what is wrong first, each with the way out."""
    wrong = [
        _("{name}: {found}, needed {needed} or newer; press Apply to install it.").format(
            name=p["name"], found=p["found"] or _("missing"), needed=p["needed"]
        )
        for p in found["packages"]
        if not p["ok"]
    ]
    wrong += [m["state"] for m in found["models"] if not m["ok"]]
    wrong += found["problems"]
    used = next((d for d in found["devices"] if d.get("used")), None)
    lines = [html.escape(line) for line in wrong]
    if used is not None:
        product = used.get("product") or ""
        device = used["name"].upper() + (f" ({product})" if product else "")
        lines.append(_("Runs are computed on: {device}.").format(device=html.escape(device)))
    lines += [
        _("{device} is not used: {reason}.").format(
            device=d["name"].upper(), reason=html.escape(d["reason"])
        )
        for d in found["devices"]
        if not d["usable"]
    ]
    good = [f"{p['name']} {p['found']}" for p in found["packages"] if p["ok"]]
    lines.append(_("Found: {packages}.").format(packages=html.escape(", ".join(good))))
    whole = sum(m["ok"] for m in found["models"])
    lines.append(
        _("{whole} of {all} models are whole.").format(whole=whole, all=len(found["models"]))
    )
    return "<br/>".join(lines)


def taken(file):
    """What is in a temporary file, which goes."""
    with file:
        file.seek(0)
        return file.read()


def lastLine(said):
    """The last line of a program's words, which of a traceback is what went wrong."""
    return (said.decode(errors="replace").strip().splitlines() or [""])[-1]
