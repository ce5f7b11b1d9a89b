"""The phases of an iteration as a table: what is minimised, over what, how often."""

import dataclasses

from afgan_jax.training import objectives


@dataclasses.dataclass(frozen=True)
class Phase:
    """Minimise `gain` * OBJECTIVES[name] over `network` at every `interval`-th step."""

    name: str
    network: str  # "G" or "D"
    interval: int = 1
    gain: float = 1.0
    is_reg: bool = False  # leaves the optimiser's reg_free parameters alone


def make_phases(G: int | None, D: int | None) -> tuple[Phase, ...]:
    """G's phases, then D's, by the intervals of their regularisers.

    A regulariser with no interval joins the main phase.
    """
    phases = []
    for network, interval in (("G", G), ("D", D)):
        if interval is None:
            phases.append(Phase(network + "both", network))
        else:
            phases.append(Phase(network + "main", network))
            phases.append(Phase(network + "reg", network, interval, interval, True))
    return tuple(phases)


def reg_free(setup: objectives.Setup) -> dict[str, tuple[str, ...]]:
    """Endings of the paths of parameters that no regulariser depends on."""
    return {"G": setup.G.synthesis.rgb_bias, "D": ("out/bias",)}


def check_intervals(
    setup: objectives.Setup, part: int, G: int | None, D: int | None
) -> None:
    """Raises ValueError for an interval of no use; `part` is the batch of a pass."""
    if setup.pl_weight and part < setup.pl_batch_shrink:
        raise ValueError(
            f"path lengths take 1 image of losses.pl_batch_shrink="
            f"{setup.pl_batch_shrink}, but only {part} are trained on at a time: raise"
            " updates.batch_size or updates.microbatch"
        )
    for name, value in (("G", G), ("D", D)):
        if value is not None and value < 1:
            raise ValueError(
                f"updates.{name}_reg_interval={value} must be at least 1, or none"
            )
    if D is not None and setup.r1_gamma == 0:
        raise ValueError(
            f"updates.D_reg_interval={D} penalises gradients, but r1_gamma=0: set"
            " losses.r1_gamma, or updates.D_reg_interval to none"
        )
    if G is not None and setup.pl_weight == 0:
        raise ValueError(
            f"updates.G_reg_interval={G} regularises path lengths, but"
            " pl_weight=0: set losses.pl_weight, or updates.G_reg_interval to none"
        )


def check_frozen(count: int, layers: int) -> None:
    """Raises ValueError unless D has `count` layers to freeze among its `layers`."""
    if not 0 <= count <= layers:
        raise ValueError(
            f"losses.freeze_d={count} must be 0 to {layers}, the layers of D before its"
            " last block"
        )


def check_batch(
    batch: int, microbatch: int | None, devices: int, group: int | None
) -> None:
    """Raises ValueError for a batch that parts, devices or D's groups do not divide."""
    if batch < 1 or batch % devices:
        raise ValueError(
            f"updates.batch_size={batch} is not divisible by {devices} devices: choose"
            f" a multiple of {devices}"
        )
    parts = [n for n in range(devices, batch + 1, devices) if batch % n == 0]
    if microbatch is not None and microbatch not in parts:
        raise ValueError(
            f"updates.microbatch={microbatch} does not divide updates.batch_size="
            f"{batch} on {devices} devices: use none or {', '.join(map(str, parts))}"
        )
    name = "batch_size" if microbatch is None else "microbatch"
    together = microbatch or batch
    size = min(group or together, together)
    if together % size:
        raise ValueError(
            f"updates.{name}={together} is not a multiple of"
            f" discriminator.mbstd_group_size={size}: change one of them"
        )
