"""Draws images from a file of `export --to=jax` or `--to=onnx`.

python reader.py earth.jax images.npy [SEED,SEED,...]

Needs numpy, and jax with flatbuffers for the one, onnxruntime for the other. Copy it
wherever the file goes. `load` returns (function, description).
"""

import json
import pathlib
import struct
import sys

import numpy as np


def load(file):
    """(function of the file's inputs by position, what the file says of itself).

    Inputs: z [N z_dim], then label [N c_dim] if the model has labels, psi [], and
    transform [N 3 3] if it can be moved: the inverse of the image's motion, in units
    of its shorter side.
    The output is images [N H W C] in about [-1, 1]. Weights that lie beside the file
    are read and passed.
    """
    file = pathlib.Path(file)
    return load_onnx(file) if file.suffix == ".onnx" else load_jax(file)


def load_jax(file):
    """The file with the JSON beside it."""
    from jax import export

    described = describe_jax(file)
    call = export.deserialize(bytearray(file.read_bytes())).call
    if described["weights"] is None:
        return call, described
    weights = tensors(file.with_name(described["weights"]))
    return lambda *inputs: call(weights, *inputs), described


def load_onnx(file):
    """The file with the JSON in its metadata."""
    session, described = opened(file)
    names = list(described["inputs"])

    def call(*inputs):
        return session.run(["images"], dict(zip(names, inputs, strict=True)))[0]

    return call, described


def describe_jax(file):
    return json.loads(file.with_name(file.name + ".json").read_text())


def describe_onnx(file):
    return opened(file)[1]


def opened(file):
    """(onnxruntime's session, what the file says of itself)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    return session, json.loads(metadata["afgan_jax"])


def tensors(file) -> dict[str, np.ndarray]:
    """The float32 and int32 tensors of a safetensors file by name."""
    data = pathlib.Path(file).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            dtype = {"F32": "<f4", "I32": "<i4"}[entry["dtype"]]
            flat = np.frombuffer(data[start:end], dtype)
            found[name] = flat.reshape(entry["shape"])
    return found


def inputs(described, seeds, psi=1.0):
    """Inputs of the function for these seeds: class 0, nothing moved."""
    shapes = described["inputs"]
    z_dim = shapes["z"][1]
    z = [np.random.RandomState(seed).randn(1, z_dim) for seed in seeds]
    values = {"z": np.concatenate(z), "psi": psi}
    if "label" in shapes:
        values["label"] = np.eye(shapes["label"][1])[[0] * len(seeds)]
    if "transform" in shapes:
        values["transform"] = np.tile(np.eye(3), (len(seeds), 1, 1))
    return [np.asarray(values[name], np.float32) for name in shapes]


if __name__ == "__main__":
    source, out, *seeds = sys.argv[1:]
    function, about = load(source)
    numbers = [int(seed) for seed in seeds[0].split(",")] if seeds else [0]
    np.save(out, np.asarray(function(*inputs(about, numbers))))
