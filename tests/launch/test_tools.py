"""launch/ and .ci/ as the tools see them that others check such files with."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from processes import ROOT

from launch import test_jobset

pytestmark = pytest.mark.tools

BIN = Path(sys.executable).parent
SCRIPTS = [".ci/run", ".ci/python313", ".ci/slurm", ".ci/tools", "launch/slurm.sbatch"]
SCRIPTS += sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("launch/*.sh"))


def said(*command: str, given: str | None = None) -> str:
    """What a tool of this environment objects to."""
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_scripts_are_clean():
    options = "--external-sources", "--source-path=SCRIPTDIR", "--shell=bash"
    assert said("shellcheck", *options, *SCRIPTS) == ""
    style = "--indent=2", "--binary-next-line", "--case-indent", "--space-redirects"
    assert said("shfmt", "--diff", *style, *SCRIPTS) == ""


@pytest.mark.parametrize("part", ["setup", "run"])
def test_scripts_within_sky_yaml_are_clean(part):
    script = yaml.safe_load((ROOT / "launch" / "sky.yaml").read_text())[part]
    assert said("shellcheck", "--shell=bash", "-", given=script) == ""


def test_yaml_is_clean():
    rules = "{document-start: disable, line-length: {max: 88}"
    rules += ", comments: {min-spaces-from-content: 1}}"
    rules = f"{{extends: default, rules: {rules}}}"
    assert said("yamllint", "--strict", f"--config-data={rules}", "launch") == ""


def test_the_dockerfile_is_clean():
    assert said("hadolint", "launch/Dockerfile") == ""


@pytest.mark.parametrize("pool", ["v6e:4x4", "h100:8"])
def test_kubernetes_accepts_the_job_of_a_jobset(pool):
    import kubernetes_validate

    jobset = test_jobset.documents(f"--accelerator={pool}", "--spot")["JobSet"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mine"}}
    job["spec"] = test_jobset.job_of(jobset)
    kubernetes_validate.validate(job, "1.33", strict=True)
    job["spec"]["paralelism"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="paralelism"):
        kubernetes_validate.validate(job, "1.33", strict=True)
