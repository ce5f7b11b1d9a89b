"""A gcloud whose TPU workers are folders of this machine, in which commands really run.

FAKE_CLOUD names the folder of the cloud. Flags that gcloud does not have are refused. A
queued resource is WAITING_FOR_RESOURCES, then PROVISIONING, then ACTIVE, one step each
time that somebody asks. Each worker has a home folder and, first on PATH, what a TPU VM
has: sudo, systemd-run, systemctl, journalctl, hostname, shutdown and gcloud.
"""

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
WIDE = "zone project format quiet verbosity account configuration"
CREATE = (
    "runtime-version accelerator-type topology type node-id node-count node-prefix"
    " async boot-disk data-disk description guaranteed internal-ips labels metadata"
    " metadata-from-file network range reserved scopes service-account spot subnetwork"
    " shielded-secure-boot tags valid-after-duration valid-after-time"
    " valid-until-duration valid-until-time reservation-host-project"
)
SSH = (
    "worker dry-run force-key-file-overwrite internal-ip plain ssh-key-file"
    " strict-host-key-checking ssh-key-expiration ssh-key-expire-after"
)
LIST = "filter limit page-size sort-by uri"
FLAGS = {
    "compute tpus queued-resources create": CREATE,
    "alpha compute tpus queued-resources create": CREATE
    + " autocheckpoint-enabled best-effort max-run-duration provisioning-model",
    "compute tpus queued-resources describe": "",
    "compute tpus queued-resources list": LIST,
    "compute tpus queued-resources delete": "async force",
    "compute tpus tpu-vm list": LIST,
    "compute tpus tpu-vm ssh": SSH + " command output-directory ssh-flag",
    "compute tpus tpu-vm scp": SSH + " compress recurse scp-flag",
}
STATES = ["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]


def main(argv: list[str]) -> int:
    cloud = Cloud(pathlib.Path(os.environ["FAKE_CLOUD"]))
    with (cloud.folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(argv) + "\n")
    words = [word for word in argv if not word.startswith("-")]
    verb = next((v for v in FLAGS if words[: len(v.split())] == v.split()), None)
    if verb is None:
        return refuse(f"Invalid choice: {' '.join(words)}")
    flags = dict((w[2:] + "=").split("=", 1) for w in argv if w.startswith("--"))
    flags = {name: value.removesuffix("=") for name, value in flags.items()}
    unknown = set(flags) - set(f"{WIDE} {FLAGS[verb]}".split())
    if unknown or "zone" not in flags:
        return refuse(f"unrecognized arguments: {unknown or 'no --zone'}")
    if (cloud.folder / "down").exists() and "describe" in verb:
        return refuse("DEADLINE_EXCEEDED: slow")
    last = verb.split()[-1]
    method = cloud.listing if last == "list" else getattr(cloud, last)
    return method(words[len(verb.split()) :], flags) or 0


def refuse(why: str) -> int:
    print(f"ERROR: (gcloud) {why}", file=sys.stderr)
    return 1


class Cloud:
    """Queued resources and their workers, in a folder."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def create(self, names, flags) -> int:
        if self._path(names[0]).exists():
            return refuse("ALREADY_EXISTS")
        for tier in ("spot", "reserved", "guaranteed"):
            assert flags.get(tier, "") == "", f"--{tier} takes no value"
        startup = flags["metadata-from-file"].removeprefix("startup-script=")
        self._write(
            names[0],
            {
                "made": time.time(),
                "step": 0,
                "state": STATES[0],
                "startup": pathlib.Path(startup).read_text(),
                "kind": flags["accelerator-type"],
                "labels": dict(p.split("=") for p in flags["labels"].split(",")),
                "zone": flags["zone"],
            },
        )
        return 0

    def describe(self, names, flags) -> int:
        if not self._path(names[0]).exists():
            return refuse(f"NOT_FOUND: Resource '{names[0]}' was not found")
        kept = self._read(names[0])
        told = self._told(names[0], kept)
        if kept["state"] in STATES[:-1]:
            kept["step"] += 1
            kept["state"] = STATES[kept["step"]]
            self._write(names[0], kept)
            if kept["state"] == "ACTIVE":
                self._boot(names[0], kept)
        print(json.dumps(told))
        return 0

    def listing(self, names, flags) -> int:
        listed = [p.stem for p in sorted(self.folder.glob("resources/*.json"))]
        told = [self._told(name, self._read(name)) for name in listed]
        if "tpu-vm" in sys.argv:
            nodes = self.folder / "nodes.json"
            told = json.loads(nodes.read_text()) if nodes.exists() else []
        print(json.dumps(told))
        return 0

    def delete(self, names, flags) -> int:
        kept = self._read(names[0])
        if kept["state"] == "ACTIVE" and "force" not in flags:
            return refuse("FAILED_PRECONDITION: it has nodes")
        self.end(names[0], signal.SIGKILL)
        self._path(names[0]).unlink()
        return 0

    def ssh(self, names, flags) -> int:
        workers = self._workers(names[0], flags)
        if not workers or (self.folder / "deaf").exists():
            return refuse("no connection") and 255
        children = []
        for worker in workers:
            print(f"SSH: Attempting to connect to {worker.name}...", file=sys.stderr)
            children.append(self._run(worker, flags["command"], cwd=worker))
        return max(child.wait() for child in children)

    def scp(self, names, flags) -> int:
        *files, target = names
        assert target.endswith(":")
        workers = self._workers(target[:-1], flags)
        for worker in workers:
            for file in files:
                shutil.copy(file, worker)
        return 0 if workers else 255

    def preempt(self, name: str, state: str = "SUSPENDED") -> None:
        """What Google does to a spot TPU, of which nothing is left but the request."""
        kept = self._read(name)
        self._write(name, kept | {"state": state})
        self.end(name, signal.SIGTERM)
        self.end(name, signal.SIGKILL)

    def end(self, name: str, number: int) -> None:
        """Signals all processes of the workers; SIGKILL deletes their folders too."""
        mark = f"FAKE_WORKER={self.folder / 'workers' / name}/".encode()
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes():
                    if int(entry.name) != os.getpid():
                        os.kill(int(entry.name), number)
            except OSError:
                continue
        if number == signal.SIGKILL:
            shutil.rmtree(self.folder / "workers" / name, ignore_errors=True)

    def _boot(self, name: str, kept: dict) -> None:
        family, size = kept["kind"].split("-")
        for index in range(int(size) // {"v4": 8, "v5litepod": 4}[family]):
            worker = self.folder / "workers" / name / f"{name}-w-{index}"
            (worker / "root").mkdir(parents=True)
            self._run(worker, kept["startup"], cwd=worker).wait()

    def _run(self, worker: pathlib.Path, command: str, cwd) -> subprocess.Popen:
        # Each worker has its own /var/lib and /tmp.
        command = re.sub(r"/var/lib/|/tmp/(?=libtpu)", f"{worker}/root/", command)
        index = worker.name.rpartition("-")[2]
        count = len(list(worker.parent.iterdir()))
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(worker),
            "FAKE_WORKER": f"{worker}/",
            "FAKE_CLOUD": str(self.folder),
            # By these JAX finds the other workers.
            "JAX_FORCE_TPU_INIT": "1",
            "TPU_WORKER_ID": index,
            "TPU_WORKER_HOSTNAMES": ",".join(["127.0.0.1"] * count),
            "MEGASCALE_COORDINATOR_ADDRESS": "127.0.0.1",
            "MEGASCALE_NUM_SLICES": "1",
            "MEGASCALE_SLICE_ID": "0",
        }
        command = ["bash", "-c", command]
        return subprocess.Popen(command, cwd=cwd, env=environment)

    def _workers(self, name: str, flags) -> list[pathlib.Path]:
        """Those that a command is for; none if they cannot be reached."""
        worker = flags.get("worker", "0")
        pattern = "*" if worker == "all" else f"*-w-{worker}"
        return sorted((self.folder / "workers" / name).glob(pattern))

    def _told(self, name: str, kept: dict) -> dict:
        made = datetime.datetime.fromtimestamp(kept["made"], datetime.UTC)
        node = {"acceleratorType": kept["kind"], "labels": kept["labels"]}
        return {
            "name": f"projects/p/locations/{kept['zone']}/queuedResources/{name}",
            "createTime": made.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
            "state": {"state": kept["state"]},
            "tpu": {"nodeSpec": [{"node": node, "nodeId": name}]},
        }

    def _path(self, name: str) -> pathlib.Path:
        return self.folder / "resources" / f"{name}.json"

    def _read(self, name: str) -> dict:
        return json.loads(self._path(name).read_text())

    def _write(self, name: str, kept: dict) -> None:
        path = self._path(name)
        path.with_suffix(".new").write_text(json.dumps(kept))
        path.with_suffix(".new").rename(path)


def make(folder: pathlib.Path) -> Cloud:
    """A new cloud, with the programs of its workers in bin/."""
    for name in ("resources", "workers", "bin"):
        (folder / name).mkdir(parents=True)
    programs = {
        "gcloud": f'exec {sys.executable} -S {HERE / "fake_gcloud.py"} "$@"',
        "sudo": 'exec "$@"',
        "hostname": 'basename "$FAKE_WORKER"',
        "shutdown": 'echo "$@" >> "$FAKE_WORKER/root/shutdown"',
    }
    for name in ("systemd-run", "systemctl", "journalctl"):
        script = HERE / "fake_systemd.py"
        programs[name] = f'exec {sys.executable} -S {script} {name} "$@"'
    for name, line in programs.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    return Cloud(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
