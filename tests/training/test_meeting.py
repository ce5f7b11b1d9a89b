"""How the processes of a job find each other."""

import pytest
from processes import free_address, python

PORT = """
from afgan_jax.training import meeting
meeting._keep_open_port()
import os
print("PORT", os.environ.get("JAX_COORDINATOR_PORT"))
"""
AUTO = """
import os, sys
os.environ |= dict(word.split("=") for word in sys.argv[1:])
from afgan_jax.training import peers
with peers.joined(initialization=60):
    import jax
    print("MET", jax.process_index(), jax.process_count())
"""
CLUSTERS = {  # what the launchers set, for both processes and for process {}
    "SLURM": (
        "SLURM_JOB_ID=71 SLURM_STEP_NODELIST=127.0.0.1,n2 SLURM_NTASKS=2",
        "SLURM_PROCID={0} SLURM_LOCALID={0}",
    ),
    "Open MPI": (
        "OMPI_MCA_orte_hnp_uri=290816.0;tcp://127.0.0.1:34911 OMPI_COMM_WORLD_SIZE=2",
        "OMPI_COMM_WORLD_RANK={0} OMPI_COMM_WORLD_LOCAL_RANK={0}",
    ),
    "GKE TPU": (
        "JAX_FORCE_TPU_INIT=1 TPU_SKIP_MDS_QUERY=1 MEGASCALE_NUM_SLICES=1"
        " MEGASCALE_SLICE_ID=0 MEGASCALE_COORDINATOR_ADDRESS=127.0.0.1"
        " TPU_WORKER_HOSTNAMES=127.0.0.1,127.0.0.1",
        "TPU_WORKER_ID={}",
    ),
}


def output(code: str, *words: str) -> str:
    child = python(code, *words)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0, out
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    "words, port",
    [
        ((), None),
        (("JAX_FORCE_TPU_INIT=1",), "8476"),
        (("JAX_FORCE_TPU_INIT=1", "JAX_COORDINATOR_PORT=9000"), "9000"),
        (("JAX_FORCE_TPU_INIT=1", "SLURM_JOB_ID=71"), None),
    ],
)
def test_on_cloud_tpu_the_port_is_the_one_that_its_firewall_opens(words, port):
    setting = "import os, sys\n"
    setting += 'os.environ |= dict(word.split("=") for word in sys.argv[1:])\n'
    assert f"PORT {port}\n" in output(setting + PORT, *words)


@pytest.mark.slow
@pytest.mark.parametrize("cluster", CLUSTERS)
def test_the_processes_of_a_cluster_find_each_other(cluster):
    every, each = CLUSTERS[cluster]
    port = free_address().rpartition(":")[2]
    words = [*every.split(" "), f"JAX_COORDINATOR_PORT={port}"]
    job = [python(AUTO, *words, *each.format(i).split(" ")) for i in range(2)]
    outs = [child.communicate(timeout=120)[0] for child in job]
    assert [child.returncode for child in job] == [0, 0], "\n".join(outs)
    assert all(f"MET {i} 2\n" in out for i, out in enumerate(outs)), outs


@pytest.mark.slow
def test_a_job_that_is_nowhere_is_refused_with_what_helps():
    code = "import sys; from afgan_jax import __main__\n"
    code += "sys.exit(__main__.main(['train', '--config=smoke', '--workdir=/tmp/x',"
    code += " '--coordinator=auto']))"
    child = python(code)
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 2
    (line,) = out.splitlines()
    assert line.startswith("error: --coordinator=auto finds no job of a TPU, SLURM")
