"""Write a model as a file that others open; it is then compared with its source.

python -m afgan_jax export runs/earth --to=model --out=earth.safetensors
python -m afgan_jax export runs/earth --to=jax --out=earth.jax

SOURCE is a run, RUN@STEP, a model file, or a published snapshot (.pkl). --to:

model    the averaged generator with its settings, layers, classes and origin as
         safetensors: every verb takes it in place of a run, and so does afgan_jax.load.
         --discriminator adds D, so that --init-from can go on with both.
jax      a function of z, label, psi and transform for CPU, CUDA and TPU that jax alone
         runs, for any batch or --batch=N; what it takes is in FILE.json beside it.
         Opens with the same jax or a newer one, for about 6 months.
onnx     the same function as ONNX, for onnxruntime; jax2onnx makes it in an environment
         of its own, --environment, which an error says how to make.
web      a folder whose index.html draws and moves images in a browser, from a disk or
         wherever files are served: ONNX and onnxruntime-web, which npm downloads.
pytorch  the published program's names and layouts as safetensors, for load_state_dict;
         --checkout, a folder of that program, lets it draw with them and compares.
hub      a folder as Hugging Face expects a model: a model file with its card, settings
         and samples; --push=OWNER/NAME uploads it. Comes back as hf://OWNER/NAME.
"""

import sys
from pathlib import Path

from afgan_jax.cli import flags

FLAGS = {  # --to: flags that are for it alone
    "model": {"discriminator", "licence"},
    "jax": {"batch", "weights", "derivative", "filters"},
    "onnx": {"batch", "filters", "environment"},
    "web": {"environment", "runtime"},
    "pytorch": {"checkout"},
    "hub": {"licence", "push"},
}
Source = flags.positional("SOURCE")
To = flags.choice("to", "what is written", *FLAGS)
Discriminator = flags.switch("model: with D")
Licence = flags.text("licence", "model, hub: what may be done; default: as known")
Batch = flags.count("batch", "jax, onnx: a fixed number of images; default: any")
Weights = flags.choice("weights", "jax: where they lie", "inside", "beside")
Derivative = flags.switch("jax: with the derivative of the function")
Filters = flags.choice(
    "filters", "jax, onnx: a form for all platforms", "banded", "depthwise", "polyphase"
)
Environment = flags.text(
    "environment", "onnx, web: where jax2onnx is; default: .venv-onnx", "FOLDER"
)
Runtime = flags.text(
    "runtime", "web: a folder with onnxruntime-web; default: by npm", "FOLDER"
)
Checkout = flags.text("checkout", "pytorch: the published program", "FOLDER")
Push = flags.text("push", "hub: the repository to upload to", "OWNER/NAME")
Out = flags.flag("out", Path, flags.placeable, "PATH", "file or folder to write")


def main(
    source: Source,
    /,
    *,
    to: To,
    out: Out,
    discriminator: Discriminator = False,
    licence: Licence = None,
    batch: Batch = None,
    weights: Weights = None,
    derivative: Derivative = False,
    filters: Filters = None,
    environment: Environment = None,
    runtime: Runtime = None,
    checkout: Checkout = None,
    push: Push = None,
) -> None:
    given = {"discriminator": discriminator, "licence": licence, "batch": batch}
    given |= {"weights": weights, "derivative": derivative, "filters": filters}
    given |= {"environment": environment, "runtime": runtime, "push": push}
    given |= {"checkout": checkout}
    stated = {name: value for name, value in given.items() if value}
    for name in stated:
        if name not in FLAGS[to]:
            takers = [f"--to={t}" for t, names in FLAGS.items() if name in names]
            raise ValueError(f"--{name} is for {' and '.join(takers)}: leave it out")
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax import export

    checked = export.write(source, out, to, **stated)
    files = [out] if out.is_file() else out.iterdir()
    size = sum(file.stat().st_size for file in files) / 1e6
    print(f"wrote {out}, {size:z.2f} MB; {checked}", file=sys.stderr)
