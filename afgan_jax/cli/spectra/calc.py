"""Average the power of images' Fourier transforms: white noise has 0 dB.

Images are whitened with --stats, or the two numbers --mean and --std, multiplied by a
Kaiser window and padded. Sets that are to be compared take the same stats.
"""

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
    stats: flags.text("stats", "file that `spectra stats` wrote", "FILE") = None,
    mean: flags.number("mean", "in place of --stats: 0 .. 255") = None,
    std: flags.number("std", "with --mean: the deviation") = None,
    beta: flags.number("beta", "of the Kaiser window", least=0) = 8.0,
    interp: flags.count("interp", "samples of the spectrum a sample") = 4,
    out: flags.file("out", "npz") = Path("spectrum.npz"),
) -> None:
    from afgan_jax.analysis import spectra, tables
    from afgan_jax.runs import atomic

    white = whitening(stats, mean, std)
    real = (images, max_images, seed)
    taken = sources.batches(real, run, step, samples, data, class_, label, batch)
    found = spectra.mean_power(taken, *white, beta=beta, interp=interp)
    atomic.write_arrays(out, found._asdict())
    mean, std = map(tables.decimals, (found.mean, found.std))
    print(f"{found.count} images, whitened by mean {mean} and std {std}\nwrote {out}")


def whitening(stats: str | None, mean: float | None, std: float | None):
    """(mean, std) [1] or [C] that --stats, or --mean and --std, give."""
    import numpy as np

    from afgan_jax.analysis import spectra

    given = [mean is not None, std is not None]
    if stats is not None and not any(given):
        found = spectra.read(stats, "stats", ("mean", "std"))
        return found["mean"], found["std"]
    if stats is None and all(given):
        return np.array([mean]), np.array([std])
    raise ValueError(
        "pass either --stats=FILE, which `spectra stats` writes, or --mean and --std"
    )
