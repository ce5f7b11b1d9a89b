"""launch/sky.yaml as SkyPilot itself reads it."""

import inspect

import pytest
import yaml
from processes import ROOT

pytestmark = pytest.mark.tools

WORKDIR = {"WORKDIR": "gs://bucket/runs/mine"}


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def settings() -> dict:
    return yaml.safe_load((ROOT / "launch" / "sky.yaml").read_text())


def task(settings: dict, variables=WORKDIR):
    import sky

    return sky.Task.from_yaml_config(settings, env_overrides=variables)


def test_it_is_a_task_that_recovers_on_spot_machines(settings):
    (resources,) = task(settings).resources
    assert resources.accelerators == {"H100": 8} and resources.use_spot
    assert resources.job_recovery["recover_on_exit_codes"] == [42, 134, 137, 143]


def test_the_run_must_be_given(settings):
    with pytest.raises(ValueError, match="WORKDIR"):
        task(settings, {})


def test_a_slice_of_a_tpu_gets_its_runtime(settings):
    settings["resources"]["accelerators"] = "tpu-v6e-16"
    (resources,) = task(settings, WORKDIR | {"EXTRAS": "tpu"}).resources
    assert str(resources.cloud) == "GCP"
    assert resources.accelerator_args["runtime_version"] == "v2-alpha-tpuv6e"


@pytest.mark.parametrize(
    "part", [lambda settings: settings, lambda settings: settings["resources"]]
)
def test_misspelt_keys_are_found(settings, part):
    part(settings)["mispelt"] = 1
    with pytest.raises(Exception, match="mispelt"):
        task(settings)


def test_keys_of_the_recovery_are_known(settings):
    """SkyPilot takes any, and hands them to this."""
    from sky.jobs import recovery_strategy

    known = inspect.signature(recovery_strategy.StrategyExecutor).parameters
    assert set(settings["resources"]["job_recovery"]) <= set(known)
