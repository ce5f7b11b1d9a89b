"""Average power spectra of a set or of a trained generator's images.

python -m afgan_jax spectra stats --images=set.zip --out=stats.npz
python -m afgan_jax spectra calc --images=set.zip --stats=stats.npz --out=reals.npz
python -m afgan_jax spectra calc --run=RUN --samples=10000 --stats=stats.npz
python -m afgan_jax spectra heatmap reals.npz --out=reals.png
python -m afgan_jax spectra slices reals.npz spectrum.npz --out=slices.png
"""

from pathlib import Path

from afgan_jax.cli import flags

Images = flags.text("images", "in place of --run: images of any origin", "SET")
Most = flags.count("max-images", "only so many of --images, chosen by --seed")
Seed = flags.count("seed", "of that choice", 0)
Data = flags.text("data", "set of the classes; default: the run's", "SET")
Dpi = flags.count("dpi", "of the PNG", 20)
Smooth = flags.number("smooth", "blur by so many samples", least=0)


def stats(
    *,
    images: Images = None,
    max_images: Most = None,
    seed: Seed = 0,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    samples: flags.Samples = None,
    data: Data = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    batch: flags.Batch = 16,
    out: flags.file("out", "npz") = Path("stats.npz"),
) -> None:
    """Find mean and deviation of images, by channel."""
    from afgan_jax.analysis import spectra
    from afgan_jax.runs import atomic

    real = (images, max_images, seed)
    found = spectra.stats(batches(real, run, step, samples, data, class_, label, batch))
    atomic.write_arrays(out, found._asdict())
    numbers = (f"{k} {shown(v)}" for k, v in found._asdict().items())
    mean, std = found.overall()
    print(f"{', '.join(numbers)}; of all channels --mean={mean:z.3f} --std={std:z.3f}")
    print(f"wrote {out}")


def calc(
    *,
    images: Images = None,
    max_images: Most = None,
    seed: Seed = 0,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    samples: flags.Samples = None,
    data: Data = None,
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
    """Average the power of images' Fourier transforms: white noise has 0 dB.

    Images are whitened with --stats, or the two numbers --mean and --std, multiplied by
    a Kaiser window and padded. Sets that are to be compared take the same stats.
    """
    from afgan_jax.analysis import spectra
    from afgan_jax.runs import atomic

    white = whitening(stats, mean, std)
    real = (images, max_images, seed)
    taken = batches(real, run, step, samples, data, class_, label, batch)
    found = spectra.mean_power(taken, *white, beta=beta, interp=interp)
    atomic.write_arrays(out, found._asdict())
    used = f"mean {shown(found.mean)} and std {shown(found.std)}"
    print(f"{found.count} images, whitened by {used}\nwrote {out}")


def heatmap(
    file: flags.positional("FILE"),
    /,
    *,
    smooth: Smooth = 1.25,
    dpi: Dpi = 100,
    out: flags.file("out", "PNG") = Path("heatmap.png"),
) -> None:
    """Draw a spectrum that calc wrote, in dB."""
    from afgan_jax.analysis import spectra
    from afgan_jax.viz import plot

    found = spectra.read(file, "calc", ("power", "interp"))
    options = {"interp": int(found["interp"]), "smooth": smooth}
    figure = spectra.heatmap(found["power"], **options, title=Path(file).stem)
    plot.save(out, figure, dpi=dpi)
    print(f"wrote {out}")


def slices(
    files: flags.positionals("FILES"),
    /,
    *,
    smooth: Smooth = 0.0,
    dpi: Dpi = 100,
    out: flags.file("out", "PNG") = Path("slices.png"),
) -> None:
    """Draw spectra that calc wrote, in dB at 0 and at 45 degrees."""
    from afgan_jax.analysis import spectra
    from afgan_jax.viz import plot

    if not files:
        raise ValueError("spectra slices: name one or more FILES that calc wrote")
    found = {
        name: spectra.read(file, "calc", ("power", "interp"))
        for name, file in spectra.short_names(files).items()
    }
    powers = {name: arrays["power"] for name, arrays in found.items()}
    interp = {name: int(arrays["interp"]) for name, arrays in found.items()}
    figure = spectra.slices(powers, interp=interp, smooth=smooth)
    plot.save(out, figure, dpi=dpi)
    print(f"wrote {out}")


PARTS = {"stats": stats, "calc": calc, "heatmap": heatmap, "slices": slices}


def batches(real: tuple, run, step, samples, data, class_, label, batch: int):
    """The images asked for, as batches of bytes; real: (set, most of it, seed)."""
    import numpy as np

    from afgan_jax.analysis import spectra
    from afgan_jax.cli import sources
    from afgan_jax.data import archive
    from afgan_jax.metrics import samples as drawing

    images, most, seed = real
    if (run is None) == (images is None):
        raise ValueError("pass either --images=SET or --run=SOURCE")
    if images is not None:
        opened = archive.Archive.open(images, max_images=most, seed=seed)
        numbers = np.arange(len(opened))
        parts = np.split(numbers, range(batch, len(numbers), batch))
        return map(drawing.of_archive(opened).read, parts)
    if samples is None:
        raise ValueError("--samples is missing: how many images are generated")
    model = sources.load(run, step)
    labels = sources.labels(model, class_, label, data)
    return spectra.drawn(model, samples, labels=labels, batch=batch)


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


def shown(value) -> str:
    """A number, or numbers of channels, to three decimals."""
    import numpy as np

    return " ".join(f"{v:z.3f}".removesuffix(".000") for v in np.atleast_1d(value))
