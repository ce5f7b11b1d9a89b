"""Pickles and files of tensors, put together opcode by opcode, harmful ones too."""

import io
import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np

from afgan_jax.interop import tensors

STORAGES = {np.dtype(code): name for name, code in tensors.DTYPES.items()}


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: object
    args: tuple


class Build(NamedTuple):
    """An object on which a state is set."""

    made: object
    state: object


class Persistent(NamedTuple):
    pid: tuple


OS_SYSTEM = Global("os", "system")


def pickled(value) -> bytes:
    """A whole pickle of the value."""
    return b"\x80\x03" + _opcodes(value) + b"."


def _opcodes(value) -> bytes:
    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, args):
            return _opcodes(function) + _opcodes(args) + b"R"
        case Build(made, state):
            return _opcodes(made) + _opcodes(state) + b"b"
        case Persistent(pid):
            return _opcodes(pid) + b"Q"
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case dict():
            pairs = (_opcodes(k) + _opcodes(v) + b"s" for k, v in value.items())
            return b"}" + b"".join(pairs)
    return pickle.dumps(value, protocol=2)[2:-1]  # plain values


def tensor(array, key: str, *, size=None, stride=None) -> Call:
    """What a state dict says of an array whose storage has this key."""
    array = np.ascontiguousarray(array)
    name = STORAGES[array.dtype].removeprefix("torch.")
    storage = ("storage", Global("torch", name), key, "cpu", array.size, None)
    size = array.shape if size is None else size
    if stride is None:
        stride = tuple(step // array.itemsize for step in array.strides)
    ordered = Call(Global("collections", "OrderedDict"), ())
    args = (Persistent(storage), 0, tuple(size), stride, False, ordered)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), args)


def network(arrays: dict, kwargs: dict) -> Call:
    """A whole network of arrays by dotted name; kwargs: what it was made with."""
    tree: dict = {}
    for name, array in arrays.items():
        *path, leaf = name.split(".")
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[leaf] = array

    def made(tree: dict) -> Call:
        inner = {name: made(t) for name, t in tree.items() if isinstance(t, dict)}
        return module({n: a for n, a in tree.items() if n not in inner}, **inner)

    whole = made(tree)
    whole.args[0]["state"]["_init_kwargs"] = kwargs
    return whole


def module(arrays, **children) -> Call:
    """A network as a snapshot has it; its arrays are parameters."""
    ordered = Call(Global("collections", "OrderedDict"), ())
    parameters = {
        name: Call(
            Global("torch._utils", "_rebuild_parameter"),
            (_own_storage(np.array(array, order="C")), True, ordered),
        )
        for name, array in arrays.items()
    }
    state = {"_parameters": parameters, "_buffers": {"none": None}}
    state["_modules"] = children
    rebuild = Global("torch_utils.persistence", "_reconstruct_persistent_obj")
    return Call(rebuild, ({"class_name": "Net", "state": state},))


def _own_storage(array) -> Call:
    """A tensor whose storage is a file inside the pickle."""
    name = STORAGES[array.dtype].removeprefix("torch.")
    pid = ("storage", Global("torch", name), "0", "cpu", array.size, None)
    blob = legacy({"0": array}, Persistent(pid))
    storage = Call(Global("torch.storage", "_load_from_bytes"), (blob,))
    stride = tuple(step // array.itemsize for step in array.strides)
    ordered = Call(Global("collections", "OrderedDict"), ())
    args = (storage, 0, array.shape, stride, False, ordered)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), args)


def write_zip(path, arrays, content=None, compression=zipfile.ZIP_STORED) -> None:
    """A state dict as PyTorch writes it since 1.6; `content` replaces its pickle."""
    keys = [str(i) for i in range(len(arrays))]
    if content is None:
        content = dict(zip(arrays, map(tensor, arrays.values(), keys)))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        for key, array in zip(keys, arrays.values()):
            archive.writestr(f"archive/data/{key}", np.asarray(array).tobytes())


def write_legacy(path, arrays, content=None) -> None:
    """The same in the older container."""
    path.write_bytes(legacy(arrays, content))


def legacy(arrays, content=None) -> bytes:
    keys = [str(i) for i in range(len(arrays))]
    if content is None:
        content = dict(zip(arrays, map(tensor, arrays.values(), keys)))
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    file = io.BytesIO()
    for value in (tensors.MAGIC, 1001, system, content, keys):
        file.write(pickled(value))
    for array in map(np.asarray, arrays.values()):
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()
