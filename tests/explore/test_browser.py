"""`view` in a real browser, used as a person does."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tiny
from processes import ROOT, free_address

from afgan_jax.runs import run_directory  # noqa: F401, made before the server starts


class Serving:
    """`view` of these models, always on the same port."""

    def __init__(self, *models):
        self.port = free_address().rpartition(":")[2]
        command = [sys.executable, "-m", "afgan_jax", "view", *map(str, models)]
        self.command = [*command, f"--port={self.port}"]

    def start(self, token: str) -> str:
        """The URL that it prints."""
        settings = {"JAX_PLATFORMS": "cpu", "AFGAN_VIEW_TOKEN": token}
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | settings,
        )
        url = re.fullmatch(r"open (\S+)\n", self.process.stdout.readline()).group(1)
        assert f"ssh -L {self.port}:127.0.0.1:{self.port} " in (
            self.process.stdout.readline()
        )
        return url

    def kill(self) -> str:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        return ""


@pytest.mark.onnx
def test_a_person_uses_every_control(tmp_path):
    moving = tiny.save_run(tmp_path / "moving", "x.zip", resolution=32, num_layers=5)
    fixed = tiny.save_run(tmp_path / "fixed", "x.zip", resolution=16, kind="stylegan2")
    serving = Serving(moving, fixed)
    answers = {
        "kill": serving.kill,
        "start": lambda: serving.start("a" * 20),
        "start with another token": lambda: serving.start("b" * 20),
    }
    script = ["node", ROOT / "tests/explore/view.mjs", answers["start"](), tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    browsing = subprocess.Popen(
        script, text=True, bufsize=1, stderr=subprocess.PIPE, **pipes
    )
    try:
        for line in browsing.stdout:
            if line.strip() not in answers:
                break
            browsing.stdin.write(answers[line.strip()]() + "\n")
        _, complaints = browsing.communicate(timeout=300)
        assert browsing.returncode == 0, complaints
        seen = json.loads(line)
    finally:
        browsing.kill()
        serving.kill()
    address = f"http://127.0.0.1:{serving.port}/"
    assert seen.pop("address") == address  # the token is out of sight
    assert seen.pop("errors") == [] and seen.pop("labels") == []
    assert seen.pop("narrow") <= 400 and seen.pop("saved") == "view.png"
    assert seen.pop("frames_per_second") > 1
    said = seen.pop("decibels")
    assert re.fullmatch(r"filters on: EQ-T_frac \S+ dB, EQ-R \S+ dB", said)
    assert np.load(tmp_path / "w.npz")["w"].shape[0] == 1
    assert not [name for name, value in seen.items() if not value], seen
