"""A SLURM cluster of two nodes, which are both this machine; for root only."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from processes import ROOT

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
ReturnToService=2
KillWait=60
NodeName=n1 NodeAddr=127.0.0.1 Port={ports[1]} {size}
NodeName=n2 NodeAddr=127.0.0.1 Port={ports[2]} {size}
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
SIZE = "CPUs=2 RealMemory=1000 Gres=gpu:1 State=UNKNOWN"
PROGRAMS = "slurmctld", "slurmd", "sbatch", "scontrol"


@contextlib.contextmanager
def cluster(folder: Path):
    """Starts it; the value is the environment in which sbatch finds it."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    assert not missing, f"{missing}: apt-get install slurmctld slurmd slurm-client"
    host, conf = socket.gethostname(), folder / "slurm.conf"
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in sockets]
    conf.write_text(CONF.format(host=host, folder=folder, ports=ports, size=SIZE))
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
    (folder / "state").mkdir()
    environment = os.environ | {"SLURM_CONF": str(conf)}
    # The nodes' names mean this machine, to them and to what runs on them.
    (folder / "hosts").write_text(f"127.0.0.1 localhost {host} n1 n2\n")
    mount = f'mount --bind {folder}/hosts /etc/hosts && exec "$@"'
    private = ["unshare", "--mount", "bash", "-c", mount, "bash"]
    daemons = []
    try:
        for name, *arguments in (
            ("slurmctld",),
            ("slurmd", "-N", "n1"),
            ("slurmd", "-N", "n2"),
        ):
            with (folder / f"{'.'.join([name, *arguments])}.log").open("w") as log:
                command = [*private, name, "-D", "-f", str(conf), *arguments]
                daemons.append(subprocess.Popen(command, stdout=log, stderr=log))
        while said(environment, "sinfo", "-h", "-o", "%T %D") != "idle 2":
            assert all(daemon.poll() is None for daemon in daemons), folder
            time.sleep(0.2)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(60)


def call(environment: dict, *command: str) -> str:
    """What a command prints, given in the root folder, which must succeed."""
    options = {"env": environment, "cwd": ROOT, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def said(environment: dict, *command: str) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip()
