"""The verbs of the command line, a module each, and how their flags are read."""

import math
import os
import tempfile
from pathlib import Path

from absl import flags as absl_flags

MOST_NUMBERS = 100_000  # in one flag


def parse(
    values: absl_flags.FlagValues, argv: list[str], *, required: tuple = ()
) -> dict:
    """Sets the flags from argv and returns the config overrides among them.

    An override is --config.section.key=value, accepted where there is a flag --config;
    it comes back as {"section.key": "value"}.
    Raises ValueError for an unknown, malformed or missing flag.
    """
    overrides, plain = {}, []
    for argument in argv:
        name, equals, value = argument.lstrip("-").partition("=")
        if "config" in values and name.startswith("config."):
            if not equals:
                raise ValueError(f"write {argument}=VALUE, with an equals sign")
            overrides[name.removeprefix("config.")] = value
        else:
            plain.append(argument)
    values.unparse_flags()
    for name in values:
        values[name].unparse()
    try:
        _, *rest = values(["afgan_jax", *plain])
    except absl_flags.Error as error:
        raise ValueError(f"{error} (--help lists the flags)") from None
    if rest:
        raise ValueError(f"{rest[0]!r} is not a flag; write --name=value")
    require(values, *required)
    return overrides


def require(values: absl_flags.FlagValues, *names: str) -> None:
    """Raises ValueError for a flag among these that is not given."""
    for name in names:
        if values[name].value is None:
            raise ValueError(f"--{name} is missing: {values[name].help}")


def parse_ranges(flag: str, text: str) -> list[int]:
    """Returns the numbers that "0-15" or "1,3,5-7" names, each once, in that order."""
    found = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"--{flag}={text}: {part!r} is no range like 0-15")
        low, high = int(first), int(last or first)
        if not low <= high < 2**32:
            raise ValueError(f"--{flag}={text}: {part!r} must rise, below 2**32")
        if high - low + len(found) >= MOST_NUMBERS:
            raise ValueError(f"--{flag}={text}: give at most {MOST_NUMBERS} at a time")
        found |= dict.fromkeys(range(low, high + 1))
    return list(found)


def check_finite(flag: str, value: float) -> None:
    """Raises ValueError for infinity and for what is no number."""
    if not math.isfinite(value):
        raise ValueError(f"--{flag}={value} must be a finite number")


def check_writable(flag: str, folder: str | os.PathLike) -> None:
    """Raises ValueError if the folder is not there and cannot be made, or is closed."""
    home = Path(folder).expanduser().absolute()
    while not home.exists():
        home = home.parent
    if not home.is_dir():
        raise ValueError(f"--{flag}: {home} is a file; name a folder for {folder}")
    try:
        # Rights alone do not tell: a superuser has them on read-only disks as well.
        tempfile.TemporaryFile(dir=home).close()
    except OSError as error:
        raise ValueError(
            f"--{flag}: nothing can be written in {home} ({error.strerror}); name"
            f" another place than {folder}"
        ) from error


def check_file(flag: str, file: str | os.PathLike) -> None:
    """Raises ValueError if a file could not be written there."""
    if Path(file).is_dir():
        raise ValueError(f"--{flag}={file} is a folder; name a file")
    check_writable(flag, Path(file).parent)


def schema() -> dict:
    """The sections of a config: the function whose arguments each one holds.

    In a tuple, the arguments named after the function come from the program.
    """
    from afgan_jax.augment import control
    from afgan_jax.data import sets
    from afgan_jax.metrics import evaluation
    from afgan_jax.runs import retention, saved_networks
    from afgan_jax.training import loop, samples, step

    return {
        "data": (sets.open_set, "cache_dir"),
        **saved_networks.SCHEMA,
        "losses": (step.make_setup, "G", "D", "augment"),
        "augment": control.make_control,
        "updates": (step.make_program, "setup", "devices"),
        "pictures": (samples.Snapshots, "folder", "G", "archive"),
        "metrics": evaluation.parse,
        "checkpoints": (retention.make_retention, "batch_size"),
        "train": (
            loop.train,
            "run",
            "program",
            "batches",
            "snapshots",
            "evaluate",
            "batch_size",
            "profile",
        ),
    }


def make_networks(settings: dict) -> tuple:
    """(G, D) of a config, whose sections are named in what is wrong with them."""
    from afgan_jax.networks import discriminator, generator
    from afgan_jax.runs import config

    with config.naming("generator"):
        G = generator.make_generator(**settings["generator"])
    with config.naming("discriminator"):
        D = discriminator.make_discriminator(**settings["discriminator"])
    return G, D


def open_network(values: absl_flags.FlagValues, **changes):
    """The pictures.Network of the generator that --run and --step name.

    Its classes are those of --class, --label or --data, by default of the run's set.
    `changes` are those of `saved_networks.load_generator`.
    """
    import jax

    from afgan_jax.cli import labels
    from afgan_jax.metrics import samples
    from afgan_jax.runs import run_directory, saved_networks

    path, step = values.run, values.step
    G, variables, _ = saved_networks.load_generator(
        path, step, dtype="float32", **changes
    )
    data = values.data if "data" in values else None
    classes = labels.choose(values, run_directory.Run.open(path), G.mapping.c_dim, data)
    return samples.of_generator(G, variables, classes, jax.random.key(0))


def fill_in(settings: dict) -> list[str]:
    """Sets what depends on other settings and is left open; says so, a line each."""
    from afgan_jax.training import losses

    if settings["losses"]["r1_gamma"] is not None:
        return []
    resolution = settings["discriminator"]["resolution"]
    batch = max(settings["updates"]["batch_size"], 1)  # less is refused later
    gamma = losses.usual_r1_gamma(resolution, batch)
    settings["losses"]["r1_gamma"] = gamma
    return [
        f"losses.r1_gamma={gamma:.4g}, as none is given: {losses.GAMMA_0} x"
        f" {resolution}^2 pixels / batch {batch} (StyleGAN3 paper, appendix F)"
    ]
