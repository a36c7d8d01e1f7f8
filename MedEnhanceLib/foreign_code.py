"""Whether building a bundle's network would run code of the bundle's own.

Only MONAI's own parser follows references from one entry of a configuration to another, and it
would run what they lead to. Code of its own is also what reaches beyond this computer or into its
files: several of MONAI's networks download weights, from an address that they are told, as soon as
they are built.
"""

from __future__ import annotations

from typing import Any

from MedEnhanceLib.texts import quoted

# Targets of networks whose file of weights is a whole program, and what such a file is called.
TORCHSCRIPT, ONNX = "TorchScript", "ONNX"
PROGRAMS = {"torch.jit.load": TORCHSCRIPT, "onnxruntime.InferenceSession": ONNX}
OWN_NETWORKS = "MedEnhanceLib.engine.networks."
MONAI = "monai.networks.nets."
# Those whose constructors only make layers; a test looks at what they take.
MONAI_NETWORKS = (
    "AttentionUnet",
    "AutoEncoder",
    "BasicUNet",
    "BasicUNetPlusPlus",
    "DynUNet",
    "HighResNet",
    "MedNeXt",
    "SegResNet",
    "SegResNetDS",
    "SegResNetDS2",
    "SegResNetVAE",
    "SwinUNETR",
    "UNETR",
    "UNet",
    "Unet",
    "VNet",
)


def foreign_code(network: dict[str, Any], configuration: dict[str, Any]) -> str:
    """Why building from this configuration would run code that is not on the allow-list, or "".

    Args:
        network: the ``network_def``.
        configuration: in which it stands.
    """
    if PROGRAMS.get(network["_target_"]) == TORCHSCRIPT:
        return "runs the program in its TorchScript file"
    # An ONNX file can only name operators of onnxruntime, which cannot do more than compute.
    builders = [target for target in _targets(network) if PROGRAMS.get(target) != ONNX]
    for target in builders:
        if not _is_allowed(target):
            return f"builds its network from {quoted(target)}, which is not on the allow-list"
    if reference := _first_text(network, "@%"):
        return f"builds its network with {quoted(reference)}, which refers to other entries"
    if expression := _first_text(configuration, "$"):
        return f"holds the code expression {quoted(expression)} in its configuration"
    return ""


def _is_allowed(target: str) -> bool:
    if target.startswith(OWN_NETWORKS):
        return True
    return target.startswith(MONAI) and target.removeprefix(MONAI) in MONAI_NETWORKS


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [t for value in node.values() for t in _targets(value)]
    if isinstance(node, list):
        return [t for value in node for t in _targets(value)]
    return []


def _first_text(node: Any, marks: str) -> str:
    """The first text that begins with one of the characters by which MONAI knows its own."""
    if isinstance(node, str):
        return node if node.lstrip()[:1] in tuple(marks) else ""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((found for child in children if (found := _first_text(child, marks))), "")
