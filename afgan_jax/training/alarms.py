"""Alarms: signs in the statistics of ticks that a run goes wrong, and what to change.

An alarm measures a number on each tick. It sounds once that number was above a limit
for so many ticks in a row, and is over after as many without. r is the mean sign of D's
logits of real images: 0 if D is at a loss, 1 if it is sure of all; p the strength of
augmentation. Tick: of the usual 4 kimg.

Source: r, and p from which augmentations leak into what G learns: Training Generative
Adversarial Networks with Limited Data, Sec. 2 and 3.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

Means = Mapping[str, float]  # statistics of a tick by name
REAL, FAKE, P = "Loss/signs/real", "Loss/signs/fake", "Progress/augment"


@dataclasses.dataclass(frozen=True)
class Alarm:
    """`measure(means, those of the tick before)` should not stay above `limit`."""

    what: str
    measure: Callable[[Means, Means], float]  # NaN if it does not apply
    limit: float
    ticks: int
    advice: str


@dataclasses.dataclass(frozen=True)
class Status:
    """Whether an alarm sounds, and how many ticks in a row have said otherwise."""

    on: bool = False
    streak: int = 0


def value(means: Means, name: str) -> float:
    """The statistic, NaN if this tick has none of that name."""
    return means.get(name, math.nan)


def overconfidence(means: Means) -> float:
    """r, if D rejects more than half of the generated images: else all its logits may
    just have one sign, as those of an untrained D have."""
    return value(means, REAL) if value(means, FAKE) < 0 else math.nan


def rising_p(means: Means, before: Means) -> float:
    """p if it rose since the last tick."""
    return value(means, P) if value(means, P) > value(before, P) else math.nan


def _lost_updates(network: str) -> Alarm:
    # One of the usual 125 updates of a tick may overflow in half precision, and Adam
    # forgets it; two are a rate.
    return Alarm(
        f"share of {network}'s updates with NaN or infinity among the gradients",
        lambda means, _: value(means, f"Gradients/{network}/nonfinite"),
        limit=0.01,
        ticks=1,
        advice="they count as 0, or +-1e5 if infinite; if it goes on, stop, delete the"
        " checkpoints since it began and resume; if it comes back, begin a run with"
        f" float32 as dtype of both networks or a lower updates.{network}_lr",
    )


ALARMS = {
    # Healthy runs stay below 0.8 (target of adaptive augmentation: 0.6).
    "D_saturated": Alarm(
        "mean sign of D's logits of real images, not augmented,",
        lambda means, _: math.nan if P in means else overconfidence(means),
        limit=0.9,
        ticks=5,
        advice="D learns the images by heart; begin a run with augment.mode=ada, a"
        " larger losses.r1_gamma or more images",
    ),
    # p needs 300 kimg to become 0.6: give it a third of these before complaining.
    "D_saturated_augmented": Alarm(
        "mean sign of D's logits of real images, augmented,",
        lambda means, _: overconfidence(means) if P in means else math.nan,
        limit=0.9,
        ticks=25,
        advice="augmentation is too weak or too slow; begin a run with a lower"
        " augment.adjust_kimg (ada) or higher augment.p (fixed), a larger"
        " losses.r1_gamma or more images",
    ),
    # A D that has learned nothing shows 0, give or take a few hundredths a tick.
    "D_collapsed": Alarm(
        "mean sign of D's logits of generated less that of real images",
        lambda means, _: value(means, FAKE) - value(means, REAL),
        limit=0.2,
        ticks=5,
        advice="D takes generated images for real ones; begin a run with a smaller"
        " losses.r1_gamma or a lower updates.G_lr",
    ),
    # Published: leaks are unlikely below 0.8.
    "ADA_runaway": Alarm(
        "augmentation p, still rising,",
        rising_p,
        limit=0.8,
        ticks=3,
        advice="augmentations leak into generated images (turned, tinted); begin a run"
        " with a larger losses.r1_gamma, more images, a higher augment.target or fewer"
        " transforms (augment.preset=blit)",
    ),
    "G_gradients": _lost_updates("G"),
    "D_gradients": _lost_updates("D"),
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
    """Statuses by name in ALARMS after a tick; a line for each that begins to sound.

    `statuses` and `before`, the means of the tick before, are {} at first.
    """
    after, lines = {}, []
    for name, alarm in ALARMS.items():
        number = alarm.measure(means, before)
        status = statuses.get(name, Status())
        after[name] = follow(alarm, status, number)
        if after[name].on and not status.on:
            lines.append(_line(name, alarm, number))
    return after, lines


def _line(name: str, alarm: Alarm, number: float) -> str:
    span = "a tick" if alarm.ticks == 1 else f"{alarm.ticks} ticks"
    return (
        f"alarm {name}: {alarm.what} is {number:.3g}, above {alarm.limit:g} for {span}:"
        f" {alarm.advice}"
    )
