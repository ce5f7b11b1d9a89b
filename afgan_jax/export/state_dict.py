"""The state dict of the published PyTorch program, as safetensors.

Tensors have its names, layouts and constants, so that they load with strict=True. The
only key of the metadata, METADATA, is JSON: {"class", "arguments"} make the module.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from afgan_jax import errors, places
from afgan_jax.export import pytorch_reader, redraw, staging
from afgan_jax.interop import names, published
from afgan_jax.model import of_weights
from afgan_jax.networks.conv_layer import BILINEAR
from afgan_jax.runs import config
from afgan_jax.sources import find as sources
from afgan_jax.sources import source

METADATA = "published"
CLASSES = {
    "alias_free": "training.networks_stylegan3.Generator",
    "stylegan2": "training.networks_stylegan2.Generator",
}
SUFFIX = ".safetensors"
RELATIVE = 1e-5  # L2 norm between images of the two programs; usual is 1e-6
FREE = ("dtype", "remat")  # how, not what, is computed


def write(
    text: str | os.PathLike, out: Path, *, checkout: str | os.PathLike | None = None
) -> str:
    """Writes the averaged generator; returns what was checked.

    checkout: a folder of the published program, which then draws with the file.
    Raises ValueError for a network that it does not have, or other images.
    """
    if out.suffix != SUFFIX:
        raise errors.SettingError("out", str(out), f"must end in {SUFFIX}")
    folder = None if checkout is None else places.local(checkout).absolute()
    if folder is not None:
        published.check(folder)
    found = sources.find(text)
    settings = found.settings["generator"]
    described = {
        "class": CLASSES[settings["synthesis"]["kind"]],
        "arguments": arguments(settings),
    }
    read = found.load("G_ema")
    variables = jax.tree.map(np.asarray, read.tree["G_ema"])
    network = found.network("G_ema")
    tensors = names.tensors(variables) | constants(network.synthesis)
    tensors = {name: np.array(a, order="C") for name, a in tensors.items()}
    metadata = {METADATA: json.dumps(described, sort_keys=True)}
    with staging.staged(out) as place:
        place.write_bytes(safetensors.numpy.save(tensors, metadata))
        again = names.variables(safetensors.numpy.load_file(place))
        pairs = zip(jax.tree.leaves(variables), jax.tree.leaves(again), strict=True)
        same = all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)
        if not same or jax.tree.structure(variables) != jax.tree.structure(again):
            raise ValueError(f"{out.name} does not read back: see to the disk")
        checked = f"read back: {len(tensors)} tensors, largest difference 0"
        if folder is not None:
            checked += "; " + redraw.check(
                of_weights(found, read),
                place,
                None,
                "the published program",
                script=pytorch_reader.__file__,
                more=[str(folder)],
                relative=RELATIVE,
            )
    return checked


def describe(file: Path) -> dict[str, Any] | None:
    """What METADATA of a state dict says; None of another file."""
    try:
        with safetensors.safe_open(file, "numpy") as opened:
            text = (opened.metadata() or {}).get(METADATA)
    except safetensors.SafetensorError:  # the reader of model files says what is wrong
        return None
    return None if text is None else json.loads(text)


def arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the published generator.

    Raises SettingError for a setting that it does not have.
    """
    mapping, synthesis = settings["mapping"], settings["synthesis"]
    resolution = synthesis["resolution"]
    if not isinstance(resolution, int) or resolution & (resolution - 1):
        why = "is no power of two, as the published program's must be"
        raise errors.SettingError("generator.synthesis.resolution", resolution, why)
    found = names.arguments(mapping, names.MAPPING)
    found |= names.arguments(synthesis, names.SYNTHESIS)
    there = {"generator": names.generator_settings(found, synthesis["kind"])}
    there = source.complete(there, ("G_ema",), "the published program")
    for line in config.difference(there, {"generator": settings}):
        name, _, change = line.partition(": ")
        if name.rpartition(".")[2] not in FREE:
            theirs = change.partition(" -> ")[0]
            why = f"is not in the published program, which has {theirs}"
            raise errors.SettingError(
                name, config.flat({"generator": settings})[name], why
            )
    return found


def constants(synthesis) -> dict[str, np.ndarray]:
    """What the published program stores besides variables, computed from settings."""
    if not synthesis.can_move:
        kernel = np.float32(np.outer(BILINEAR, BILINEAR))
        blocks = [row["name"] for row in synthesis.rows()]
        places = {name.split("/")[0] for name in blocks}
        places |= {n.replace("/", ".") for n in blocks if not n.endswith("torgb")}
        return {f"synthesis.{name}.resample_filter": kernel for name in places}
    found = {"synthesis.input.transform": np.eye(3, dtype=np.float32)}
    for spec in synthesis.layers:
        filters = {"up_filter": spec.up_filter, "down_filter": spec.down_filter}
        for name, taps in filters.items():
            if taps is not None:
                found[f"synthesis.{spec.name}.{name}"] = np.float32(taps)
    return found
