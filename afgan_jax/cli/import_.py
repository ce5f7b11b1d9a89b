"""Turn a snapshot of the published PyTorch program into a model file.

python -m afgan_jax import network-snapshot-025000.pkl --out=earth.safetensors

No code in the snapshot is run. The model file holds the averaged generator, and D with
--discriminator, for --init-from to go on with both. It is `export --to=model` of the
snapshot, and says how many parameters there are.
"""

import sys

from afgan_jax.cli import flags

Source = flags.positional("FILE")
Discriminator = flags.switch("with D")
Licence = flags.text("licence", "what may be done with it", "TEXT")
Out = flags.file("out", "the model file to write")


def main(
    source: Source,
    /,
    *,
    out: Out,
    discriminator: Discriminator = False,
    licence: Licence = None,
) -> None:
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax import export, places
    from afgan_jax.interop import model_file

    if not places.local(source).is_file():
        raise ValueError(f"{source}: there is no such file")
    options = {"discriminator": discriminator, "licence": licence}
    checked = export.write(source, out, "model", **options)
    counts = model_file.count_parameters(out)
    said = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    print(f"wrote {out}; parameters: {said}; {checked}", file=sys.stderr)
