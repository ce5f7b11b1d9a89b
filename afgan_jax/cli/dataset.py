"""Convert pictures to an archive that can be trained on, or check an archive.

python -m afgan_jax dataset convert SRC OUT --size=256x256 --fit=crop
python -m afgan_jax dataset check OUT

SRC is a folder or zip of pictures, cifar-10-python.tar.gz or
train-images-idx3-ubyte.gz as published (or cifar-100, or the t10k of MNIST), or
tfds:NAME or tfds:NAME:SPLIT. OUT is a new folder, or a zip if its name ends so. Both
may be in buckets (gs://...). Interrupt convert as you like: the same command goes on
from .OUT.KEY.partial beside OUT. Images that cannot be read are left out and listed
in OUT.skipped.txt.

check tells sizes, modes, duplicates, balance of classes, and whether images look
upscaled, blocked by JPEG, aliased or letterboxed; faults begin with "!". Then, how to
train on the archive.
"""

import sys

from absl import flags

from afgan_jax import cli

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "size", None, "WIDTHxHEIGHT of the images; default: as in SRC", flag_values=FLAGS
)
flags.DEFINE_enum(
    "fit",
    None,
    ["crop", "letterbox", "stretch", "wide"],
    "how other proportions become square: the middle, black bars, distorted, or WxH "
    "amid a black square",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "filter", "lanczos", ["lanczos", "box"], "of resizing", flag_values=FLAGS
)
flags.DEFINE_string(
    "labels",
    "auto",
    "auto (those that come with SRC), none, folders (classes by first folder), or a"
    " CSV of file name and label",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "channels",
    "auto",
    ["auto", "1", "3"],
    "grey or RGB; auto: grey if all of SRC is",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "background",
    "white",
    ["white", "black"],
    "behind transparent parts",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "max_images", None, "only the first so many", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "workers", None, "threads; default: all cores", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "sample",
    2000,
    "check: how many images are judged for defects",
    lower_bound=1,
    flag_values=FLAGS,
)

LISTED = 5  # images named on the screen


def main(argv: list[str]) -> None:
    words = [word for word in argv if not word.startswith("-")]
    cli.parse(FLAGS, [word for word in argv if word.startswith("-")])
    task, *paths = words or [""]
    if task not in TASKS:
        raise ValueError(f"dataset {task!r}: use {' or '.join(TASKS)} (see --help)")
    run, names = TASKS[task]
    if len(paths) != len(names):
        raise ValueError(
            f"dataset {task} needs {' and '.join(names)}, not {paths}; write flags as"
            " --name=value"
        )
    run(*paths)


def convert(source_path: str, out: str) -> None:
    # Here, not on top: --help must not wait for NumPy.
    from afgan_jax.data import convert, paths, sources, writer

    size = None if FLAGS.size is None else parse_size(FLAGS.size)
    writer.check_free(paths.resolve(out))  # before a source that takes long to open
    source = sources.open_source(source_path)
    report = convert.convert(
        source,
        out,
        size=size,
        fit=FLAGS.fit,
        filter=FLAGS.filter,
        label_source=FLAGS.labels,
        channels=FLAGS.channels,
        background=FLAGS.background,
        max_images=FLAGS.max_images,
        workers=FLAGS.workers,
    )
    print(f"{out}: {report.converted} images, {_labels(report.table)}")
    if report.resumed:
        print(f"  {report.resumed} of them from an earlier attempt")
    if report.table is None and any("/" in name for name in source.images):
        print("  --labels=folders would make its folders classes")
    if report.skipped:
        listing = paths.resolve(f"{out.rstrip('/')}.skipped.txt")
        lines = [f"{name}\t{reason}" for name, reason in report.skipped]
        listing.write_text("\n".join(lines) + "\n")
        print(f"  {len(lines)} left out, listed in {listing}:", file=sys.stderr)
        for _, reason in report.skipped[:LISTED]:
            print(f"    {reason}", file=sys.stderr)


def _labels(table) -> str:
    if table is None:
        return "no labels"
    if table.class_names is not None:
        return f"{len(table.class_names)} classes"
    return "labels"


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "256x256" or "256"."""
    parts = text.lower().split("x")
    if len(parts) == 1:
        parts *= 2
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"--size={text}: write WIDTHxHEIGHT, such as 256x256")
    return int(parts[0]), int(parts[1])


def check(path: str) -> None:
    from afgan_jax.data import advice, inspect

    findings = inspect.inspect(path, sample=FLAGS.sample, workers=FLAGS.workers)
    print("\n".join([*advice.describe(findings), *advice.suggest(findings)]))


TASKS = {"convert": (convert, ("SRC", "OUT")), "check": (check, ("OUT",))}
