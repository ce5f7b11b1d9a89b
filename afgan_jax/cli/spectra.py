"""Average power spectra of an archive or of a trained generator's pictures.

python -m afgan_jax spectra stats --images=set.zip --out=stats.npz
python -m afgan_jax spectra calc --images=set.zip --stats=stats.npz --out=reals.npz
python -m afgan_jax spectra calc --run=RUN --num=10000 --stats=stats.npz --out=run.npz
python -m afgan_jax spectra heatmap run.npz --out=run.png
python -m afgan_jax spectra slices reals.npz run.npz --out=slices.png

stats finds mean and deviation of the pictures, by channel. calc whitens pictures with
those (--stats, or the two numbers --mean and --std), multiplies them by a Kaiser
window, pads them and averages the power of their Fourier transforms: white noise has
0 dB. Sets that are to be compared take the same stats. heatmap draws one spectrum in
dB, slices several at 0 and 45 degrees.
"""

from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("images", None, "archive, zip or folder", flag_values=FLAGS)
flags.DEFINE_string("run", None, "or run directory of a training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_integer(
    "num",
    None,
    "pictures; default: all there are",
    lower_bound=1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "seed",
    0,
    "of the choice of --num from --images",
    lower_bound=0,
    upper_bound=2**32 - 1,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "batch", 16, "pictures at a time", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_string(
    "data", None, "set of the run's classes; default: its own", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_string("stats", None, "calc: file of stats", flag_values=FLAGS)
flags.DEFINE_float("mean", None, "calc: or mean (0 .. 255)", flag_values=FLAGS)
flags.DEFINE_float("std", None, "calc: with its deviation", flag_values=FLAGS)
flags.DEFINE_float(
    "beta", 8.0, "calc: of the Kaiser window", lower_bound=0, flag_values=FLAGS
)
flags.DEFINE_integer(
    "interp", 4, "calc: samples of the spectrum", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_float(
    "smooth",
    None,
    "blur by so many samples; default: heatmap 1.25, slices 0",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "dpi", 100, "of the PNG", lower_bound=20, upper_bound=1200, flag_values=FLAGS
)
flags.DEFINE_string("out", None, "file to write; default: by task", flag_values=FLAGS)

HEATMAP_LEVELS = range(-40, 21, 10)  # dB
SLICES_RANGE = (-50, 30)  # dB
AXIS = "cycles per image width"


def main(argv: list[str]) -> None:
    words = [word for word in argv if not word.startswith("-")]
    cli.parse(FLAGS, [word for word in argv if word.startswith("-")])
    task, *files = words or [""]
    if task not in TASKS:
        raise ValueError(
            f"spectra {task!r}: use one of {', '.join(TASKS)} (see --help)"
        )
    run, default, low, high = TASKS[task]
    if not low <= len(files) <= high:
        raise ValueError(
            f"spectra {task} takes {'files of calc' if high else 'no files'}, not"
            f" {files}; write flags as --name=value"
        )
    out = Path(FLAGS.out or default)
    for flag in ("mean", "std", "beta", "smooth"):
        if FLAGS[flag].value is not None:
            cli.check_finite(flag, FLAGS[flag].value)
    cli.check_file("out", out)
    run(out, *files)
    print(f"wrote {out}")


def stats(out: Path) -> None:
    from afgan_jax.analysis import spectra

    found = spectra.stats(batches())
    save(out, found._asdict())
    numbers = (f"{k} {shown(v)}" for k, v in found._asdict().items())
    mean, std = found.overall()
    print(f"{', '.join(numbers)}; of all channels --mean={mean:.3f} --std={std:.3f}")


def calc(out: Path) -> None:
    from afgan_jax.analysis import spectra

    mean, std = whitening()
    settings = {"beta": FLAGS.beta, "interp": FLAGS.interp}
    count, power = spectra.mean_power(batches(), mean, std, **settings)
    found = {"power": power, "count": count, "mean": mean, "std": std} | settings
    save(out, found)
    print(f"{count} images, whitened by mean {shown(mean)} and std {shown(std)}")


def heatmap(out: Path, file: str) -> None:
    from afgan_jax.signal import spectrum
    from afgan_jax.viz import plot

    found = load(file, "calc", ("power", "interp"))
    smooth = 1.25 if FLAGS.smooth is None else FLAGS.smooth
    plot.heatmap(
        out,
        spectrum.decibels(found["power"], smooth=smooth),
        spectrum.frequencies(len(found["power"]), int(found["interp"])),
        levels=HEATMAP_LEVELS,
        label=AXIS,
        unit="dB",
        title=Path(file).stem,
        dpi=FLAGS.dpi,
    )


def slices(out: Path, *files: str) -> None:
    from afgan_jax.signal import spectrum
    from afgan_jax.viz import plot

    panels = {"0 degrees": {}, "45 degrees": {}}
    for name, file in labels(files).items():
        found = load(file, "calc", ("power", "interp"))
        db = spectrum.decibels(found["power"], smooth=FLAGS.smooth or 0.0)
        curves = spectrum.slices(db, int(found["interp"]))
        for panel, curve in zip(panels.values(), curves.values()):
            panel[name] = curve
    look = {"xlabel": AXIS, "ylabel": "dB", "ylim": SLICES_RANGE, "dpi": FLAGS.dpi}
    plot.curve_panels(out, panels, **look)


def labels(files: tuple[str, ...]) -> dict[str, str]:
    """{short name: file}: names of files, with their folders' where those are alike."""
    stems = [Path(file).stem for file in files]
    if len(set(stems)) < len(files):
        stems = [
            f"{Path(file).absolute().parent.name}/{Path(file).stem}" for file in files
        ]
    if len(set(stems)) < len(files):
        raise ValueError(f"spectra slices: {', '.join(files)} need different names")
    return dict(zip(stems, files))


# task: (what does it, file written by default, least and most files it takes)
TASKS = {
    "stats": (stats, "stats.npz", 0, 0),
    "calc": (calc, "spectrum.npz", 0, 0),
    "heatmap": (heatmap, "heatmap.png", 1, 1),
    "slices": (slices, "slices.png", 1, 100),
}


def batches():
    """The pictures asked for, as batches of bytes."""
    import numpy as np

    from afgan_jax.data import archive
    from afgan_jax.metrics import samples, sharding
    from afgan_jax.signal import pixels

    if (FLAGS.run is None) == (FLAGS.images is None):
        raise ValueError("pass either --images=FOLDER_OR_ZIP or --run=RUN")
    if FLAGS.images is not None:
        opened = archive.Archive.open(
            FLAGS.images, max_images=FLAGS.num, seed=FLAGS.seed
        )
        numbers = np.arange(len(opened))
        parts = np.split(numbers, range(FLAGS.batch, len(numbers), FLAGS.batch))
        return map(samples.of_archive(opened).read, parts)
    if FLAGS.num is None:
        raise ValueError("--num is missing: how many pictures the run makes")
    network = cli.open_network(FLAGS)
    over = sharding.BatchSharding.over(FLAGS.batch)

    def draw(constants, numbers):
        return pixels.to_uint8(network.draw(constants, numbers, None))

    drawn = over.compile(draw)
    return over.map(drawn, network.variables, lambda numbers: numbers, FLAGS.num)


def whitening():
    """(mean, std) [1] or [C] that --stats, or --mean and --std, give."""
    import numpy as np

    given = [FLAGS.mean is not None, FLAGS.std is not None]
    if FLAGS.stats is not None and not any(given):
        found = load(FLAGS.stats, "stats", ("mean", "std"))
        return found["mean"], found["std"]
    if FLAGS.stats is None and all(given):
        return np.array([FLAGS.mean]), np.array([FLAGS.std])
    raise ValueError(
        "pass either --stats=FILE, which `spectra stats` writes, or --mean and --std"
    )


def shown(value) -> str:
    """A number, or numbers of channels, to three decimals."""
    import numpy as np

    return " ".join(f"{v:.3f}".removesuffix(".000") for v in np.atleast_1d(value))


def save(path: Path, arrays: dict) -> None:
    """Writes an npz at one stroke."""
    import io

    import numpy as np

    from afgan_jax.runs import atomic

    content = io.BytesIO()
    np.savez(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, content.getvalue())


def load(path: str, task: str, names: tuple) -> dict:
    """The arrays of an npz. Raises ValueError if it is not what the task wrote."""
    import zipfile

    import numpy as np

    problem = f"{path} is not a file that `spectra {task}` wrote"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{problem}: {'no npz' if Path(path).exists() else 'missing'}")
    with np.load(path) as data:
        if not set(names) <= set(data):
            raise ValueError(
                f"{problem}: it holds {', '.join(list(data)[:5]) or 'nothing'}"
            )
        return dict(data)
