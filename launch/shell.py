"""Commands: each is printed before it runs; a dry run only prints."""

import os
import shlex
import subprocess


def quoted(words) -> str:
    """One line that a shell splits into these words again."""
    return " ".join(shlex.quote(str(word)) for word in words)


class Failed(Exception):
    """A command ended by an error or took too long; `out` is what it wrote before."""

    out = ""


class Shell:
    """Runs commands, or with dry_run only prints them."""

    def __init__(self, dry_run: bool = False):
        self.dry_run = dry_run
        self._looks = set()

    def run(self, words, timeout: float = 3600, look: bool = False) -> str:
        """The standard output of a command; empty in a dry run.

        look: changes nothing and may come again and again; printed the first time.
        Raises Failed with its last words if it fails or takes longer than `timeout` s.
        """
        line = quoted(words)
        if not look or line not in self._looks:
            print(f"+ {line}", flush=True)
        if look:
            self._looks.add(line)
        else:
            self._looks.clear()
        if self.dry_run:
            return ""
        try:
            ended = subprocess.run(
                list(map(str, words)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{words[0]} has not ended after {timeout:g} s") from error
        except OSError as error:
            raise Failed(f"cannot run {words[0]}: {error.strerror}") from error
        if ended.returncode:
            said = (ended.stderr or ended.stdout).strip().splitlines()
            error = Failed("\n".join(said[-20:] or [f"exit code {ended.returncode}"]))
            error.out = ended.stdout
            raise error
        return ended.stdout

    def become(self, words) -> None:
        """Hands the terminal over to a command; returns in a dry run only."""
        print(f"+ {quoted(words)}", flush=True)
        if self.dry_run:
            return
        try:
            os.execvp(words[0], list(map(str, words)))
        except OSError as error:
            raise Failed(f"cannot run {words[0]}: {error.strerror}") from error

    def say(self, line: str) -> None:
        print(line, flush=True)
