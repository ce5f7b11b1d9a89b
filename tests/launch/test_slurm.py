"""launch/slurm.sbatch on a real SLURM cluster, whose two nodes are this machine."""

import functools
import os
import subprocess
import sys
import time
import zipfile

import pytest
from data import images
from processes import ROOT, free_address

from launch import slurm

pytestmark = pytest.mark.slurm

TRAIN = ("--config=smoke", "--config.train.total_kimg=0.32")
TRAIN += ("--config.train.checkpoint_ticks=1",)
NODES = "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=1", "--time=10"
LIMIT = 600  # seconds
OVER = "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def cpu(tmp_path_factory):
    """Variables with which a training compiles once, and quickly."""
    return {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("xla")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }


class Job:
    """A job of launch/slurm.sbatch with these arguments of train."""

    def __init__(self, environment, folder, arguments, **variables):
        variables |= {"STATES": f"{folder}/states"}
        self._environment = environment | variables
        self._log = folder / "log"
        command = ["sbatch", "--parsable", f"--output={self._log}", *NODES]
        self._id = self._call(*command, "launch/slurm.sbatch", *arguments)

    def _call(self, *command: str) -> str:
        return slurm.call(self._environment, *command)

    def __getitem__(self, name: str) -> str:
        words = self._call("scontrol", "show", "job", self._id).split()
        return next(w.partition("=")[2] for w in words if w.startswith(f"{name}="))

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def wait(self, condition) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            state = self["JobState"]
            is_over = state in OVER or time.monotonic() > end
            assert not is_over or condition(), f"{state}\n{self.log()}"
            time.sleep(0.2)

    def requeue(self) -> None:
        self._call("scontrol", "requeue", self._id)

    def warn(self) -> None:
        """Does what SLURM does --signal seconds before the time is over."""
        self._call("scancel", "--signal=TERM", self._id)

    def restart(self) -> None:
        """Starts it when it has been requeued: SLURM itself waits two minutes."""
        self.wait(lambda: self["JobState"] == "PENDING")
        # Not in the second of its end, up to which its credentials are revoked.
        update = "scontrol", "update", f"JobId={self._id}", "StartTime=now+2"
        self._call(*update)
        self.wait(lambda: self["JobState"] == "RUNNING")


def undisturbed(environment, folder, data) -> None:
    """The same training by two processes on this machine."""
    command = [sys.executable, "-m", "afgan_jax", "train", *TRAIN]
    command += [f"--config.data.path={data}"]
    command += [f"--workdir={folder}", f"--coordinator={free_address()}"]
    command += ["--num-processes=2", "--process-id"]
    children = [
        subprocess.Popen([*command, str(index)], env=environment, cwd=ROOT)
        for index in range(2)
    ]
    assert [child.wait(LIMIT) for child in children] == [0, 0]


def saved(folder) -> list[int]:
    """Steps, in their order, that are completely saved."""
    steps = [path.parent.name for path in folder.glob("checkpoints/*/checksums")]
    return sorted(int(step) for step in steps if step.isdigit())


def has_newer(folder, known: list[int]) -> bool:
    """Whether a later step than the known one is saved, if there is one."""
    return saved(folder)[-1:] > known


def final(folder) -> bytes:
    """The checksums of all arrays of the last checkpoint."""
    last = folder / "checkpoints" / str(saved(folder)[-1])
    return (last / "checksums" / "metadata").read_bytes()


def test_a_job_that_is_interrupted_ends_as_if_nothing_had_happened(
    cluster, cpu, tmp_path
):
    run, data = tmp_path / "run", tmp_path / "set.zip"
    with zipfile.ZipFile(data, "w") as file:
        for i in range(64):
            file.writestr(f"{i}.png", images.encoded(images.noise((16, 16), seed=i)))
    variables = {"STAGE": str(data), "STAGE_DIR": f"{tmp_path}/disk"}
    job = Job(cluster | cpu, tmp_path, [*TRAIN, f"--workdir={run}"], **variables)
    for count, interrupt in enumerate((job.requeue, job.warn), 1):
        job.wait(functools.partial(has_newer, run, saved(run)[-1:]))
        interrupt()
        job.restart()
        assert job.log().count("saved: run the same command to resume") == count
        assert job["Restarts"] == str(count)
    job.wait(lambda: job["JobState"] == "COMPLETED")
    assert (tmp_path / "disk" / "set.zip").read_bytes() == data.read_bytes()
    undisturbed(os.environ | cpu, tmp_path / "reference", data)
    assert final(run) == final(tmp_path / "reference")


def test_a_job_with_bad_input_is_not_requeued(cluster, cpu, tmp_path):
    job = Job(cluster | cpu, tmp_path, [*TRAIN, f"--workdir={tmp_path}", "--stepz=3"])
    job.wait(lambda: job["JobState"] == "FAILED")
    assert (job["ExitCode"], job["Restarts"]) == ("2:0", "0")
    assert "--stepz" in job.log()
