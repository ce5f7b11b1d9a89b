"""Find mean and deviation of images, by channel."""

from pathlib import Path

from afgan_jax.cli import flags, sources


def main(
    *,
    images: flags.Images = None,
    max_images: flags.Most = None,
    seed: flags.count("seed", "of that choice", 0) = 0,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    samples: flags.Samples = None,
    data: flags.Classes = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    batch: flags.Batch = 16,
    out: flags.file("out", "npz") = Path("stats.npz"),
) -> None:
    from afgan_jax.analysis import spectra, tables
    from afgan_jax.runs import atomic

    real = (images, max_images, seed)
    found = spectra.stats(
        sources.batches(real, run, step, samples, data, class_, label, batch)
    )
    atomic.write_arrays(out, found._asdict())
    numbers = (f"{k} {tables.decimals(v)}" for k, v in found._asdict().items())
    mean, std = found.overall()
    print(f"{', '.join(numbers)}; of all channels --mean={mean:z.3f} --std={std:z.3f}")
    print(f"wrote {out}")
