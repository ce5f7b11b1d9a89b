"""Train every row of the ladder alike and measure how exactly its images follow.

python -m afgan_jax ladder --kimg=16 --workdir=runs/ladder

Each row of configs/ablation.py is measured twice: untrained, at the 256x256 of the
paper with an eighth of the channels; and after --kimg thousand images of the Earth at
64x64 from one seed (the row's `:small`). Images are made as contrasty as photographs
first: where all is duller, all is also less wrong, by as many dB.
WORKDIR/ladder.json has the results, in dB, and "contrast", that of the images as they
come, the standard deviation of pixels in [-1, 1]; ladder.png shows them beside the
paper's, and WORKDIR/a to WORKDIR/r are runs like any other. Run it again to go on where
it stopped, or with a larger --kimg to train all rows on to that. Row A has no input
that could be moved: it is trained, not measured.
--config.SECTION.KEY=VALUE changes a setting of all rows, of G in both measurements.
"""

import json
from pathlib import Path

from absl import flags

from afgan_jax import cli

CONFIG = "configs/ablation.py"
ROWS = ("a", "b", "c", "d", "e", "f", "g", "h", "t", "r")
KINDS = {"eqt_int": "EQ-T", "eqt_frac": "EQ-T_frac", "eqr": "EQ-R"}
# Fig. 3, left: FFHQ-U at 256x256 after 25000 kimg, dB in the order of KINDS.
PUBLISHED = {
    "b": (16.23, 16.28, 10.81),
    "c": (15.81, 15.84, 10.84),
    "d": (19.47, 19.57, 10.41),
    "e": (24.62, 24.70, 10.97),
    "f": (30.60, 30.68, 10.81),
    "g": (43.90, 42.24, 10.84),
    "h": (45.20, None, 10.61),
    "t": (63.01, 46.40, 13.12),
    "r": (66.65, 45.92, 40.48),
}
NARROWER = 8
CONTRAST = 0.5  # of photographs, about

