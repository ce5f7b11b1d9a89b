"""Snapshots of the published program (its `persistence` pickles), read without it.

A module is a call of one function with a dict: the name of its class, the source of
that class (never read here) and its state, whose `_parameters` and `_buffers` hold
tensors or None, and `_modules` modules or None. Hooks and other attributes are ignored.
Every tensor's storage is a file in PyTorch's format inside the pickle.
"""

import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from afgan_jax.interop import pickled_arrays, tensors, unpickle


class Module(NamedTuple):
    """A network: how it was constructed, and its arrays by dotted name."""

    class_name: str
    kwargs: dict
    arrays: dict[str, np.ndarray]


def read(path: str | os.PathLike) -> Any:
    """The content of a snapshot: dicts, plain values and a Module for every network.

    Snapshots of training are {"G", "D", "G_ema", "augment_pipe",
    "training_set_kwargs"}; the published feature networks are a single Module.
    Raises ValueError if the file holds anything else; no code in it is run.
    """
    names = NAMES | {"dnnlib.util.EasyDict": type("EasyDict", (dict,), {})}
    with unpickle.opened(path, "a snapshot of networks") as file:
        return _plain(unpickle.load(file, names))


class _Saved:
    """A module as pickled: {"class_name", "state", ...}."""

    __slots__ = ("meta",)

    def __init__(self, meta):
        self.meta = meta


NAMES = {
    "torch_utils.persistence._reconstruct_persistent_obj": _Saved,
    "torch._utils._rebuild_parameter": tensors.rebuild_parameter,
    "torch._utils._rebuild_tensor_v2": tensors.rebuild_tensor,
    "torch.storage._load_from_bytes": lambda x: tensors.read_container(io.BytesIO(x)),
    "collections.OrderedDict": OrderedDict,
    **pickled_arrays.NAMES,
}


def _plain(value: Any) -> Any:
    """The value with Modules, NumPy arrays and dicts for what was pickled."""
    if isinstance(value, _Saved):
        state = value.meta["state"]
        return Module(
            class_name=str(value.meta["class_name"]),
            kwargs=_plain(state.get("_init_kwargs", {})),
            arrays=dict(_arrays(state, "")),
        )
    if isinstance(value, tensors.Tensor | pickled_arrays.Array):
        return value.array()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(inner) for inner in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"it holds a {type(value).__name__}")


def _arrays(state: Mapping, start: str):
    """Yields (dotted name, array) of all parameters and buffers in a module's state."""
    for name, tensor in [*state["_parameters"].items(), *state["_buffers"].items()]:
        if tensor is not None:
            yield start + name, tensor.array()
    for name, module in state["_modules"].items():
        if module is not None:
            yield from _arrays(module.meta["state"], f"{start}{name}.")
