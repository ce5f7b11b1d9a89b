"""A training on all workers of a TPU: what it needs there, start, stop, look.

On each worker the code lies in ~/afgan, and the training runs under supervise.py in the
systemd unit `afgan`: it outlives ssh, and a shutdown sends it SIGTERM.
"""

import hashlib
import json
import shlex
from pathlib import Path

import codes
import shell

ROOT = Path(__file__).resolve().parents[1]
GIT = ["git", "-C", str(ROOT)]
INSTALL, STOP = 3600.0, 900.0  # seconds
SAVE = 300  # seconds that a training gets to save
COMMAND_FLAGS = {"--coordinator": "auto", "--exit-stopped": codes.STOPPED}
# JAX 0.8.1 and newer use 8482, which the firewall of a TPU keeps closed.
ENVIRONMENT = {"JAX_COORDINATOR_PORT": "8476"}
REPLACE = "mkdir -p afgan && cd afgan && find . -mindepth 1 -maxdepth 1"
REPLACE += " ! -name '.venv*' -exec rm -rf {} + && tar -xzf ../code.tar.gz"
LIMIT = "systemctl is-active --quiet afgan-limit.timer || sudo sh startup.sh"


class Refused(ValueError):
    """The job cannot run as asked."""


class NoAnswer(shell.Failed):
    """Not all workers could be asked, so that nobody knows what they do."""


