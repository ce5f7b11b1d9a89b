"""Results of the paper by configuration: EQ in dB, FID of 50000 images.

Hours are those of a training on 8 A100 and on 8 V100 by the published program.
Source: Alias-Free GAN.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Result(NamedTuple):
    """None: not in the paper."""

    fid: float
    eqt_int: float | None = None
    eqt_frac: float | None = None
    eqr: float | None = None
    hours: tuple[int, int] | None = None


# Rows of configs/ablation.py: FFHQ-U at 256x256 after 25000 kimg.
LADDER = {
    "a": Result(5.14, hours=(15, 25)),
    "b": Result(4.79, 16.23, 16.28, 10.81),
    "c": Result(4.54, 15.81, 15.84, 10.84),
    "d": Result(5.21, 19.47, 19.57, 10.41),
    "e": Result(6.02, 24.62, 24.70, 10.97),
    "f": Result(6.35, 30.60, 30.68, 10.81),
    "g": Result(4.78, 43.90, 42.24, 10.84),
    "h": Result(4.64, 45.20, None, 10.61),
    "t": Result(4.62, 63.01, 46.40, 13.12, (26, 51)),
    "r": Result(4.50, 66.65, 45.92, 40.48, (33, 47)),
}
# After 25000 kimg; MetFaces after 5000, initialised from FFHQ(-U).
CONFIGS = {f"ffhqu256:{row}": LADDER[row] for row in "tra"} | {
    "ffhq1024:t": Result(2.79, 61.2, hours=(139, 199)),
    "ffhq1024:r": Result(3.07, 64.8, None, 46.6, (163, 237)),
    "ffhq1024:t-u": Result(3.67, 61.7, hours=(139, 199)),
    "ffhq1024:r-u": Result(3.66, 64.8, None, 47.6, (163, 237)),
    "metfaces1024:t": Result(15.11, 65.2, hours=(29, 41)),
    "metfaces1024:r": Result(15.33, 64.9, None, 46.8, (34, 49)),
    "metfaces1024:t-u": Result(18.75, 64.1, hours=(29, 41)),
    "metfaces1024:r-u": Result(18.75, 66.3, None, 48.6, (34, 49)),
    "afhqv2_512:t": Result(4.04, 60.2, hours=(85, 128)),
    "afhqv2_512:r": Result(4.40, 64.9, None, 40.3, (98, 142)),
}


def table(results: Mapping[str, Result]) -> str:
    """A table in Markdown."""
    head = ("config", "FID", "EQ-T", "EQ-T_frac", "EQ-R", "hours, A100 / V100")
    rows = [head, ("---",) * len(head)]
    for name, result in results.items():
        *numbers, hours = result
        rows.append(
            (
                f"`{name}`",
                *("" if number is None else f"{number:g}" for number in numbers),
                "" if hours is None else f"{hours[0]} / {hours[1]}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
