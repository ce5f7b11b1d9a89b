"""Rows of the ladder and some ablations through the command line.

Planned, trained for two ticks of a step each, shown and measured: as small as they go.
"""

import json

import pytest
from training import least

from afgan_jax.__main__ import main
from afgan_jax.runs import run_directory

pytestmark = pytest.mark.slow

TICKS = {"train.total_kimg": 0.016, "train.tick_kimg": 0.008}
FLEXIBLE = {"generator.synthesis.num_layers": 4, "generator.synthesis.num_critical": 1}


def train(arg: str, images, workdir, *flags: str) -> int:
    flexible = arg[0] in "tr" and "inflexible" not in arg
    overrides = least.overrides(images, **TICKS | (FLEXIBLE if flexible else {}))
    config = f"--config={least.ABLATION}:{arg}"
    return main(["train", config, f"--workdir={workdir}", *overrides, *flags])


# What the code tells apart: skips and noise or none, waves, margins, bands, radial.
@pytest.mark.parametrize("row", "abfr")
def test_a_row_is_planned_and_trained(row, images, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(f"{row}:small", images, run) == 0
    assert run_directory.Run.open(run).checkpoints.steps() == [1, 2]
    stats = (run / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["nimg"] for line in stats] == [8, 16]

    plan = json.loads((run / "plan.json").read_text())
    assert plan[0]["rate"] == (16 if row in "tr" else 4) and plan[-1]["rate"] == 16
    capsys.readouterr()
    assert train(f"{row}:small", images, run, "--dry-run") == 0
    table = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in table[1 : len(plan) + 1]]
    assert names == [layer["name"] for layer in plan]
    if row in "abfr":
        check_shown_and_measured(row, run, tmp_path, capsys)


def check_shown_and_measured(row, run, tmp_path, capsys):
    moving = ["--rotate=10", "--translate=0.25,0"]
    shown = ["generate", f"--run={run}", f"--outdir={tmp_path}", "--seeds=0"]
    assert main(shown) == 0 and (tmp_path / "seed0000.png").exists()
    measured = ["analyze", "equivariance", f"--run={run}", f"--outdir={tmp_path}"]
    measured += ["--samples=2", "--batch=2", "--frames=1", "--seed=0"]
    probed = [
        "analyze",
        "layer-equivariance",
        f"--run={run}",
        f"--outdir={tmp_path}",
        "--samples=4",
    ]
    ways = {"generate": [*shown, *moving], "equivariance": measured, "probe": probed}
    refused = {"a": set(ways)} | dict.fromkeys("bcde", {"probe"})
    for verb, line in ways.items():
        capsys.readouterr()
        code = main(line)
        assert code == (2 if verb in refused.get(row, ()) else 0), verb
        if code:
            err = capsys.readouterr().err
            assert "StyleGAN2" in err and err.count("\n") == 1


ABLATIONS = [
    "t:noise,mixing,path,n=4,m=4,stopband=1.5,margin=12",
    "r:lanczos,fixed,capacity=2",
    "r:gaussian,inflexible",
]


@pytest.mark.parametrize("arg", ABLATIONS)
def test_an_ablation_is_trained(arg, images, tmp_path):
    row, options = arg.split(":")
    assert train(f"{row}:small,{options}", images, tmp_path / "run") == 0
    assert run_directory.Run.open(tmp_path / "run").checkpoints.steps() == [1, 2]
