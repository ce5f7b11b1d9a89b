"""Text on the findings of an archive: faults, remedies, a command to train on it."""

from collections.abc import Iterator, Sequence

from afgan_jax import image_size
from afgan_jax.data.archive import CHANNELS
from afgan_jax.data.inspect import Findings

SHARE = 0.1  # of the images checked: a defect in so many affects training
IMBALANCE = 20  # largest class / smallest class
EXAMPLES = 3

# R1 gamma: GAMMA_0 x pixels / batch (StyleGAN3 paper, appendix F, where GAMMA_0 is
# searched from 0.0002 to 0.005); the published recommendations for batch 32 follow it.
GAMMA_0, GAMMA_RANGE = 0.001, (0.0002, 0.005)
# {largest resolution: (config, its batch size, its resolution)}
CONFIGS = {
    32: ("configs/earth32.py", 8, 32),
    64: ("configs/earth64.py", 8, 64),
    256: ("configs/ffhqu256.py:t", 64, 256),
    1024: ("configs/ffhq1024.py:t", 32, 1024),
}
REMEDIES = {
    "upscaled": "convert from larger originals, or to a smaller size",
    "blocked": "G will learn JPEG blocks: use better originals, or a smaller size",
    "aliased": "alias-free training cannot undo it: convert the originals again",
    "letterboxed": "G will learn the bars: crop them off",
}


def describe(findings: Findings) -> list[str]:
    """A line for each finding; faults start with "!"."""
    lines = [f"{findings.path}: {findings.images} images"]
    lines += _uniform("size", [f"{w}x{h}" for w, h in _ranked(findings.sizes)])
    if any(w != h or w & (w - 1) for w, h in findings.sizes):
        lines.append("  no square of a power of two, as the published program requires")
    lines += _uniform("mode", _ranked(findings.modes))
    if findings.broken:
        count = len(findings.broken)
        lines.append(f"! {count} cannot be read: {findings.broken[0]}")
    more = sum(len(group) - 1 for group in findings.duplicates)
    line = "  no two images are equal"
    if more:
        group = " = ".join(findings.duplicates[0][:EXAMPLES])
        line = f"! {more} are copies of others, such as {group}: remove them"
    unused = [f"! not used: {line}" for line in findings.left_out]
    return [*lines, line, *_defects(findings), *_labels(findings), *unused]


def _ranked(counts) -> list:
    return [value for value, _ in counts.most_common()]


def _uniform(what: str, values: Sequence[str]) -> Iterator[str]:
    if len(values) > 1:
        some = ", ".join(values[:EXAMPLES])
        yield f"! {what}s differ: {some}; dataset convert makes them equal"
    elif values:
        yield f"  {what}: {values[0]}"


def _defects(findings: Findings) -> Iterator[str]:
    for defect, names in findings.flagged.items():
        checked = findings.checked[defect]
        if not names:
            yield f"  {defect}: none of {checked} checked"
            continue
        line = f"{defect}: {len(names)} of {checked} checked"
        line += f", such as {', '.join(names[:EXAMPLES])}"
        bad = len(names) >= SHARE * checked
        yield f"! {line}; {REMEDIES[defect]}" if bad else f"  {line}"


def _labels(findings: Findings) -> Iterator[str]:
    if findings.label_fault is not None:
        yield f"! {findings.label_fault}"
    elif findings.classes is None:
        dim = findings.label_dim
        yield f"  labels: vectors of {dim}" if dim else "  no labels"
        if not dim and findings.could_be_classes:
            yield "  its folders could be classes: dataset convert --labels=folders"
    else:
        ranked = findings.classes.most_common()
        (most, many), (least, few) = ranked[0], ranked[-1]
        yield (
            f"  {len(ranked)} classes of {few} ({_class(findings, least)}) to"
            f" {many} ({_class(findings, most)}) images"
        )
        empty = findings.label_dim - len(ranked)
        if empty:
            yield f"! {empty} class numbers below {findings.label_dim} have no image"
        if many > IMBALANCE * few:
            times = f"{many / few:z.0f} times"
            yield f"! the largest class has {times} as many images as the smallest"


def _class(findings: Findings, number: int) -> str:
    names = findings.class_names
    return names[number] if names and number < len(names) else f"class {number}"


def suggest(findings: Findings) -> list[str]:
    """The command that trains on the archive, or that it needs conversion."""
    sizes, modes = _ranked(findings.sizes), _ranked(findings.modes)
    uniform = len(sizes) == 1 and len(modes) == 1 and not findings.broken
    possible = uniform and all(map(image_size.is_possible, sizes[0]))
    if not possible or modes[0] not in CHANNELS:
        return ["cannot be trained on as it is: see dataset convert"]
    width, height = sizes[0]
    resolution = image_size.setting((height, width))
    limits = [limit for limit in CONFIGS if limit >= min(width, height)]
    config, batch, own = CONFIGS[min(limits, default=max(CONFIGS))]
    gamma = GAMMA_0 * width * height / batch
    low, high = (g / GAMMA_0 * gamma for g in GAMMA_RANGE)
    changes = {"data.path": findings.path, "losses.r1_gamma": f"{gamma:z.3g}"}
    for section in ("generator.synthesis", "discriminator"):
        if modes[0] != "RGB":
            changes[f"{section}.img_channels"] = CHANNELS[modes[0]]
        if resolution != str(own):
            changes[f"{section}.resolution"] = resolution
    if resolution != str(own):
        changes["data.resolution"] = resolution
    if findings.label_dim:
        changes["data.use_labels"] = True
        for name in ("generator.mapping.c_dim", "discriminator.c_dim"):
            changes[name] = findings.label_dim
    flags = "".join(f" --config.{name}={value}" for name, value in changes.items())
    return [
        "to train:",
        f"  python -m afgan_jax train --config={config} --workdir=runs/NAME{flags}",
        f"  R1 gamma {gamma:z.3g} = {GAMMA_0} x {width} x {height} pixels / batch"
        f" {batch} (StyleGAN3 paper, appendix F); best searched from {low:z.2g} to"
        f" {high:z.2g}",
        "  --config.data.mirror=False for text and other images not to be flipped",
    ]
