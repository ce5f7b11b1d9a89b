"""What launch/sky.yaml runs trains, on two nodes that are this machine."""

import os
import subprocess
import sys

import pytest
import yaml
from processes import ROOT, free_address


@pytest.mark.slow
def test_the_nodes_of_a_task_train_together(tmp_path):
    task = yaml.safe_load((ROOT / "launch" / "sky.yaml").read_text())
    python = tmp_path / "afgan" / "bin" / "python"  # where the task installs it
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    variables = {name: str(value) for name, value in task["envs"].items()}
    variables |= {
        "HOME": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "PYTHONPATH": str(ROOT),
        "WORKDIR": str(tmp_path / "run"),
        "CONFIG": "smoke",
        "FLAGS": "--config.train.total_kimg=0.016 --config.samples.rows=1",
        "PORT": free_address().split(":")[1],
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NODE_IPS": "127.0.0.1\n127.0.0.1",
    }
    nodes = [
        subprocess.Popen(
            ["bash", "-c", task["run"]],
            cwd=ROOT,
            env=os.environ | variables | {"SKYPILOT_NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(outs)
    assert "rows 4-7 of each batch of 8" in outs[1]
    assert (tmp_path / "run" / "checkpoints" / "2" / "checksums").is_dir()
