"""A model as ONNX, for onnxruntime and what else reads it.

jax2onnx cannot be installed beside this program, see onnx.txt: it converts a model file
in an environment of its own, and onnxruntime draws there again. What is known of the
model is JSON in the file's metadata.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from afgan_jax import errors, places
from afgan_jax.export import model_file, redraw, staging
from afgan_jax.interop import model_file as model_files
from afgan_jax.model import load

SUFFIX = ".onnx"
ENVIRONMENT = ".venv-onnx"
REQUIRED = Path(__file__).with_name("onnx.txt")
FILTERS = ("depthwise", "banded")
ANY = "batch"  # the name of a batch that is not fixed


def write(
    text: str | os.PathLike,
    out: Path,
    *,
    batch: int | None = None,
    filters: str = FILTERS[0],
    environment: str | os.PathLike = ENVIRONMENT,
) -> str:
    """Writes images as a function of z, label, psi and transform.

    batch: a fixed one; None: any. filters: "banded" is faster where products of
    matrices are, "depthwise" on CPUs, in browsers too: 1.2 to 2.9 times of earth's
    models. environment: that in which onnx.txt is installed. Returns what was checked;
    raises ValueError if that is missing, or the file draws other images.
    """
    if out.suffix != SUFFIX:
        raise errors.SettingError("out", str(out), f"must end in {SUFFIX}")
    errors.check_known("filters", filters, FILTERS)
    python = interpreter(Path(environment))
    with staging.staged(out) as place, tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"model{model_files.SUFFIX}"
        model_file.write(text, model)
        _convert(python, model, place, batch, filters)
        drawn = redraw.check(load(model), place, batch, "onnxruntime", python=python)
    return f"checked by onnx, {drawn}"


def interpreter(environment: Path) -> str:
    """Python of an environment that has what onnx.txt names; SettingError if not."""
    python = places.local(environment) / "bin" / "python"
    # Where Python is, not what it links to: that is another environment.
    there = [os.path.abspath(python), "-c", "import jax2onnx, onnxruntime"]
    if not python.exists() or subprocess.run(there, capture_output=True).returncode:
        make = f"python3 -m venv {environment}"
        fill = f"{environment}/bin/pip install -r {REQUIRED}"
        why = f"has no jax2onnx: make it with {make} && {fill}"
        raise errors.SettingError("environment", str(environment), why)
    return there[0]


def _convert(
    python: str, model: Path, out: Path, batch: int | None, filters: str
) -> None:
    """Runs onnx_writer there; ValueError with its last line if that fails."""
    size = ANY if batch is None else str(batch)
    words = [str(model), str(out), size, filters]
    package = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as alone:  # without what is installed beside it
        (Path(alone) / package.name).symlink_to(package)
        done = subprocess.run(
            [python, "-P", "-m", "afgan_jax.export.onnx_writer", *words],
            env=os.environ | {"PYTHONPATH": alone, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise ValueError(f"jax2onnx cannot convert this model: {last}")
