"""The generator, the labels and the images that flags name."""

import sys

from afgan_jax import errors
from afgan_jax.cli import flags

HOW = "pass --data=SET with labels, or --class=N or --label=NUMBERS for all images"


def load(run: str, step: int | None = None):
    """The Model of --run and --step."""
    from afgan_jax import model

    return model.load(run if step is None else f"{run}@{step}")


def configured(config, *, has_weights: bool = True):
    """The untrained Model of --config; see model.untrained."""
    from afgan_jax import model
    from afgan_jax.assembly import settings

    found = settings.load(config.spec, config.changes)
    with errors.naming("generator"):
        return model.untrained(found["generator"], has_weights=has_weights)


def images(path: str, **options):
    """The Archive of --data or --images; tells what else is there. See Archive.open."""
    from afgan_jax.data import archive, left_out

    opened = archive.Archive.open(path, **options)
    for line in left_out.of_source(opened.files, opened.images, "none"):
        print(f"WARNING: {path} holds more, which is not used: {line}", file=sys.stderr)
    return opened


def label(model, class_: str | None, numbers: list[float] | None):
    """The label of --class or --label, None if neither is given.

    Raises ValueError for both, and for what the model does not take.
    """
    if class_ is not None and numbers is not None:
        raise ValueError(f"--class={class_} and --label exclude each other")
    chosen = class_ if numbers is None else numbers
    if chosen is None and model.c_dim:
        raise ValueError(
            "this generator was trained on labels: pass --class, one of"
            f" {model.known_classes}, or --label with {model.c_dim} numbers"
        )
    try:
        model.c(chosen, 1)
    except errors.SettingError as error:
        name = "label" if class_ is None else "class_"
        raise errors.SettingError(name, chosen, error.why) from error
    return chosen


def labels(model, class_: str | None, numbers: list[float] | None, data: str | None):
    """Labels to draw from, as samples.of_model takes them.

    The one that flags name, or those of a set: classes [M] or vectors [M c_dim].

    The set is `data`, by default that of the model's run. Raises ValueError if there
    are no labels that fit, and says how to give some.
    """
    import numpy as np

    if model.c_dim == 0 or class_ is not None or numbers is not None:
        chosen = model.c(label(model, class_, numbers), 1)
        return np.zeros((1, 0), np.float32) if chosen is None else chosen
    from afgan_jax.assembly import model_sets

    try:
        return model_sets.labels_of(model, data)
    except ValueError as error:
        raise ValueError(f"{error}; {HOW}") from None


def batches(real: tuple, run, step, samples, data, class_, label, batch: int):
    """Batches of bytes: of a set, real = (set, most of it, seed), or of a generator."""
    import numpy as np

    from afgan_jax.analysis import spectra
    from afgan_jax.metrics import samples as drawing

    path, most, seed = real
    if (run is None) == (path is None):
        raise ValueError("pass either --images=SET or --run=SOURCE")
    if path is not None:
        opened = images(path, max_images=most, seed=seed)
        numbers = np.arange(len(opened))
        parts = np.split(numbers, range(batch, len(numbers), batch))
        return map(drawing.of_archive(opened).read, parts)
    if samples is None:
        raise ValueError("--samples is missing: how many images are generated")
    model = load(run, step)
    classes = labels(model, class_, label, data)
    return spectra.drawn(model, samples, labels=classes, batch=batch)


def pushes(model, directions: str | None, amounts: dict[str, float]):
    """(the Directions of --directions, the amounts of --push by number)."""
    from afgan_jax.edit import directions as known

    if directions is None:
        raise ValueError("--push goes along --directions=FILE: pass that as well")
    found = known.read(flags.expanded(directions), model)
    pushed = {}
    for name, amount in amounts.items():
        number = found.number(name)
        pushed[number] = pushed.get(number, 0.0) + amount
    return found, pushed
