"""Short trainings that save as often as they can, and what they leave behind."""

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from afgan_jax.runs import checksums, run_directory

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs" / "smoke.py")
STEP = 0.008  # kimg of a step
UNFINISHED = ("tmp", "part", "partial", "inprogress")  # in names of files


def write_images(folder: Path, count: int = 12, size: int = 16) -> Path:
    """A folder of images of noise, with labels of two classes in dataset.json."""
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.random.RandomState(i).randint(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    labels = [[f"{i}.png", i % 2] for i in range(count)]
    table = {"labels": labels, "class_names": ["even", "odd"]}
    (folder / "dataset.json").write_text(json.dumps(table))
    return folder


def changes(images: Path, steps: int, **more) -> dict:
    """Changes of the config: a checkpoint a step, a grid of images every third."""
    return {
        "data.path": str(images),
        "data.use_labels": True,
        "generator.mapping.c_dim": 2,
        "discriminator.c_dim": 2,
        "generator.synthesis.channel_max": 4,
        "discriminator.channel_max": 4,
        "train.total_kimg": steps * STEP,
        "train.tick_kimg": STEP,
        "train.checkpoint_ticks": 1,
        "train.image_ticks": 3,
    } | more


def flags(images: Path, workdir: Path, steps: int, **more) -> list[str]:
    """Flags of the verb train for the same."""
    settings = changes(images, steps, **more).items()
    given = [f"--config.{name}={value}" for name, value in settings]
    return [f"--config={CONFIG}", f"--workdir={workdir}", *given]


def train(images: Path, workdir: Path | str, steps: int, **more) -> None:
    """Trains the run in workdir up to so many steps."""
    from afgan_jax.assembly import training

    training.train(CONFIG, workdir, changes=changes(images, steps, **more))


def copy_compiled(source: Path, target: Path) -> None:
    """Gives a new run the compiled programs of another."""
    shutil.copytree(source / ".cache" / "compiled", target / ".cache" / "compiled")


def state_of(workdir: Path) -> tuple[int, dict]:
    """(step, checksums by leaf) of the newest checkpoint, as it was saved."""
    step = run_directory.Run.open(workdir).latest_step()
    file = workdir / "checkpoints" / str(step) / "checksums" / "metadata"
    return step, checksums.unseal(file.read_text())


def results_of(workdir: Path) -> dict:
    """What a training leaves behind, without times: to compare two runs."""
    stats = [json.loads(s) for s in (workdir / "stats.jsonl").read_text().splitlines()]
    losses = [
        {"nimg": line["nimg"]}
        | {name: value for name, value in line.items() if name.startswith("Loss")}
        for line in stats
    ]
    images = {p.name: p.read_bytes() for p in sorted(workdir.glob("*.png"))}
    kept = sorted(p.name for p in (workdir / "checkpoints").iterdir())
    return {
        "state": state_of(workdir),
        "losses": losses,
        "images": images,
        "classes": (workdir / "classes.json").read_text(),
        "plan": (workdir / "plan.json").read_text(),
        "checkpoints": [n for n in kept if not n.startswith("set-aside")],
    }


def differences(found: dict, expected: dict) -> list[str]:
    """The names of results that differ."""
    return [f"{name} differ" for name in expected if found[name] != expected[name]]


def half_written(folder: Path) -> list[str]:
    """Unfinished files that do not look so: visible ones with a name of UNFINISHED."""
    return [
        f"{path.relative_to(folder)} is left over"
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and any(word in path.name.split(".")[-1] for word in UNFINISHED)
    ]
