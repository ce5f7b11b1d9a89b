"""The manifests of launch/gke.py are those that Kubernetes and JobSet accept."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from processes import ROOT

SCHEMA = Path(__file__).with_name("jobset.json")
POOLS = ["v4:2x2x2", "v5e:1x1", "v5e:4x4", "v5p:8x8x12", "v6e:16x16", "tpu7x:2x2x1"]
POOLS += ["l4:1", "h100:8"]
TRAIN = ["python", "-m", "afgan_jax", "train", "--config=ffhqu256:r"]
TRAIN += ["--workdir=gs://bucket/runs/mine"]


def gke(*arguments: str, train=TRAIN) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "launch/gke.py", *arguments, "--", *train],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    flags = "--dry-run", "--image=afgan:tpu", "--max-hours=24"
    return gke("run", "mine", *flags, *arguments, **options)


def documents(*arguments: str) -> dict:
    """What kubectl would be given, by kind."""
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    command, text = done.stdout.split(" <<'END'\n")
    assert command == "+ kubectl --namespace=default apply --filename=-"
    items = json.loads(text.removesuffix("\nEND\n"))["items"]
    return {item["kind"]: item for item in items}


def strict(schema):
    """The schema, in which what it does not name is an error, as in Kubernetes."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: strict(part) for name, part in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("anyOf", None)
        schema.pop("pattern", None)
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


@pytest.fixture(scope="module")
def validator():
    schema = strict(json.loads(SCHEMA.read_text()))
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft7Validator(schema)


def errors(validator, jobset: dict) -> list[str]:
    return [error.message for error in validator.iter_errors(jobset)]


@pytest.mark.parametrize("spot", [[], ["--spot"]])
@pytest.mark.parametrize("pool", POOLS)
def test_a_manifest_is_valid(validator, pool, spot):
    jobset = documents(f"--accelerator={pool}", *spot)["JobSet"]
    assert errors(validator, jobset) == []


def test_misspelt_keys_would_be_found(validator):
    jobset = documents("--accelerator=v6e:4x4")["JobSet"]
    spec = jobset["spec"]
    job = spec["replicatedJobs"][0]["template"]["spec"]
    container = job["template"]["spec"]["containers"][0]
    for place in (spec, spec["failurePolicy"], job, job["template"]["spec"], container):
        place["mispelt"] = 1
        (error,) = errors(validator, jobset)
        assert "mispelt" in error
        del place["mispelt"]
    spec["failurePolicy"]["maxRestarts"] = "4"
    assert len(errors(validator, jobset)) == 1


def job_of(jobset: dict) -> dict:
    (replicated,) = jobset["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


def test_a_slice_has_a_pod_for_each_host():
    for pool, pods, chips in (
        ("v6e:1x1", 1, 1),
        ("v5e:2x4", 2, 4),
        ("v4:2x2x1", 1, 4),
        ("v5p:4x4x8", 32, 4),
        ("tpu7x:2x4x4", 8, 4),
    ):
        job = job_of(documents(f"--accelerator={pool}")["JobSet"])
        assert job["parallelism"] == job["completions"] == pods
        (container,) = job["template"]["spec"]["containers"]
        assert container["resources"] == {"limits": {"google.com/tpu": chips}}
        assert ("--coordinator=auto" in container["command"]) == (pods > 1)


def test_pods_with_gpus_may_look_each_other_up_by_addresses_of_their_own():
    found = documents("--accelerator=h100:8", "--nodes=2")
    assert {"ServiceAccount", "Role", "RoleBinding"} < set(found)
    job = job_of(found["JobSet"])
    assert job["parallelism"] == 2
    assert "hostNetwork" not in job["template"]["spec"]


def fate(jobset: dict, code: int, is_preempted: bool = False) -> str:
    """The action that follows the end of a pod, by the rules of Job and JobSet."""
    rules = job_of(jobset)["podFailurePolicy"]["rules"]
    reason, message = "BackoffLimitExceeded", ""
    for rule in rules:
        if is_preempted and "onPodConditions" in rule:
            reason, message = "PodFailurePolicy", "has condition DisruptionTarget"
            break
        if code in rule.get("onExitCodes", {"values": []})["values"]:
            reason, message = "PodFailurePolicy", f"failed with exit code {code}"
            break
    for rule in jobset["spec"]["failurePolicy"]["rules"]:
        patterns = rule.get("onJobFailureMessagePatterns", [""])
        is_told = any(pattern in message for pattern in patterns)
        if reason in rule["onJobFailureReasons"] and is_told:
            return rule["action"]
    return "RestartJobSet"


def test_a_restart_follows_where_one_helps():
    jobset = documents("--accelerator=v6e:4x4")["JobSet"]
    assert [fate(jobset, code) for code in (1, 2, 130)] == 3 * ["FailJobSet"]
    assert [fate(jobset, code) for code in (42, 134, 137)] == 3 * ["RestartJobSet"]
    for code in (1, 42, 137):
        assert fate(jobset, code, True) == "RestartJobSetAndIgnoreMaxRestarts"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--accelerator=v6e:4x5"], "v6e:4x5 must have a topology of 1x1, 2x2, 2x4"),
        (["--accelerator=v5p:8x4x4"], "multiples of 4 with A <= B <= C, up to 6144"),
        (["--accelerator=v5p:16x24x24"], "v5p:16x24x24 must have a topology"),
        (
            ["--accelerator=h100:3"],
            "h100:3 must have GPUs of a node, one of 1, 2, 4, 8",
        ),
        (["--accelerator=v7:2x2"], "v7 must be one of v4, v5e"),
        (["--accelerator=v6e:4x4", "--nodes=2"], "--nodes is for GPUs"),
        (["--accelerator=h100:8", "--nodes=0"], "0 must be a whole number from 1"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr.splitlines()[-1]


def test_a_run_on_the_disk_of_a_pod_is_refused():
    done = run("--accelerator=v6e:4x4", train=["--config=smoke", "--workdir=runs/x"])
    assert done.returncode == 2 and "--workdir=gs://BUCKET" in done.stderr


def test_xpk_gets_the_same_command():
    done = run("--accelerator=v5e:4x4", "--xpk=mine", "--spot")
    words = shlex.split(done.stdout)
    (command,) = [w for w in words if w.startswith("--command=")]
    container = job_of(documents("--accelerator=v5e:4x4")["JobSet"])["template"]["spec"]
    assert (
        shlex.split(command.removeprefix("--command="))
        == (container["containers"][0]["command"])
    )
    assert {"--device-type=v5litepod-4x4", "--spot"} < set(words)
    done = run("--accelerator=t4:1", "--xpk=mine")
    assert done.returncode == 2 and "leave out --xpk" in done.stderr
