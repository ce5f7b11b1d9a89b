"""The generator, its labels and the run that flags name."""

from afgan_jax import errors

HOW = "pass --data=SET with labels, or --class=N or --label=NUMBERS for all images"


def load(run: str, step: int | None = None):
    """The Model of --run and --step."""
    from afgan_jax import model

    return model.load(run if step is None else f"{run}@{step}")


def configured(config, *, has_weights: bool = True):
    """The untrained Model of --config; see model.untrained."""
    from afgan_jax import model
    from afgan_jax.cli import assembly

    settings = assembly.configured(config)
    with errors.naming("generator"):
        return model.untrained(settings["generator"], has_weights=has_weights)


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
    run, _ = (None, None) if data is not None else run_of(model)
    path = run.config["data"]["path"] if run is not None else data
    try:
        found = _labels(run, data)
    except (ValueError, OSError) as error:
        where = f"classes are drawn as in the set {path or 'of the run'}"
        raise ValueError(f"{where}, but: {error}; {HOW}") from None
    if found.shape[1] != model.c_dim:
        raise ValueError(
            f"labels of {path} are {found.shape[1]} numbers, the generator takes"
            f" {model.c_dim}; {HOW}"
        )
    return found


def _labels(run, data: str | None):
    """Those of a set, or of a run's set."""
    from afgan_jax.data import archive

    if data is not None:
        return archive.Archive.open(data, use_labels=True).labels
    if run is None:
        raise ValueError("a snapshot does not say on which set it was trained")
    return open_set(run, use_labels=True).labels


def open_set(run, **changes):
    """The set that a run was trained on, each image once."""
    from afgan_jax.data import sets

    settings = run.config["data"] | {"mirror": False} | changes
    return sets.open_set(cache_dir=run.path / ".cache", **settings)


def has_labels(data: str) -> bool:
    """Whether the set has labels."""
    from afgan_jax.data import files, labels, paths

    return labels.read_table(files.Files(paths.resolve(data))) is not None


def discriminators(run: str | None, step: int | None, config, seeds):
    """(D, its set, (name, function of (images, labels)) of networks).

    One is that of --run and --step; of --config they are untrained, one a seed.
    """
    import jax

    from afgan_jax.data import sets
    from afgan_jax.metrics import weights
    from afgan_jax.networks import discriminator
    from afgan_jax.runs import run_directory, saved_networks

    if run is not None:
        path, at = saved_networks.split_step(run)
        D, variables, step = saved_networks.load_discriminator(path, step or at)
        archive = open_set(run_directory.Run.open(path))
        networks = [(f"step {step}", variables)]
    else:
        from afgan_jax.cli import assembly

        settings = assembly.configured(config)
        with errors.naming("discriminator"):
            D = discriminator.make_discriminator(**settings["discriminator"])
        data = settings["data"] | {"mirror": False}
        archive = sets.open_set(cache_dir=weights.cache_folder() / "sets", **data)
        networks = [(f"seed {s}", D.initialize(jax.random.key(s))) for s in seeds]
    apply = jax.jit(D.apply)

    def logits(variables):
        return lambda images, c: apply(variables, images, c if D.c_dim else None)

    return D, archive, [(name, logits(v)) for name, v in networks]


def spread(archive, count: int, batch: int) -> list:
    """Batches of (images in [-1, 1], labels), spread evenly over a set."""
    import numpy as np

    if len(archive) < count:
        raise ValueError(f"--count={count}: the set has {len(archive)} images")
    numbers = np.linspace(0, len(archive) - 1, count).astype(int)
    images, labels = (np.stack(a) for a in zip(*(archive[int(i)] for i in numbers)))
    images = images.astype(np.float32) / 127.5 - 1
    parts = count // batch
    return list(zip(np.split(images, parts), np.split(labels, parts)))
