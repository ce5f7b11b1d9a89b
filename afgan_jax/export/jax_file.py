"""A model as StableHLO for CPU, CUDA and TPU, which jax alone can run.

Beside the file lies FILE.json: inputs and outputs by name, versions, what is known of
the model. `reader` needs nothing of this program to run it.
"""

import datetime
import functools
import importlib.util
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from afgan_jax import errors, jax_settings
from afgan_jax.export import inputs, model_file, redraw, staging
from afgan_jax.interop import model_file as model_files
from afgan_jax.model import Model, of_weights
from afgan_jax.runs import atomic
from afgan_jax.signal.backends import dispatch
from afgan_jax.sources import find as sources

PLATFORMS = ("cpu", "cuda", "tpu")
WEIGHTS = ("inside", "beside")
WINDOW = "the same jax or a newer one, for about 6 months after `date`"


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
    function, shapes = _function(model, batch)
    if weights == "inside":
        arguments = shapes.values()
        function = functools.partial(function, model.variables)
    else:
        tensors = model_files.flat(model.variables, "G_ema")
        arguments = (jax.eval_shape(lambda: tensors), *shapes.values())
        function = _of_tensors(function, model.variables)
    if filters is not None:
        function = dispatch.wishes(filtered=filters)(function)
    exported, data = _serialized(function, arguments, batch, derivative)
    described = {
        "inputs": {name: _shape(x) for name, x in shapes.items()},
        "output": {inputs.OUTPUT: _shape(exported.out_avals[0])},
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
        return redraw.check(model, place, batch, "jax alone")


@jax_settings.fixed()
def _serialized(function, arguments, batch: int | None, derivative: bool):
    """(the exported function, its bytes)."""
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    try:
        return exported, exported.serialize(vjp_order=int(derivative))
    except NotImplementedError as error:
        if batch is not None:
            raise
        why = "is not possible for any batch with this network: give a batch"
        raise errors.SettingError("derivative", derivative, why) from error


def _check_installed() -> None:
    if importlib.util.find_spec("flatbuffers") is None:
        raise ValueError("flatbuffers is missing, which this needs: pip install it")


def _function(model: Model, batch: int | None) -> tuple:
    """(f(variables, *inputs), {name of an input: its shape}).

    It maps over one image at a time, so that the batch may stay a symbol.
    """
    (size,) = export.symbolic_shape("batch") if batch is None else (batch,)
    shapes = inputs.shapes(model.network, size)

    @jax.default_matmul_precision("highest")
    def one(variables, *given):
        values = dict(zip(shapes, given, strict=True))
        rows = {n: value if n == "psi" else value[None] for n, value in values.items()}
        return inputs.draw(model.network, variables, rows)[0]

    def images(variables, *given):
        axes = (None, *(None if name == "psi" else 0 for name in shapes))
        return jax.vmap(one, axes)(variables, *given)

    described = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in shapes.items()}
    return images, described


def _of_tensors(function, tree: dict):
    """The function of tensors by name, in place of such a tree."""

    def filled(tensors, *given):
        return function(model_files.filled(tree, "G_ema", tensors), *given)

    return filled


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}{model_files.SUFFIX}")


def _shape(leaf) -> list:
    return [size if isinstance(size, int) else str(size) for size in leaf.shape]
