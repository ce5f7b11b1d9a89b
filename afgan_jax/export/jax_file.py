"""A model as StableHLO for CPU, CUDA and TPU, which jax alone can run.

Beside the file lies FILE.json: inputs and outputs by name, versions, what is known of
the model. `jax_reader` needs nothing of this program to run it.
"""

import datetime
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from afgan_jax import errors, jax_settings
from afgan_jax.export import jax_reader, model_file, staging
from afgan_jax.interop import model_file as model_files
from afgan_jax.model import Model, of_weights
from afgan_jax.runs import atomic
from afgan_jax.signal.backends import dispatch
from afgan_jax.sources import find as sources

PLATFORMS = ("cpu", "cuda", "tpu")
WEIGHTS = ("inside", "beside")
WINDOW = "the same jax or a newer one, for about 6 months after `date`"
TOLERANCE = 1e-4  # of images in [-1, 1], between two programs of the same network


def write(
    text: str | os.PathLike,
    out: Path,
    *,
    batch: int | None = None,
    weights: str = "inside",
    derivative: bool = False,
    filters: str | None = None,
) -> str:
    """Writes the function of (z, label, psi, transform), as far as the model has them.

    batch: a fixed one; None: any. weights: "beside" makes a model file of them.
    derivative: of first order, is in the file. filters: an implementation for all
    platforms, such as "banded" for a small file; None: the usual one of each.
    Returns what was checked; raises ValueError if the file draws other images.
    """
    errors.check_known("weights", weights, WEIGHTS)
    _check_installed()
    found = sources.find(text)
    read = found.load("G_ema")
    model, facts = of_weights(found, read), model_file.describe(found, read.facts)
    function, inputs = _function(model, batch)
    if weights == "inside":
        arguments = inputs.values()
        function = functools.partial(function, model.variables)
    else:
        tensors = model_files.flat(model.variables, "G_ema")
        arguments = (jax.eval_shape(lambda: tensors), *inputs.values())
        function = _of_tensors(function, model.variables)
    if filters is not None:
        function = dispatch.wishes(filtered=filters)(function)
    with jax_settings.fixed():
        exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
        try:
            data = exported.serialize(vjp_order=int(derivative))
        except NotImplementedError as error:
            if batch is not None:
                raise
            why = "is not possible for any batch with this network: give a batch"
            raise errors.SettingError("derivative", derivative, why) from error
    described = {
        "inputs": {name: _shape(x) for name, x in inputs.items()},
        "output": {"images": _shape(exported.out_avals[0])},
        "weights": None if weights == "inside" else _beside(out).name,
        "derivative": derivative,
        "platforms": PLATFORMS,
        "jax": jax.__version__,
        "calling convention": exported.calling_convention_version,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "opens with": WINDOW,
        **facts,
    }
    with staging.staged(out) as place:
        if weights == "beside":
            settings = {"generator": model.settings}
            parts = {"G_ema": jax.tree.map(np.asarray, model.variables)}
            content = model_files.encode(settings, parts, facts)
            _beside(place).write_bytes(content)
        place.write_bytes(data)
        atomic.write_json(place.with_name(f"{place.name}.json"), described)
        return _check(model, place, batch)


def _check_installed() -> None:
    if importlib.util.find_spec("flatbuffers") is None:
        raise ValueError("flatbuffers is missing, which this needs: pip install it")


def _function(model: Model, batch: int | None) -> tuple:
    """(f(variables, *inputs), {name of an input: its shape}).

    It maps over one image at a time, so that the batch may stay a symbol.
    """
    (size,) = export.symbolic_shape("batch") if batch is None else (batch,)
    inputs = {"z": (size, model.z_dim), "label": (size, model.c_dim), "psi": ()}
    if not model.c_dim:
        del inputs["label"]
    if model.can_move:
        inputs["transform"] = (size, 3, 3)
    names = list(inputs)

    def one(variables, *given):
        values = dict(zip(names, given, strict=True))
        psi = {"psi": values.pop("psi")}
        row = {name: value[None] for name, value in values.items()}
        z, c = row.pop("z"), row.pop("label", None)
        return model.apply(variables, z, c, **psi, **row)[0]

    def images(variables, *given):
        axes = (None, *(None if name == "psi" else 0 for name in names))
        return jax.vmap(one, axes)(variables, *given)

    shapes = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in inputs.items()}
    return images, shapes


def _of_tensors(function, tree: dict):
    """The function of tensors by name, in place of such a tree."""

    def filled(tensors, *inputs):
        return function(model_files.filled(tree, "G_ema", tensors), *inputs)

    return filled


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}{model_files.SUFFIX}")


def _shape(leaf) -> list:
    return [size if isinstance(size, int) else str(size) for size in leaf.shape]


def _check(model: Model, out: Path, batch: int | None) -> str:
    """Draws by the file in a process of jax alone; compares with the model."""
    worst = 0.0
    for count in (1, 3) if batch is None else (batch,):
        seeds = list(range(count))
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / "images.npy"
            words = [str(out), str(drawn), ",".join(map(str, seeds))]
            done = subprocess.run(
                [sys.executable, "-P", jax_reader.__file__, *words],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
                raise ValueError(f"{out} cannot be opened again: {last}")
            found = np.load(drawn)
        label = 0 if model.c_dim else None
        expected = model.synthesize(model.ws(seeds, label=label))
        worst = max(worst, float(np.abs(found - expected).max()))
    if not worst < TOLERANCE:
        raise ValueError(f"{out} draws other images, by {worst:z.2g} of [-1, 1]")
    batches = "batches of 1 and 3" if batch is None else f"a batch of {batch}"
    return f"drawn again by jax alone, {batches}: largest difference {worst:z.1e}"
