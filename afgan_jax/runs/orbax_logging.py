"""What Orbax says on the terminal of failures that its caller gets as exceptions."""

import contextlib
import functools
import logging
import sys
import warnings


def drop_those_of_saves() -> None:
    """Keeps off the terminal what Orbax's threads say, from now on, of a failed save.

    Each thread that the failure passes through logs a traceback, and writes given up
    find their event loop closed. The caller gets the failure itself as an exception.
    """
    logging.getLogger("absl").addFilter(_from_elsewhere)
    if getattr(sys.unraisablehook, "func", None) is not _unless_loop_closed:
        sys.unraisablehook = functools.partial(_unless_loop_closed, sys.unraisablehook)


@contextlib.contextmanager
def dropped():
    """Keeps off the terminal what Orbax leaves behind when a restore fails.

    The reads and coroutines it gives up complain to the event loop's log, to the
    warnings and to the hook for exceptions nobody can catch, some a moment later.
    """
    hook, log = sys.unraisablehook, logging.getLogger("asyncio")
    was_disabled = log.disabled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.unraisablehook, log.disabled = (lambda _: None), True
        try:
            yield
        finally:
            sys.unraisablehook, log.disabled = hook, was_disabled


def _from_elsewhere(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _unless_loop_closed(report, unraisable) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        report(unraisable)
