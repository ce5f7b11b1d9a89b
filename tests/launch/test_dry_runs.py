"""What --dry-run prints, word for word; golden/NAME.txt holds it.

With UPDATE_DRY_RUNS=1 the files are written anew: read their differences.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

GOLDEN = Path(__file__).parent / "golden"
GKE = [sys.executable, "launch/gke.py"]
RUN = [*GKE, "run", "mine", "--dry-run", "--max-hours=24", "--image=afgan:tpu"]
TRAIN = ["python", "-m", "afgan_jax", "train", "--config=ffhqu256:r"]
TRAIN += ["--workdir=gs://bucket/runs/mine"]
SBATCH = ["bash", "launch/slurm.sbatch", "--config=ffhqu256:r", "--workdir=runs/mine"]
NODE = {"SLURM_GPUS_ON_NODE": "8", "SLURM_NTASKS_PER_NODE": "8", "SLURM_NTASKS": "16"}
TPU = [sys.executable, "launch/tpu.py"]
MINE = ["mine", "--zone=us-east5-a", "--dry-run"]
POD = ["--type=v5e-16", "--spot", "--max-hours=24"]
FLEX = ["--type=v6e-64", "--flex-start", "--max-hours=8", "--wait-hours=48"]
FLEX += ["--project=lab", "--gcloud-flag=--network=ours"]
AGAIN = ["--type=v6e-64", "--max-hours=8", "--env=A=1"]
BARE = {"PATH": "/nowhere"}  # no gcloud, no git: nothing can be run
DRY_RUNS = {  # name: command, variables
    "gke-tpu": ([*RUN, "--accelerator=v6e:4x4", "--spot", "--", *TRAIN], {}),
    "gke-gpus": ([*RUN, "--accelerator=h100:8", "--nodes=2", "--", *TRAIN], {}),
    "gke-xpk": ([*RUN, "--accelerator=v5p:2x2x4", "--xpk=c", "--", *TRAIN], {}),
    "gke-status": ([*GKE, "status", "mine", "--dry-run"], {}),
    "gke-logs": ([*GKE, "logs", "mine", "--dry-run"], {}),
    "gke-delete": ([*GKE, "delete", "mine", "--dry-run"], {}),
    "gke-list": ([*GKE, "list", "--dry-run"], {}),
    "tpu-babysit": ([*TPU, "babysit", *MINE, *POD, "--", *TRAIN], BARE),
    "tpu-create": ([*TPU, "create", *MINE, *FLEX], BARE),
    "tpu-run": ([*TPU, "run", *MINE, *AGAIN, "--", *TRAIN], BARE),
    "tpu-status": ([*TPU, "status", *MINE], BARE),
    "tpu-logs": ([*TPU, "logs", *MINE, "--worker=all", "--follow"], BARE),
    "tpu-stop": ([*TPU, "stop", *MINE], BARE),
    "tpu-delete": ([*TPU, "delete", *MINE], BARE),
    "tpu-list": ([*TPU, "list", "--dry-run"], BARE),
    "slurm-nodes": (SBATCH, NODE | {"STAGE": "/shared/photos.zip"}),
    "slurm-container": (SBATCH, NODE | {"CONTAINER": "registry/afgan:cuda12"}),
    "slurm-one-gpu": (SBATCH, {"SLURM_GPUS_ON_NODE": "1", "https_proxy": "x:1"}),
    "slurm-one-task": (SBATCH, {"SLURM_GPUS_ON_NODE": "4"}),
}


def call(command: list, variables: dict) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "DRY_RUN": "1", "SLURM_JOB_ID": "17"}
    environment |= variables
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    return subprocess.run(command, **options)


@pytest.mark.parametrize("name", DRY_RUNS)
def test_a_dry_run_prints_what_would_be_done(name):
    done = call(*DRY_RUNS[name])
    assert done.returncode == 0, done.stderr
    said, file = done.stdout.replace(str(ROOT), "ROOT"), GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_DRY_RUNS"):
        file.write_text(said)
    assert said == file.read_text()


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"SLURM_GPUS_ON_NODE": "8", "SLURM_NTASKS_PER_NODE": "2"}, "tasks-per-node=8"),
        ({"SLURM_GPUS_PER_TASK": "1"}, "use --gpus-per-node"),
    ],
)
def test_gpus_that_jax_would_not_see_are_refused(variables, said):
    done = call(SBATCH, variables)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert said in line
