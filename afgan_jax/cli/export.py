"""Write a model as a file that others open; it is then compared with its source.

python -m afgan_jax export runs/earth --to=model --out=earth.safetensors

--to=model writes the averaged generator with its settings, layers, classes and origin
as safetensors: every verb takes it in place of a run, and so does afgan_jax.load.
--discriminator adds D, so that --init-from can go on with both. SOURCE is a run,
RUN@STEP, a model file, or a published snapshot (.pkl), which this converts.
"""

import sys

from afgan_jax.cli import flags

Source = flags.positional("SOURCE")
To = flags.choice("to", "what is written", "model")
Discriminator = flags.switch("model: with D")
Licence = flags.text("licence", "model: what may be done with it; default: as known")
Out = flags.file("out", "the file to write")


def main(
    source: Source,
    /,
    *,
    to: To,
    out: Out,
    discriminator: Discriminator = False,
    licence: Licence = None,
) -> None:
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.export import model_file
    from afgan_jax.sources import find

    parts = ("G_ema", "D") if discriminator else ("G_ema",)
    found = find.find(source, parts)
    checked = model_file.write(found, out, parts=parts, licence=licence)
    size = out.stat().st_size / 1e6
    print(f"wrote {out}, {size:z.2f} MB; {checked}", file=sys.stderr)
