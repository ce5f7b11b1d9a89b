"""`view` in a real browser, used as a person does."""

import json
import os
import re
import subprocess
import sys

import pytest
import tiny
from processes import ROOT, free_address

from afgan_jax.runs import run_directory  # noqa: F401, made before the server starts


@pytest.mark.onnx
def test_a_person_uses_every_control(tmp_path):
    moving = tiny.save_run(tmp_path / "moving", "x.zip", resolution=32, num_layers=5)
    fixed = tiny.save_run(tmp_path / "fixed", "x.zip", resolution=16, kind="stylegan2")
    port = free_address().rpartition(":")[2]
    command = [sys.executable, "-m", "afgan_jax", "view", moving, fixed]
    serving = subprocess.Popen(
        [*map(str, command), f"--port={port}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    try:
        url = re.fullmatch(r"open (\S+)\n", serving.stdout.readline()).group(1)
        assert f"ssh -L {port}:127.0.0.1:{port} " in serving.stdout.readline()
        script = [
            "node",
            ROOT / "tests/explore/view.mjs",
            url,
            str(serving.pid),
            tmp_path,
        ]
        done = subprocess.run(script, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()
    assert (
        seen.pop("address") == f"http://127.0.0.1:{port}/"
    )  # the token is out of sight
    assert seen.pop("errors") == [] and seen.pop("labels") == []
    assert seen.pop("narrow") <= 400 and seen.pop("saved") == "view.png"
    assert seen.pop("frames_per_second") > 1
    assert not [name for name, value in seen.items() if not value], seen
