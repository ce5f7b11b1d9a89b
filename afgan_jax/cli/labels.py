"""Classes of a generator's pictures: those that flags name, or drawn from a set."""

import math
from collections.abc import Sequence

from absl import flags

flags.disclaim_key_flags()  # --help lists the flags as the verb's own

HOW = "pass --data=SET with labels, or --class=N or --label=NUMBERS for all pictures"


def define(values: flags.FlagValues) -> None:
    """The flags --class and --label of a verb."""
    flags.DEFINE_string(
        "class",
        None,
        "class of a conditional net's images: number or name",
        flag_values=values,
    )
    flags.DEFINE_string(
        "label", None, "or their label: numbers a,b,c", flag_values=values
    )


def choose(values: flags.FlagValues, run, c_dim: int, data: str | None = None):
    """Labels [M c_dim] to draw from: the one that flags name, or those of a set.

    The set is `data`, by default the run's. Raises ValueError if there are no labels
    that fit, and says how to give some.
    """
    import numpy as np

    from afgan_jax.data import archive, sets

    name, text = values["class"].value, values["label"].value
    if c_dim == 0 or name is not None or text is not None:
        found = read(c_dim, name, text, run.class_names())
        return np.array([found or []], np.float32)
    settings = run.config["data"] | {"mirror": False, "use_labels": True}
    path = settings["path"] if data is None else data
    try:
        if data is None:
            found = sets.open_set(cache_dir=run.path / ".cache", **settings).labels
        else:
            found = archive.Archive.open(data, use_labels=True).labels
    except (ValueError, OSError) as error:
        raise ValueError(
            f"classes are drawn as in the set {path}, but: {error}; {HOW}"
        ) from None
    if found.shape[1] != c_dim:
        raise ValueError(
            f"labels of {path} are {found.shape[1]} numbers, the generator takes"
            f" {c_dim}; {HOW}"
        )
    return found


def are_in(data: str) -> bool:
    """Whether the set has labels."""
    from afgan_jax.data import files, labels, paths

    return labels.read_table(files.Files(paths.resolve(data))) is not None


def read(
    c_dim: int,
    name: str | None,
    text: str | None,
    class_names: Sequence[str] | None = None,
) -> list | None:
    """The label that --class=name or --label=text means; None for c_dim 0.

    `name` is the number of a class or one of its names.
    """
    given = f"--class={name}" if text is None else f"--label={text}"
    if name is not None and text is not None:
        raise ValueError(f"{given} and --class={name} exclude each other")
    if c_dim == 0 and name is None and text is None:
        return None
    if c_dim == 0:
        raise ValueError(f"{given}, but this generator knows no labels: leave it out")
    if text is None:
        number = _class_of(name, class_names or ())
        if number is None or not number < c_dim:
            known = f" or {', '.join(class_names)}" if class_names else ""
            raise ValueError(
                f"{given} must be one of 0 to {c_dim - 1}{known}; or pass --label with"
                f" {c_dim} numbers"
            )
        return [float(i == number) for i in range(c_dim)]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != c_dim or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{given} must be {c_dim} numbers, such as 0.5,1,...")
    return numbers


def _class_of(name: str | None, class_names: Sequence[str]) -> int | None:
    """The number of a class: its name goes before what reads as a number."""
    if name in class_names:
        return list(class_names).index(name)
    return int(name) if name is not None and name.isdecimal() else None
