"""Converts a model file to ONNX; `onnx_file` runs it where jax2onnx is.

python -m afgan_jax.export.onnx_writer MODEL OUT BATCH FILTERS
"""

import json
import sys
from importlib import metadata
from pathlib import Path

import jax
import jax2onnx
import onnx

from afgan_jax import jax_settings
from afgan_jax.export import inputs
from afgan_jax.interop import model_file as files
from afgan_jax.signal.backends import dispatch
from afgan_jax.sources import model_file

OPSET = 23


@jax_settings.fixed()
def main(source: str, out: str, batch: str, filters: str) -> None:
    """batch: a number, or a name for any. What the file says becomes metadata."""
    found = model_file.find(Path(source), ("G_ema",))
    variables = found.load("G_ema").tree["G_ema"]
    # Implementations by name: jax2onnx knows no choice by platform.
    with dispatch.wishes(filtered=filters, resample=filters, conv="xla"):
        G = found.network("G_ema", dtype="float32", remat="none")
        shapes = inputs.shapes(G, int(batch) if batch.isdecimal() else batch)

        @jax.default_matmul_precision("highest")
        def images(*given):
            return inputs.draw(G, variables, dict(zip(shapes, given, strict=True)))

        converted = jax2onnx.to_onnx(
            images,
            list(shapes.values()),
            opset=OPSET,
            model_name="generator",
            input_names=list(shapes),
            output_names=[inputs.OUTPUT],
        )
    onnx.checker.check_model(converted, full_check=True)
    versions = {name: metadata.version(name) for name in ("jax2onnx", "onnx")}
    described = {"inputs": shapes, "opset": OPSET} | versions
    described |= files.read_header(source).facts
    onnx.helper.set_model_props(converted, {files.METADATA: json.dumps(described)})
    onnx.save(converted, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
