"""A real training of two workers in a bucket, preempted on the way.

Each worker is a folder of its own, which the preemption deletes: see fake_gcloud.py.
"""

import json
import os
import subprocess
import sys
import time

import buckets
import fake_gcloud
import numpy as np
import pytest
import test_tpu
from processes import free_address

from afgan_jax.data import archive
from afgan_jax.runs.bucket import Bucket

TICKS, EACH = 24, 8  # images a tick


def settings(folder) -> dict[str, str]:
    flags = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "XLA_FLAGS": flags,
        "JAX_COORDINATOR_PORT": free_address().rpartition(":")[2],
    }


def training(folder, run) -> list[str]:
    changes = {
        "data.path": folder / "images.zip",
        "train.total_kimg": TICKS * EACH / 1000,
        "train.tick_kimg": EACH / 1000,
        "train.checkpoint_ticks": 3,
    }
    words = [f"--config.{name}={value}" for name, value in changes.items()]
    command = ["python", "-m", "afgan_jax", "train", "--config=smoke"]
    return [*command, f"--workdir={run}", *words]


def statistics(text: bytes | None) -> list[dict]:
    """Of each tick, without what depends on the machine."""
    own = ("Timing/", "Resources/", "timestamp")
    ticks = [json.loads(line) for line in (text or b"").splitlines()]
    return [{k: v for k, v in t.items() if not k.startswith(own)} for t in ticks]


@pytest.mark.slow
@pytest.mark.filterwarnings(buckets.LEFT_OPEN)
def test_a_preemption_changes_no_statistic_of_a_pod(gcs, folder_url, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16, 16, 3), np.uint8)
    archive.write_archive(tmp_path / "images.zip", images)
    bucket, environment = Bucket(folder_url), settings(tmp_path) | gcs.environment
    words = ["babysit", "mine", "--zone=z", "--type=v4-16", "--spot", "--max-hours=1"]
    words += ["--poll=0.5", f"--python={sys.executable}"]
    words += [f"--env={name}={value}" for name, value in environment.items()]
    with test_tpu.cloud_and_checkout(tmp_path, "launch", "afgan_jax", "configs"):
        command = training(tmp_path, folder_url)
        child = test_tpu.launch(tmp_path, [*words, "--", *command])
        end = time.monotonic() + 400
        while len(statistics(bucket.read("stats.jsonl")[0])) < 7:
            assert time.monotonic() < end and child.poll() is None
            time.sleep(0.1)
        fake_gcloud.Cloud(tmp_path / "cloud").preempt("mine")
        reached = len(statistics(bucket.read("stats.jsonl")[0]))
        out = test_tpu.output(child, timeout=400)
    assert child.returncode == 0, out
    assert 7 <= reached < TICKS and len(test_tpu.calls(tmp_path, "create")) == 2
    command = training(tmp_path, tmp_path / "undisturbed")
    subprocess.run(
        [sys.executable, test_tpu.ROOT / "launch" / "local.py", "--processes=2", "--"]
        + [sys.executable, *command[1:]],
        env=os.environ | environment,
        cwd=test_tpu.ROOT,
        check=True,
    )
    text = (tmp_path / "undisturbed" / "stats.jsonl").read_bytes()
    assert len(statistics(text)) == TICKS
    assert statistics(bucket.read("stats.jsonl")[0]) == statistics(text)
