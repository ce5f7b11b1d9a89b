"""The generator, its labels and the run that flags name."""

from afgan_jax import errors

HOW = "pass --data=SET with labels, or --class=N or --label=NUMBERS for all images"


def load(run: str, step: int | None = None):
    """The Model of --run and --step."""
    from afgan_jax import model

    return model.load(run if step is None else f"{run}@{step}")


def run_of(model):
    """(the run, the step) that a Model comes from; None for both of a snapshot."""
    from afgan_jax.runs import run_directory, saved_networks

    path, step = saved_networks.split_step(model.source)
    return (None, None) if step is None else (run_directory.Run.open(path), step)


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


def classes(model, class_: str | None, numbers: list[float] | None, data: str | None):
    """Labels [M c_dim] to draw from: the one that flags name, or those of a set.

    The set is `data`, by default that of the model's run. Raises ValueError if there
    are no labels that fit, and says how to give some.
    """
    import numpy as np

    if model.c_dim == 0 or class_ is not None or numbers is not None:
        chosen = model.c(label(model, class_, numbers), 1)
        return np.zeros((1, 0), np.float32) if chosen is None else chosen
    path = data
    try:
        if data is None:
            path, found = _labels_of_run(model)
        else:
            from afgan_jax.data import archive

            found = archive.Archive.open(data, use_labels=True).labels
    except (ValueError, OSError) as error:
        where = f"classes are drawn as in the set {path or 'of the run'}"
        raise ValueError(f"{where}, but: {error}; {HOW}") from None
    if found.shape[1] != model.c_dim:
        raise ValueError(
            f"labels of {path} are {found.shape[1]} numbers, the generator takes"
            f" {model.c_dim}; {HOW}"
        )
    return found


def _labels_of_run(model):
    run, _ = run_of(model)
    if run is None:
        raise ValueError("a snapshot does not say on which set it was trained")
    return run.config["data"]["path"], open_set(run, use_labels=True).labels


def open_set(run, **changes):
    """The set that a run was trained on, each image once."""
    from afgan_jax.data import sets

    settings = run.config["data"] | {"mirror": False} | changes
    return sets.open_set(cache_dir=run.path / ".cache", **settings)


def has_labels(data: str) -> bool:
    """Whether the set has labels."""
    from afgan_jax.data import files, labels, paths

    return labels.read_table(files.Files(paths.resolve(data))) is not None
