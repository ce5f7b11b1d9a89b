"""The verbs of the command line, a module each, and how their flags are read."""

from afgan_jax import errors


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

    with errors.naming("generator"):
        G = generator.make_generator(**settings["generator"])
    with errors.naming("discriminator"):
        D = discriminator.make_discriminator(**settings["discriminator"])
    return G, D


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