RECORD, PICTURE = "ladder.json", "ladder.png"

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "new or resumed folder", flag_values=FLAGS)
flags.DEFINE_float("kimg", 16.0, "of each training", lower_bound=0, flag_values=FLAGS)
flags.DEFINE_list("rows", list(ROWS), "such as f,g,t", flag_values=FLAGS)
flags.DEFINE_integer(
    "samples", 64, "images measured by each metric", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer("batch", 4, "images at a time", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_string("config", CONFIG, "where the rows are", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    overrides = cli.parse(FLAGS, argv, required=("workdir",))
    check(FLAGS.rows, FLAGS.kimg)
    cli.check_writable("workdir", FLAGS.workdir)
    workdir = Path(FLAGS.workdir).expanduser()
    if "train.total_kimg" in overrides:
        raise ValueError("--config.train.total_kimg is --kimg here, the same for all")
    settings = {name: FLAGS[name].value for name in ("kimg", "samples", "batch")}
    record = open_record(workdir / RECORD, settings | {"config": overrides})
    changes = overrides | {"train.total_kimg": FLAGS.kimg}

    # Here, not on top: --help must not wait for JAX.
    import tqdm

    steps = [(row, stage) for row in FLAGS.rows for stage in STAGES]
    for row, stage in tqdm.tqdm(steps, unit="step", desc="ladder"):
        rungs = record["dB"].setdefault(row, {})
        if stage in rungs:
            continue
        measured = STAGES[stage](row, workdir / row, changes)
        if measured is None:
            print("stopped: the same command goes on from there")
            return
        rungs[stage] = measured
        save(workdir, record)
    save(workdir, record)
    print(table(record["dB"]))
    print(f"wrote {RECORD} and {PICTURE} to {workdir}")


def check(rows: list[str], kimg: float) -> None:
    """Raises ValueError for rows that are unknown or repeated, and for no training."""
    for row in rows:
        if row not in ROWS:
            raise ValueError(
                f"--rows: {row!r} is unknown: use some of {','.join(ROWS)}"
            )
        if rows.count(row) > 1:
            raise ValueError(f"--rows: {row} is given twice")
    if not rows or not 0 < kimg < float("inf"):
        raise ValueError(f"--kimg={kimg}, --rows={','.join(rows)}: nothing to train")


def open_record(path: Path, settings: dict) -> dict:
    """What was measured before with these settings; ValueError if with others.

    Of a shorter training, only what was untrained.
    """
    from afgan_jax.runs import atomic

    record = {"unit": "dB", "settings": settings, "dB": {}}
    if not path.exists():
        return record
    found = json.loads(path.read_text())
    old = found["settings"]
    if old["kimg"] < settings["kimg"] and old == settings | {"kimg": old["kimg"]}:
        rungs = {row: stages["untrained"] for row, stages in found["dB"].items()}
        record["dB"] = {row: {"untrained": dB} for row, dB in rungs.items()}
        atomic.write(path, json.dumps(record, indent=2))
        return record
    for name, value in settings.items():
        if old[name] != value:
            raise ValueError(
                f"{path} was measured with {name}={old[name]}, not {value}: name"
                " another workdir, or the same settings"
            )
    return found


def untrained(row: str, workdir: Path, overrides: dict) -> dict[str, float]:
    """dB by kind of the row at the paper's resolution, narrower, before training."""
    import jax

    from afgan_jax.networks import generator
    from afgan_jax.runs import config

    spec = f"{FLAGS.config}:{row}"
    full = config.load(spec, {}, cli.schema())["generator"]["synthesis"]
    sizes = ("channel_base", "channel_max")
    changes = {f"generator.synthesis.{s}": full[s] // NARROWER for s in sizes}
    changes |= {k: v for k, v in overrides.items() if k.startswith("generator.")}
    settings = config.load(spec, changes, cli.schema())
    G = generator.make_generator(**settings["generator"])
    return measure(G, G.initialize(jax.random.key(0)))


def trained(row: str, workdir: Path, overrides: dict) -> dict[str, float] | None:
    """dB by kind of the row after its training; None if that was stopped."""
    from afgan_jax.cli import train
    from afgan_jax.runs import run_directory, saved_networks

    train.train(f"{FLAGS.config}:{row}:small", workdir, overrides)
    run = run_directory.Run.open(workdir)
    images = run.latest_step() * run.config["updates"]["batch_size"]
    if images < FLAGS.kimg * 1000:
        return None
    return measure(*saved_networks.load_generator(workdir, dtype="float32")[:2])


def measure(G, variables) -> dict[str, float]:
    """dB by kind, at CONTRAST, and what contrast images have; {} if none can move."""
    import jax
    import numpy as np

    from afgan_jax.metrics import equivariance
    from afgan_jax.signal import affine

    if not G.synthesis.can_move:
        return {}

    @jax.jit
    def draw(variables, key, transform):
        z = jax.random.normal(key, (FLAGS.batch, G.mapping.z_dim))
        return G.apply(variables, z, transform=transform)

    keys = jax.random.split(jax.random.key(0), -(-FLAGS.samples // FLAGS.batch))
    still = affine.translation(0.0, 0.0)
    # Accelerators round the factors of products otherwise, and would be measured too.
    with jax.default_matmul_precision("highest"):
        contrast = float(np.std([draw(variables, key, still) for key in keys]))
        gain = CONTRAST / contrast
        decibels = equivariance.measure(
            lambda key, transform: gain * draw(variables, key, transform),
            num_samples=FLAGS.samples,
            batch_size=FLAGS.batch,
            seed=0,
            resolution=G.synthesis.resolution,
            kinds=tuple(KINDS),
        )
    return decibels | {"contrast": contrast}


STAGES = {"untrained": untrained, "trained": trained}


def save(workdir: Path, record: dict) -> None:
    """Writes what was measured so far, and draws it."""
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot

    workdir.mkdir(parents=True, exist_ok=True)
    panels = {}
    for i, (kind, label) in enumerate(KINDS.items()):
        published = {row: values[i] for row, values in PUBLISHED.items()}
        panels[label] = columns(record["dB"], kind) | {"paper, 256x256": published}
    plot.mark_panels(workdir / PICTURE, panels, order=ROWS, ylabel="dB")
    atomic.write(workdir / RECORD, json.dumps(record, indent=2))


def columns(decibels: dict, kind: str) -> dict[str, dict[str, float]]:
    """{stage: {row: dB}} of a kind, where it was measured."""
    return {
        stage: {
            row: rungs[stage][kind]
            for row, rungs in decibels.items()
            if kind in rungs.get(stage, {})
        }
        for stage in STAGES
    }


def table(decibels: dict) -> str:
    """Rows of dB and contrast, a column for each of a stage, and the paper's dB."""
    measured, labels = [*KINDS, "contrast"], [*KINDS.values(), "contrast"]
    groups = [f"{stage:>11}" + " " * 11 * len(KINDS) for stage in STAGES]
    lines = ["   " + "".join(groups) + f"{'paper':>11}", "row"]
    labels = labels * len(STAGES) + labels[:-1]
    lines[1] += "".join(f"{label:>11}" for label in labels)
    for row in filter(decibels.__contains__, ROWS):
        values = [decibels[row].get(s, {}).get(m) for s in STAGES for m in measured]
        values += PUBLISHED.get(row, (None,) * len(KINDS))
        cells = ["-" if value is None else f"{value:.2f}" for value in values]
        lines.append(f"{row:3}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines)
