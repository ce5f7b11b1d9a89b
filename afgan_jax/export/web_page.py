"""A folder with a page that draws and moves images in the browser that opens it.

index.html works from a disk and from any place that serves files: nothing is computed
elsewhere. It is the model as ONNX with onnxruntime-web, both also as scripts, since
pages on a disk may read nothing else.
"""

import base64
import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from afgan_jax.export import (
    browser_runtime,
    inputs,
    model_file,
    onnx_file,
    staging,
)
from afgan_jax.interop import model_file as files_of_models
from afgan_jax.sources import find as sources

PAGE = Path(__file__).with_name("page")
MODEL = "model.js"


def write(
    text: str | os.PathLike,
    out: Path,
    *,
    environment: str | os.PathLike = onnx_file.ENVIRONMENT,
    runtime: str | os.PathLike | None = None,
) -> str:
    """Writes the folder; returns what was checked.

    environment: as for onnx_file. runtime: a folder with the files that
    browser_runtime names; None: npm downloads them once. Raises ValueError if `out`
    holds other files, something is missing, or other images are drawn.
    """
    staging.check_new(out)
    onnx_file.interpreter(Path(environment))
    files = browser_runtime.files(runtime)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(staging.staged(out / "index.html"))
        folder, model = place.parent, place.parent / "model.onnx"
        # A run may have another newest step by the time it is read again.
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        source = Path(scratch) / f"model{files_of_models.SUFFIX}"
        model_file.write(text, source)
        checked = onnx_file.write(source, model, environment=environment)
        network = sources.find(source).network("G_ema")
        about = {"inputs": inputs.shapes(network, onnx_file.ANY)}
        about |= files_of_models.read_header(source).facts
        content = {"about": about, "onnx": _text(model.read_bytes())}
        _write_script(folder / MODEL, "MODEL", content)
        module, binary = (
            _text(files[name])
            for name in (browser_runtime.MODULE, browser_runtime.BINARY)
        )
        content = {"module": module, "binary": binary}
        _write_script(folder / "runtime.js", "RUNTIME", content)
        script = files[browser_runtime.SCRIPT]
        (folder / browser_runtime.SCRIPT).write_bytes(script)
        for file in PAGE.iterdir():
            shutil.copy(file, folder / file.name)
    return checked


def describe(script: Path) -> dict:
    """What the page's MODEL says of the model."""
    _, _, text = script.read_text().partition(" = ")
    return json.loads(text.rstrip(";\n"))["about"]


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _write_script(file: Path, name: str, value: dict) -> None:
    file.write_text(f"globalThis.{name} = {json.dumps(value)};\n")
