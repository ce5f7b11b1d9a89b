"""The phases of an iteration as a table: what is minimised, over what, how often."""

import dataclasses

from afgan_jax import errors, ranges
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
    """G's phases, then D's, for these intervals of their regularisers.

    A regulariser whose interval is None joins the main phase.
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
    """Suffixes of the paths of parameters that no regulariser depends on."""
    return {"G": setup.G.synthesis.rgb_bias, "D": ("out/bias",)}


def check_intervals(
    setup: objectives.Setup, part: int, G: int | None, D: int | None
) -> None:
    """Raises SettingError for intervals without a regulariser and for a small `part`.

    `part` is the number of images that are computed at a time.
    """
    if setup.pl_weight and part < setup.pl_batch_shrink:
        raise errors.SettingError(
            "losses.pl_batch_shrink",
            setup.pl_batch_shrink,
            f"takes 1 image of so many, but {part} are trained on at a time: raise"
            " updates.batch_size or updates.microbatch",
        )
    ranges.check("updates", G_reg_interval=G, D_reg_interval=D)
    weights = {"G": ("pl_weight",), "D": ("r1_gamma", "r2_gamma")}
    for network, interval in (("G", G), ("D", D)):
        weight, *_ = weights[network]
        if interval is not None and not any(
            getattr(setup, name) for name in weights[network]
        ):
            name = f"updates.{network}_reg_interval"
            why = f"regularises by {weight}=0: set losses.{weight}, or {name} to none"
            raise errors.SettingError(name, interval, why)


def check_frozen(count: int, layers: int) -> None:
    """Raises SettingError unless D has `count` layers to freeze among its `layers`."""
    if not 0 <= count <= layers:
        why = f"must be 0 to {layers}, the layers of D before its last block"
        raise errors.SettingError("losses.freeze_d", count, why)


def check_batch(
    batch: int, microbatch: int | None, devices: int, group: int | None
) -> None:
    """Raises SettingError if parts, devices or D's groups do not divide the batch."""
    name = "updates.batch_size"
    if batch < 1 or batch % devices:
        why = f"must be a multiple of {devices}, the number of devices, above 0"
        raise errors.SettingError(name, batch, why)
    parts = [n for n in range(devices, batch + 1, devices) if batch % n == 0]
    if microbatch is not None and microbatch not in parts:
        why = f"does not divide {name}={batch} on {devices} devices: use none or"
        why = f"{why} {', '.join(map(str, parts))}"
        raise errors.SettingError("updates.microbatch", microbatch, why)
    together = microbatch or batch
    size = min(group or together, together)
    if together % size:
        why = f"is not a multiple of discriminator.mbstd_group_size={size}: change one"
        name = name if microbatch is None else "updates.microbatch"
        raise errors.SettingError(name, together, why)
