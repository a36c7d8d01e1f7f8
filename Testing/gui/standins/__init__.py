"""Stand-ins for what only the Slicer application has, so that the module runs in plain Python.

`install()` puts `qt`, `ctk`, `slicer.app`, `slicer.i18n`, `slicer.ScriptedLoadableModule`,
`slicer.parameterNodeWrapper` and the qMRML widgets in place, over PySide6 and `slicer-core`. They
are stricter than PythonQt: unknown attributes and signals raise, getters of properties are not
callable, and values of a wrong type are refused.

    pythonqt.py      attribute access as in PythonQt, on real Qt objects
    widgets.py       qMRML and ctk widgets
    ui_loader.py     .ui files, checked while they are loaded
    application.py   slicer.app, slicer.modules
    module_base.py   ScriptedLoadableModule and its companions
    parameter_node.py  parameterNodeWrapper
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
from typing import Any


def install() -> None:
    """Make the stand-ins importable; inside Slicer, and at a second call, nothing is changed."""
    import slicer

    if hasattr(slicer, "app"):
        return
    _keep_singletons_alive()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6 import QtWidgets

    from . import application, module_base, parameter_node, pythonqt, ui_loader, widgets

    QtWidgets.QApplication.instance() or QtWidgets.QApplication(["MedEnhanceTest"])
    sys.modules["qt"] = pythonqt.QtModule("qt", {"QUiLoader": ui_loader.QUiLoader})
    sys.modules["ctk"] = pythonqt.QtModule(
        "ctk", pythonqt.wrapper_classes(widgets.CTK), plain=False
    )
    for name, cls in pythonqt.wrapper_classes(widgets.QMRML).items():
        setattr(slicer, name, cls)
    application.install(slicer)
    _submodule("slicer.i18n", {"tr": lambda text: text, "translate": lambda _context, text: text})
    _submodule("slicer.ScriptedLoadableModule", module_base.EXPORTS, names=module_base.EXPORTS)
    _submodule("slicer.parameterNodeWrapper", parameter_node.EXPORTS, names=parameter_node.EXPORTS)


def _keep_singletons_alive() -> None:
    """PySide6 gives away references to None, True and False that it does not own.

    From Python 3.12 on they are immortal; before, the interpreter aborts when the count is zero.
    """
    if sys.version_info < (3, 12):
        for singleton in (None, True, False):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 30


def _submodule(name: str, contents: dict[str, Any], names: Any = ()) -> None:
    import slicer

    module = types.ModuleType(name)
    vars(module).update(contents)
    if names:
        module.__all__ = list(names)  # type: ignore[attr-defined]
    sys.modules[name] = module
    setattr(slicer, name.split(".")[1], module)
