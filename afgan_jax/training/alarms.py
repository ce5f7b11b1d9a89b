"""Alarms: statistics of ticks that show that a run goes wrong, and what to change.

An alarm measures a number on each tick. It turns on once the number was above a limit
for several ticks in a row, and off after as many ticks below. r is the mean sign of D's
logits of real images: 0 if D cannot tell them from generated ones, 1 if it always can;
p is the strength of augmentation. Limits are for ticks of 4 kimg, the default.

Source: Training Generative Adversarial Networks with Limited Data, Sec. 2 and 3 (r, and
the p above which augmentations leak into generated images).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

Means = Mapping[str, float]  # statistics of a tick by name
REAL, FAKE, P = "Loss/signs/real", "Loss/signs/fake", "Progress/augment"


@dataclasses.dataclass(frozen=True)
class Alarm:
    """`measure(means, means of the previous tick)` should not stay above `limit`."""

    what: str
    measure: Callable[[Means, Means], float]  # NaN if it does not apply
    limit: float
    ticks: int
    advice: str


@dataclasses.dataclass(frozen=True)
class Status:
    """Whether an alarm is on, and how many ticks in a row have measured otherwise."""

    on: bool = False
    streak: int = 0


def _value(means: Means, name: str) -> float:
    """The statistic, NaN if this tick has none of that name."""
    return means.get(name, math.nan)


def _overconfidence(means: Means) -> float:
    """r if D rejects more than half of the generated images, else NaN.

    All logits of an untrained D may have one sign.
    """
    return _value(means, REAL) if _value(means, FAKE) < 0 else math.nan


def _rising_p(means: Means, before: Means) -> float:
    return _value(means, P) if _value(means, P) > _value(before, P) else math.nan


def _nonfinite_updates(network: str) -> Alarm:
    # One of the 125 updates of a tick may overflow in half precision without harm.
    return Alarm(
        f"share of {network}'s updates with NaN or infinity among the gradients",
        lambda means, _: _value(means, f"Gradients/{network}/nonfinite"),
        limit=0.01,
        ticks=1,
        advice="NaN counts as 0, infinity as +-1e5; if this lasts, stop, delete the"
        " checkpoints since it began and resume; if it returns, start a run with"
        f" dtype=float32 for both networks or a lower updates.{network}_lr",
    )


ALARMS = {
    # Healthy runs stay below 0.8 (target of adaptive augmentation: 0.6).
    "D_saturated": Alarm(
        "mean sign of D's logits of real images, not augmented,",
        lambda means, _: math.nan if P in means else _overconfidence(means),
        limit=0.9,
        ticks=5,
        advice="D memorises the images; start a run with augment.mode=ada, a"
        " larger losses.r1_gamma or more images",
    ),
    # p needs 300 kimg to reach 0.6: wait for a third of that.
    "D_saturated_augmented": Alarm(
        "mean sign of D's logits of real images, augmented,",
        lambda means, _: _overconfidence(means) if P in means else math.nan,
        limit=0.9,
        ticks=25,
        advice="augmentation is too weak or adapts too slowly; start a run with a lower"
        " augment.adjust_kimg (ada) or higher augment.p (fixed), a larger"
        " losses.r1_gamma or more images",
    ),
    # For a D that has learned nothing this is 0, within a few hundredths.
    "D_collapsed": Alarm(
        "mean sign of D's logits of generated less that of real images",
        lambda means, _: _value(means, FAKE) - _value(means, REAL),
        limit=0.2,
        ticks=5,
        advice="D takes generated images for real ones; start a run with a smaller"
        " losses.r1_gamma or a lower updates.G_lr",
    ),
    # Published: leaks are unlikely below 0.8.
    "ADA_runaway": Alarm(
        "augmentation p, still rising,",
        _rising_p,
        limit=0.8,
        ticks=3,
        advice="augmentations leak into generated images (turned, tinted); start a run"
        " with a larger losses.r1_gamma, more images, a higher augment.target or fewer"
        " transforms (augment.preset=blit)",
    ),
    "G_gradients": _nonfinite_updates("G"),
    "D_gradients": _nonfinite_updates("D"),
}


def follow(alarm: Alarm, status: Status, number: float) -> Status:
    """The status after a tick that measured `number`; NaN is not above any limit."""
    if (number > alarm.limit) == status.on:
        return Status(status.on)
    if status.streak + 1 < alarm.ticks:
        return Status(status.on, status.streak + 1)
    return Status(not status.on)


def watch(
    statuses: Mapping[str, Status], means: Means, before: Means
) -> tuple[dict[str, Status], list[str]]:
    """Statuses by name after a tick, and a line for each alarm that turns on.

    `before` holds the means of the previous tick; it and `statuses` are {} at first.
    """
    after, lines = {}, []
    for name, alarm in ALARMS.items():
        number = alarm.measure(means, before)
        status = statuses.get(name, Status())
        after[name] = follow(alarm, status, number)
        if after[name].on and not status.on:
            span = "a tick" if alarm.ticks == 1 else f"{alarm.ticks} ticks"
            lines.append(
                f"alarm {name}: {alarm.what} is {number:z.3g}, above {alarm.limit:g}"
                f" for {span}: {alarm.advice}"
            )
    return after, lines
