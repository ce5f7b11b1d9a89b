"""Exit codes of a training, and which of them a restart cannot help.

0 done; 42 stopped by a signal, saved, unfinished (--exit-stopped=42); 134 a process of
the job was lost, or none of its steps ended; 143 SIGTERM before the first step; 1 an
unexpected error; 2 bad input or a full disk; 130 Ctrl-C; 126, 127 no such command.
"""

DONE, FAILED, BAD_INPUT, STOPPED, LOST = 0, 1, 2, 42, 134
FINAL = (BAD_INPUT, 126, 127, 130)


def from_returncode(returncode: int) -> int:
    """The code that a shell would show: 128 + N for a process that signal N ended."""
    return 128 - returncode if returncode < 0 else returncode


def of_job(codes) -> int:
    """The code that tells most about a job, of those of its processes.

    What no restart helps outranks all others; what happened to one process outranks
    LOST, which the others say of it.
    """
    told = [*FINAL, *sorted(set(codes) - {*FINAL, LOST, STOPPED, DONE})]
    return next(code for code in (*told, LOST, STOPPED, DONE) if code in codes)
