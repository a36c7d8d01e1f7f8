"""From a bundle on disk to a network that computes, safely."""

from __future__ import annotations

import importlib
import sys
from collections import OrderedDict
from functools import partial
from typing import Any

import torch

from MedEnhanceLib.bundle import INFERENCE, Bundle, read_json
from MedEnhanceLib.engine.programs import open_program
from MedEnhanceLib.engine.sizes import TooLargeError, check_network_size, check_stored
from MedEnhanceLib.errors import BundleError, DependencyError
from MedEnhanceLib.texts import printable

MOST_CACHED = 4

_cache: OrderedDict[tuple[str, str, str, str], torch.nn.Module] = OrderedDict()


def load_network(bundle: Bundle, device: torch.device) -> torch.nn.Module:
    """The bundle's network with its weights, ready for inference; the last few are kept.

    Raises:
        TrustError: when it would run code that the user has not allowed.
        BundleError: when the weights are damaged, or do not fit the network.
        DependencyError: when a package that the network needs is missing.
    """
    bundle.require_trust()
    key = (str(bundle.folder), _definition(bundle), bundle.verify_weights(), str(device))
    if key not in _cache:
        _cache[key] = open_program(bundle, device) if bundle.program else _load(bundle, device)
        while len(_cache) > MOST_CACHED:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def _definition(bundle: Bundle) -> str:
    """What the network is built from; MONAI's parser follows it all over the configuration."""
    return repr(bundle.network if _is_plain(bundle) else read_json(bundle.folder, INFERENCE))


def _load(bundle: Bundle, device: torch.device) -> torch.nn.Module:
    network = _build(bundle)
    _fill(network, bundle)
    memory_format = torch.channels_last_3d if _is_3d(network) else torch.channels_last
    network.eval().to(device).to(memory_format=memory_format)  # type: ignore[call-overload]
    return network


def _is_3d(network: torch.nn.Module) -> bool:
    return any(isinstance(m, torch.nn.Conv3d | torch.nn.ConvTranspose3d) for m in network.modules())


def _build(bundle: Bundle) -> torch.nn.Module:
    definition = bundle.network or {}
    try:
        if not (bundle.shipped or bundle.foreign):
            check_network_size(partial(_instantiate, definition), bundle.weights)
        network = _instantiate(definition) if _is_plain(bundle) else _with_monai(bundle)
    except ImportError as error:
        raise DependencyError(
            f"The model '{bundle.id}' needs the package '{error.name}', which is not installed; "
            f"install it (pip install {error.name})."
        ) from error
    except TooLargeError as error:
        raise BundleError(
            f"The network of '{bundle.id}' is larger than its weights ({error}); the bundle is "
            "refused."
        ) from error
    except Exception as error:  # a network of strangers may fail in any way
        raise BundleError(
            f"The network of '{bundle.id}' cannot be built from its network_def "
            f"({_first_line(error)}); the bundle may need another version of MONAI."
        ) from error
    if not isinstance(network, torch.nn.Module):
        raise BundleError(f"The network_def of '{bundle.id}' does not describe a network.")
    return network


def _is_plain(bundle: Bundle) -> bool:
    """Whether MONAI's parser, which takes seconds to import, is not needed for the network.

    The expressions of shipped bundles are for those who run them with MONAI.
    """
    return bundle.shipped or not bundle.foreign


def _instantiate(definition: dict[str, Any]) -> Any:
    """Build ``_target_`` with its literal arguments; only for shipped or allow-listed targets."""
    module, _, name = definition["_target_"].rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise TypeError(f"{definition['_target_']} is no network")
    arguments = {k: v for k, v in definition.items() if not k.startswith("_")}
    return kind(**arguments)


def _with_monai(bundle: Bundle) -> Any:
    """Build with MONAI's own parser, which runs the bundle's expressions; only when trusted."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(bundle.folder / INFERENCE))
    parser["bundle_root"] = str(bundle.folder)
    name = "network_def" if "network_def" in parser else "network"
    # Compiled code beside the bundle's own would be a change of the files that are trusted.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return parser.get_parsed_content(name)
    finally:
        sys.dont_write_bytecode = before


def _fill(network: torch.nn.Module, bundle: Bundle) -> None:
    try:
        state = _read_state(bundle)
        network.load_state_dict(state)
    except Exception as error:  # torch raises all sorts of errors for damaged files
        raise BundleError(
            f"The weights of '{bundle.id}' cannot be used ({_first_line(error)}); install the "
            "model again."
        ) from error
    if not all(bool(torch.isfinite(p).all()) for p in network.state_dict().values()):
        raise BundleError(
            f"The weights of '{bundle.id}' hold NaN or infinite values; install the model again."
        )


def _read_state(bundle: Bundle) -> dict[str, torch.Tensor]:
    """Weights by name. Nothing in the file is executed."""
    if bundle.weights.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(bundle.weights))
    check_stored(bundle.weights)
    state = torch.load(bundle.weights, map_location="cpu", weights_only=True)
    for nested in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(nested), dict):
            state = state[nested]
    if not isinstance(state, dict):
        raise ValueError("the file holds no table of weights")
    return state


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0])[:200] if lines else type(error).__name__
