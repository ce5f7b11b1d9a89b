"""A Cloud TPU as a queued resource, by commands of gcloud."""

import collections
import json
import re
from pathlib import Path

import accelerators
import shell

WAITING = ("ACCEPTED", "WAITING_FOR_RESOURCES", "CREATING", "PROVISIONING")
ENDED = ("FAILED", "SUSPENDING", "SUSPENDED", "DELETING")
ABSENT, UNKNOWN = "ABSENT", "UNKNOWN"  # there is none; gcloud did not say
LOOK, SSH = 60.0, 300.0  # seconds for a question to Google, to the workers
LINE = 3000  # bytes of an answer: what ssh writes at one stroke
TRIES = 20  # to delete
TIERS = {
    "on-demand": [],
    "spot": ["--spot"],
    "reserved": ["--reserved"],
    "flex-start": ["--provisioning-model=flex-start"],
}

Answer = collections.namedtuple("Answer", "code line")


class QueuedResource:
    """The queued resource `name`, with one TPU of the same name.

    folder: on this machine, for the files that are sent.
    """

    def __init__(self, run: shell.Shell, name: str, zone: str, project, folder: Path):
        self.shell, self.name, self.folder = run, name, folder
        self.why = self._shown = ""  # why its state is unknown; what was printed
        self._imagined = "ACTIVE"  # its state in a dry run
        self.where = [f"--zone={zone}", *([f"--project={project}"] if project else [])]

    def create(self, kind: str, tier: str, seconds: int, wait: int, more=()) -> None:
        """Puts it into the queue, where it stays for at most `wait` seconds.

        It ends itself `seconds` after its start. Raises shell.Failed.
        """
        # Only flex-start, which is in alpha, knows of a longest time to run.
        alpha = ["alpha"] if tier == "flex-start" else []
        longest = [f"--max-run-duration={seconds}s"] if alpha else []
        script = self.write_startup(seconds)
        self.shell.run(
            ["gcloud", *alpha, *"compute tpus queued-resources create".split()]
            + [self.name, f"--node-id={self.name}", *self.where]
            + [f"--accelerator-type={kind}"]
            + [f"--runtime-version={accelerators.runtime(kind)}"]
            + [*TIERS[tier], *longest, f"--valid-until-duration={wait}s"]
            + [f"--labels=made-by=afgan-jax,max-minutes={-(-seconds // 60)}"]
            + [f"--metadata-from-file=startup-script={script}", *more]
            + ["--async", "--quiet"]
        )
        self._imagined = "ACTIVE"

    def imagine_absent(self) -> None:
        """For a dry run that begins without it."""
        self._imagined = ABSENT

    def write_startup(self, seconds: int) -> Path:
        """A script for each start of a worker: it deletes the TPU when time is up.

        So does it whatever becomes of the machine that made it. Where the service
        account may not delete, the workers at least shut down.
        """
        delete = shell.quoted(self._delete("--async"))
        end = f"PATH=$PATH:/snap/bin; systemctl stop afgan; {delete}; shutdown -h now"
        path = self.folder / "startup.sh"
        text = (
            "#!/bin/sh\n"
            "limit=/var/lib/afgan-limit\n"
            f'[ -e "$limit" ] || echo $(($(date +%s) + {seconds})) > "$limit"\n'
            'left=$(($(cat "$limit") - $(date +%s)))\n'
            "systemd-run --unit=afgan-limit --collect \\\n"
            '  --on-active="$((left > 0 ? left : 1))" \\\n'
            f"  /bin/sh -c {shell.quoted([end])}\n"
        )
        if text != self._shown:
            self.shell.say(f"{path}:\n{text}")
        self._shown = text
        if not self.shell.dry_run:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return path

    def describe(self) -> dict:
        """What gcloud knows of it. Raises shell.Failed."""
        words = ["gcloud", *"compute tpus queued-resources describe".split()]
        words += [self.name, *self.where, "--format=json"]
        return json.loads(self.shell.run(words, LOOK, look=True) or "{}")

    def state(self) -> str:
        """Its state; ABSENT if there is none; UNKNOWN, and `why`, if gcloud fails."""
        try:
            told = self.describe()
        except (shell.Failed, ValueError) as error:
            self.why = str(error).splitlines()[-1]
            return ABSENT if "NOT_FOUND" in str(error) else UNKNOWN
        if self.shell.dry_run:
            return self._imagined
        return told.get("state", {}).get("state", UNKNOWN)

    def kind(self) -> str:
        """Its type, as in v5litepod-16. Raises shell.Failed; ValueError if unknown."""
        specs = self.describe().get("tpu", {}).get("nodeSpec")
        if not specs:
            raise ValueError(f"add --type: {self.name} does not tell its own")
        return specs[0]["node"]["acceleratorType"]

    def delete(self, wait) -> None:
        """Deletes it with its TPU, and sees that it is gone. Raises shell.Failed."""
        for _ in range(TRIES):
            error = f"{self.name} still exists"
            try:
                self.shell.run(self._delete())
            except shell.Failed as failed:
                error = str(failed)
            if self.shell.dry_run or self.state() == ABSENT:
                return
            wait()
        raise shell.Failed(f"{error}; delete it by hand")

    def _delete(self, *more) -> list:
        words = ["gcloud", *"compute tpus queued-resources delete".split()]
        return [*words, self.name, *self.where, "--force", "--quiet", *more]

    def send(self, paths: list) -> None:
        """Copies files to the home folder of every worker. Raises shell.Failed."""
        words = ["gcloud", *"compute tpus tpu-vm scp".split(), *paths, f"{self.name}:"]
        self.shell.run([*words, *self.where, "--worker=all", "--quiet"])

    def ask(self, command: str, timeout: float = SSH, look: bool = False) -> dict:
        """Runs a shell command on all workers: {worker: Answer}, of those who answer.

        An answer has the exit code and the last line. A dry run gets none.
        """
        # One short line a worker: they write at the same time, and gcloud's own exit
        # code does not tell whose it is. Hosts are called ...-w-0, ...-w-1 and so on.
        command = (
            f"out=$( ({command}) 2>&1 ); code=$?; printf '%s\\t%s\\t%s\\n'"
            f' "$(hostname)" $code "$(printf %s "$out" | tail -n 1 | cut -c 1-{LINE})"'
        )
        try:
            out = self.shell.run(self.ssh("all", command), timeout, look)
        except shell.Failed as error:
            out = error.out
            self.shell.say(f"ssh: {str(error).splitlines()[-1]}")
        lines = re.findall(r"^\S*-w-(\d+)[^\t]*\t(\d+)\t(.*)$", out, re.M)
        return {int(i): Answer(int(code), line) for i, code, line in sorted(lines)}

    def ssh(self, worker, command: str) -> list:
        """Words that run a shell command on a worker, or on all."""
        words = ["gcloud", *"compute tpus tpu-vm ssh".split(), self.name, *self.where]
        return [*words, f"--worker={worker}", f"--command={command}", "--quiet"]
