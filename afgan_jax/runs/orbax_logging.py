"""Silences Orbax's messages on failures that its caller gets as exceptions."""

import contextlib
import functools
import logging
import sys
import warnings


def silence_failed_saves() -> None:
    """Silences what Orbax's threads log when a save fails.

    Each thread that handles the failure logs a traceback, cancelled writes find their
    event loop closed, and it reports the errors of all writes after the first.
    """
    logging.getLogger("absl").addFilter(_from_elsewhere)
    logging.getLogger("asyncio").addFilter(_unless_of_array)
    if getattr(sys.unraisablehook, "func", None) is not _unless_loop_closed:
        sys.unraisablehook = functools.partial(_unless_loop_closed, sys.unraisablehook)


@contextlib.contextmanager
def silenced():
    """Silences what Orbax logs when a restore fails.

    Cancelled reads and coroutines report to the event loop's log, the warnings and the
    hook for unraisable exceptions, some a moment later.
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


def _unless_of_array(record: logging.LogRecord) -> bool:
    error = record.exc_info and record.exc_info[1]
    is_report = "exception was never retrieved" in record.getMessage()
    return not (is_report and "tensorstore_spec" in str(error))


def _unless_loop_closed(report, unraisable) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        report(unraisable)
