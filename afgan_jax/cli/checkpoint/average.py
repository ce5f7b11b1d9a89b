"""Average the generators of several checkpoints of a training into a model file.

python -m afgan_jax checkpoint average runs/earth@48 runs/earth@52 --out=a.safetensors

Each SOURCE is RUN@STEP, a run or a model file; metrics of the result say whether that
helped: metrics --run=a.safetensors.
"""

import sys

from afgan_jax.cli import flags

Sources = flags.positional("SOURCE", tuple[str, ...])
Licence = flags.text("licence", "what may be done with it; default: as known")
Out = flags.file("out", "the model file to write")


def main(sources: Sources, /, *, out: Out, licence: Licence = None) -> None:
    from afgan_jax.export import model_file
    from afgan_jax.sources import average

    checked = model_file.write_source(average.of(sources), out, licence=licence)
    print(f"wrote {out}, of {len(sources)} sources; {checked}", file=sys.stderr)