class Job:
    """A command on every worker of a queued resource.

    hosts: how many workers must answer. environment: settings for it, by name. python:
    an interpreter on the workers with all packages; None to install them. seconds: the
    TPU deletes itself after so long, if it does not do so before.
    """

    def __init__(self, tpu, hosts: int, command, environment: dict, python, seconds):
        self.tpu, self.hosts, self._seconds = tpu, hosts, seconds
        self._code = tpu.folder / "code.tar.gz"
        run = [word for word in command if word.startswith("--workdir=")] or command
        self._key = hashlib.sha256(shell.quoted(run).encode()).hexdigest()[:8]
        given = {word.partition("=")[0].replace("_", "-") for word in command}
        flags = [f"{k}={v}" for k, v in COMMAND_FLAGS.items() if k not in given]
        self._command = [*command, *flags]
        self._environment = ENVIRONMENT | environment
        self._python = f"PYTHON={shlex.quote(python)} " if python else ""

    def pack(self, allow_dirty: bool) -> None:
        """Packs this checkout's commit, for all installations to come.

        Raises Refused if there are changes that are not committed, without allow_dirty.
        """
        run = self.tpu.shell
        commit = find_commit(run, allow_dirty)
        if not run.dry_run:
            self._code.parent.mkdir(parents=True, exist_ok=True)
        command = ["archive", "--format=tar.gz", f"--output={self._code}", commit]
        run.run([*GIT, *command, ".", ":(exclude)tests"])

    def install(self) -> None:
        """Puts what was packed and the same versions of packages on all workers.

        The versions of a run's first installation are kept, for workers that come
        later. Raises Refused if the workers differ; shell.Failed.
        """
        run, pins = self.tpu.shell, self.tpu.folder / self._key / "constraints.txt"
        if not run.dry_run:
            pins.parent.mkdir(exist_ok=True)
            pins.touch()
        limit = self.tpu.write_startup(self._seconds)
        self._all("stop the former job", stop())
        self.tpu.send([self._code, limit])
        self._all("limit", LIMIT)
        for _ in range(2):
            self.tpu.send([pins])
            self._all("unpack the code", REPLACE)
            install = f"{self._python}bash afgan/launch/worker.sh"
            answers = self._all("install", install, INSTALL)
            sums = {answer.line for answer in answers.values()}
            versions = run.run(self.tpu.ssh(0, "cat versions.txt"), look=True)
            if not run.dry_run and not pins.read_text():
                kept = [line for line in versions.splitlines() if "==" in line]
                pins.write_text("\n".join(kept) + "\n")
            if len(sums) <= 1:
                return
        raise Refused(self._differing(answers, versions))

    def _differing(self, answers: dict, versions: str) -> str:
        """Which worker has other versions than worker 0, and which."""
        other = next(i for i, a in answers.items() if a.line != answers[0].line)
        theirs = self.tpu.shell.run(self.tpu.ssh(other, "cat versions.txt"))
        mine, theirs = set(versions.splitlines()), set(theirs.splitlines())
        more = [", ".join(sorted(s)) or "less" for s in (theirs - mine, mine - theirs)]
        return (
            f"worker {other} has {more[0]}, worker 0 has {more[1]}: all workers need"
            " the same versions; delete the TPU and create it again"
        )

    def restart(self) -> None:
        """Starts the command again, after what ran before has ended everywhere."""
        self._all("stop the former job", stop())
        self.start()

    def start(self) -> None:
        """Starts the command on all workers, where nothing may run."""
        settings = [f"--setenv={k}={v}" for k, v in self._environment.items()]
        unit = ["sudo", "systemd-run", "--unit=afgan", "--collect", *settings]
        unit += ["--property=KillMode=mixed", f"--property=TimeoutStopSec={SAVE}"]
        inner = ["exec", "python", "launch/supervise.py", "--state=../afgan.json", "--"]
        inner = f"PATH=$PWD/.venv/bin:$PATH; {shell.quoted([*inner, *self._command])}"
        self._all(
            "start",
            "rm -f afgan.json afgan-told && sudo rm -f /tmp/libtpu_lockfile && "
            + shell.quoted(unit)
            + ' --uid="$(id -un)" --working-directory="$PWD/afgan"'
            + f" bash -c {shlex.quote(inner)}",
        )

    def stop(self) -> None:
        """Stops the command for good; the training saves first."""
        self._all("stop", f"touch afgan-told; {stop()}")

    def look(self) -> dict:
        """{worker: report}, of those who answer; see `report`."""
        command = (
            'echo "$(systemctl is-active afgan);$([ -e afgan-told ] && echo told);'
            '$(cat afgan.json)"'
        )
        answers = self.tpu.ask(command, look=True)
        return {i: report(answer.line) for i, answer in answers.items()}

    def refuse_silence(self, answers: int) -> None:
        """Raises NoAnswer."""
        raise NoAnswer(f"{answers} of {self.hosts} workers answered")

    def _all(self, what: str, command: str, timeout: float = STOP) -> dict:
        """Runs a shell command on all workers. Raises shell.Failed if one fails."""
        answers = self.tpu.ask(command, timeout)
        if self.tpu.shell.dry_run:
            return answers
        if len(answers) < self.hosts:
            self.refuse_silence(len(answers))
        for i, answer in answers.items():
            if answer.code:
                why = f"exit code {answer.code}: {answer.line}"
                raise shell.Failed(f"{what}: worker {i}: {why}")
        return answers


def stop() -> str:
    """A shell command that ends the unit, if there is one, and waits for that."""
    return "if systemctl is-active --quiet afgan; then sudo systemctl stop afgan; fi"


def report(line: str) -> dict:
    """What a worker says: `active` (the unit runs), `told` (by tpu.py to stop), and the
    state that supervise.py keeps."""
    active, told, state = (line + ";;").split(";", 2)
    try:
        state = json.loads(state.rstrip(";"))
    except ValueError:
        state = {}
    return {**state, "active": active in ("active", "deactivating"), "told": bool(told)}


def find_commit(run: shell.Shell, allow_dirty: bool) -> str:
    """The commit to run: HEAD's, or one of the tree as it is, which no branch has.

    Raises Refused if there are changes that are not committed, without allow_dirty.
    """
    changed = run.run([*GIT, "status", "--porcelain"])
    if changed and not allow_dirty:
        first = changed.splitlines()[0].strip()
        raise Refused(
            f"the code has changes that are not committed ({first}, ...): commit them,"
            " or add --allow-dirty to run the files that git knows as they are"
        )
    made = run.run([*GIT, "stash", "create"]) if changed else ""
    return (made or run.run([*GIT, "rev-parse", "HEAD"])).strip() or "HEAD"
