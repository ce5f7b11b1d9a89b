"""The processes of a job on this host: started together, read line by line."""

import collections
import os
import signal
import subprocess
import sys
import threading
import time

import codes

LINES, WIDTH = 5, 200  # lines of each process that are kept, and their length
POLL = 0.1  # seconds


class Child:
    """A process in a session of its own: the terminal's Ctrl-C reaches it once.

    Its output goes to this one's standard output, each line after the prefix.
    """

    def __init__(self, command, environment: dict, prefix: str = ""):
        self.lines = collections.deque(maxlen=LINES)
        self._prefix = prefix.encode()
        self._process = self._thread = None
        try:
            self._process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._say(f"error: cannot run {command[0]}: {error.strerror}\n".encode())
            return
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def code(self):
        """Its exit code, an int; None while it runs."""
        if self._process is None:
            return 127
        code = self._process.poll()
        return None if code is None else codes.from_returncode(code)

    @property
    def has_failed(self) -> bool:
        return self.code not in (None, codes.DONE, codes.STOPPED)

    def signal(self, number: int) -> None:
        if self.code is None:
            self._process.send_signal(number)

    def close(self) -> None:
        """Reads what is left of its output, unless others hold it open."""
        if self._thread is not None:
            self._thread.join(5)

    def _read(self) -> None:
        for line in self._process.stdout:
            self._say(line)

    def _say(self, line: bytes) -> None:
        self.lines.append(line.decode(errors="replace").rstrip()[:WIDTH])
        try:
            sys.stdout.buffer.write(self._prefix + line)
            sys.stdout.buffer.flush()
        except (OSError, ValueError):  # nobody reads any more: the training goes on
            pass


def wait(children: list, signals: list, grace: float, each_poll) -> list:
    """Exit codes of all, which get the signals that come in meanwhile.

    When one has ended by an error the others, who cannot go on, are killed if they have
    not ended after `grace` seconds.
    """
    failed = None
    forwarded = 0  # those that came while the children were started are for them too
    while any(child.code is None for child in children):
        for number in signals[forwarded:]:
            for child in children:
                child.signal(number)
            forwarded += 1
        if failed is None and any(child.has_failed for child in children):
            failed = time.monotonic()
        if failed is not None and time.monotonic() - failed > grace:
            for child in children:
                child.signal(signal.SIGKILL)
        each_poll()
        time.sleep(POLL)
    for child in children:
        child.close()
    return [child.code for child in children]
