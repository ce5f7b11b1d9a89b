"""What a job says of its hosts, and about devices that it leaves unused."""

import dataclasses
import socket

import pytest
from processes import python_twice

from afgan_jax.training import hosts

GPU = hosts.Place(0, "n1", 7, "gpu", "NVIDIA H100", [0], [0, 3], 8)


def test_a_table_has_a_line_for_each_process():
    other = dataclasses.replace(GPU, process=11, devices=[0, 1, 2, 5], rows=[4, 7])
    head, *rows = hosts.table([GPU, other])
    assert head.split() == ["process", "host", "pid", "devices", "rows"]
    assert rows[0].split() == "0 n1 7 1 x NVIDIA H100 (0) 0-3".split()
    assert rows[1].split() == "11 n1 7 4 x NVIDIA H100 (0-2,5) 4-7".split()
    assert len({row.rindex(" ") for row in (head, *rows)}) == 1


def test_devices_that_no_process_of_a_host_uses_are_warned_about():
    (line,) = hosts.unused([GPU, dataclasses.replace(GPU, host="n2", present=1)])
    assert line.startswith("WARNING: n1 has 8 x NVIDIA H100, this job uses 1: start 8")
    assert line.endswith("one with JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7")
    every = [dataclasses.replace(GPU, process=i, devices=[i]) for i in range(8)]
    assert not list(hosts.unused(every))
    tpu = dataclasses.replace(GPU, platform="tpu", kind="TPU v4", present=4)
    assert "TPU_VISIBLE_CHIPS" in next(hosts.unused([tpu]))


def test_what_a_host_has_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv(hosts.VISIBLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hosts.present("gpu", tmp_path) == hosts.present("tpu", tmp_path) == 0
    (tmp_path / "vfio").mkdir()
    for name in "nvidia0", "nvidia1", "nvidiactl", "vfio/vfio", "vfio/0":
        (tmp_path / name).touch()
    assert hosts.present("gpu", tmp_path) == 2
    assert hosts.present("tpu", tmp_path) == 1
    assert hosts.present("cpu", tmp_path) == 0
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\n")
    program.chmod(0o755)
    assert hosts.present("gpu", tmp_path) == 1
    for text, count in ("0,1,2", 3), ("", 0), ("-1", 0), ("GPU-8932", 1):
        monkeypatch.setenv(hosts.VISIBLE, text)
        assert hosts.present("gpu", tmp_path) == count


JOB = """
import sys
from afgan_jax.cli import train
from afgan_jax.training import hosts
folder, index, address = sys.argv[1:]
with train.join(address, 2, int(index)):
    hosts.introduce(8)
    hosts.introduce(8, lambda line: None)  # a second training of the job
"""


@pytest.mark.slow
def test_each_process_of_a_job_says_where_it_is_and_the_first_of_all(tmp_path):
    first, second = (out.splitlines() for out in python_twice(JOB, tmp_path))
    host = socket.gethostname()
    (line,) = second
    assert line.startswith("process 1 of 2 (pid ") and f" on {host}): " in line
    assert line.endswith(": 2 x cpu (0-1), rows 4-7 of each batch of 8")
    assert first[0].endswith(": 2 x cpu (0-1), rows 0-3 of each batch of 8")
    assert [row.split()[0] for row in first[1:]] == ["process", "0", "1"]
