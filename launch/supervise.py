"""Run a training again until it is done: one supervisor on each host.

python launch/supervise.py -- python -m afgan_jax train ... --exit-stopped=42

SIGTERM, SIGINT and SIGHUP are passed on. A training that is lost, killed or ends by an
error is started again after a pause that grows. There is no restart after exit codes 2
(bad input, full disk), 126 and 127 (no such command) and 130 (Ctrl-C), nor once the
supervisor itself was told to stop. It gives up after --max-restarts, and after three
restarts in a row without a newer checkpoint, which the training tells by AFGAN_STATUS.

Ends with 0 when the training is done, 42 when it was told to stop and the training is
saved, 1 when it gives up, else with the code of the training. Several hosts need
nothing more: where one process is lost all others end too, and find each other again.
"""

import argparse
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import children
import codes
import state_file

FRUITLESS = 3  # restarts in a row without a newer checkpoint
LONGEST = 60.0  # seconds of a pause: the other hosts wait 300 s for this one
REPORT = 1.0  # seconds between two writings of the state


def main(argv=None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_flags(flags)
    own, command = split(argv)
    options = flags.parse_args(own)
    if not command:
        flags.error(
            "write the command after --, as in: supervise.py -- python train.py"
        )
    return Supervisor(options, lambda attempt: [(command, {}, "")]).run()


def add_flags(flags: argparse.ArgumentParser) -> None:
    """What all supervisors take."""
    flags.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep attempts, exit codes and last lines here, as JSON",
    )
    flags.add_argument(
        "--max-restarts", type=count, default=50, metavar="N", help="default: 50"
    )
    flags.add_argument(
        "--pause",
        type=seconds,
        default=5.0,
        metavar="SECONDS",
        help=f"before a restart, doubled up to {LONGEST:g} s while there is no newer"
        " checkpoint; default: 5",
    )
    flags.add_argument(
        "--grace",
        type=seconds,
        default=120.0,
        metavar="SECONDS",
        help="for the other processes to end when one has failed, before they are"
        " killed; default: 120",
    )


def split(argv: list) -> tuple:
    """The arguments before -- and the command after it."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return number


def seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return number


class Supervisor:
    """Runs the processes that `commands(attempt)` names, together, until they are done.

    commands: from the attempt's number, from 1, to (command, environment, prefix) of
    each process.
    """

    def __init__(self, options, commands):
        self._options, self._commands = options, commands
        self._signals, self._children = [], []
        self._reported = 0.0
        self.state = {
            "state": "running",
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "attempt": 0,
            "codes": [],
            "checkpoint": None,
        }

    def run(self) -> int:
        """The exit code; see the top of this file."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
                signal.signal(number, lambda number, _: self._signals.append(number))
        with tempfile.TemporaryDirectory(prefix="supervise-") as folder:
            self._folder = Path(folder)
            code, why = self._repeat()
        self.state |= {"state": "ended", "code": code, "why": why}
        self._report()
        say(f"{why}: exit code {code}")
        return code

    def _repeat(self) -> tuple:
        """(exit code, why) of the last attempt."""
        fruitless = 0
        for attempt in range(1, self._options.max_restarts + 2):
            before = self.state["checkpoint"]
            code = self._attempt(attempt)
            newer = self.state["checkpoint"] != before
            if code == codes.DONE:
                return code, "done"
            if code in codes.FINAL:
                return code, "no restart helps"
            if self._signals:
                return code, "told to stop"
            fruitless = 0 if newer else fruitless + (attempt > 1)
            if fruitless == FRUITLESS:
                why = f"{FRUITLESS} restarts brought no newer checkpoint"
                return codes.FAILED, f"gave up, {why}, last exit code {code}"
            if attempt <= self._options.max_restarts:
                self._pause(code, self._options.pause * 2**fruitless)
            if self._signals:
                return codes.STOPPED, "told to stop between two attempts"
        why = f"{self._options.max_restarts} restarts (--max-restarts)"
        return codes.FAILED, f"gave up after {why}, last exit code {code}"

    def _attempt(self, number: int) -> int:
        """The exit code of the job, run once."""
        statuses = []
        for i, (command, environment, prefix) in enumerate(self._commands(number)):
            statuses.append(self._folder / f"{number}-{i}.json")
            environment = environment | {"AFGAN_STATUS": str(statuses[-1])}
            self._children.append(children.Child(command, environment, prefix))
        self.state |= {"state": "running", "attempt": number}
        ended = children.wait(
            self._children,
            self._signals,
            self._options.grace,
            lambda: self._watch(statuses),
        )
        self._watch(statuses, now=True)
        self.state["codes"].append(ended)
        code = codes.of_job(ended)
        told = [state_file.read(path).get("state") for path in statuses]
        self._children = []
        # Without --exit-stopped a training that is stopped and saved ends with 0.
        return codes.STOPPED if code == codes.DONE and "stopped" in told else code

    def _pause(self, code: int, pause: float) -> None:
        pause = min(pause, LONGEST)
        self.state["state"] = "pausing"
        self._report()
        say(f"exit code {code}; starting again in {pause:g} s")
        end = time.monotonic() + pause
        while time.monotonic() < end and not self._signals:
            time.sleep(children.POLL)

    def _watch(self, statuses: list, now: bool = False) -> None:
        """Takes over what the processes tell, now and then."""
        if not now and time.monotonic() - self._reported < REPORT:
            return
        told = [state_file.read(path) for path in statuses]
        saved = [status.get("checkpoint") for status in told]
        saved = [
            step for step in [self.state["checkpoint"], *saved] if step is not None
        ]
        self.state |= {
            "checkpoint": max(saved, default=None),
            "processes": told,
            "lines": [list(child.lines) for child in self._children],
        }
        self._report()

    def _report(self) -> None:
        self._reported = time.monotonic()
        path = self._options.state
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            state_file.write(path, self.state | {"updated": time.time()})
        except OSError as error:
            say(f"the state is not written: {error}")


def say(line: str) -> None:
    try:
        print(f"supervise: {line}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


if __name__ == "__main__":
    sys.exit(main())
