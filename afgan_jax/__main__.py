"""The command line: python -m afgan_jax VERB [flags].

A verb is a module with main, a function whose typed arguments are its flags, or a
package with PARTS, such modules by name. It is imported only when it is asked for, and
imports JAX only inside its functions.
"""

import contextlib
import difflib
import importlib
import logging
import os
import signal
import sys
import threading
import time

from afgan_jax import errors, patience, places, streams, xla_flags
from afgan_jax.cli import command

# verb: (module, what it does in one line)
VERBS = {
    "train": ("afgan_jax.cli.train", "train a generator, or resume training it"),
    "generate": ("afgan_jax.cli.generate", "write images of a trained generator"),
    "video": ("afgan_jax.cli.video", "write a film of latents and motions"),
    "mix": ("afgan_jax.cli.mix", "coarse layers of some seeds, fine ones of others"),
    "directions": ("afgan_jax.cli.directions", "find what changes images, by w alone"),
    "project": ("afgan_jax.cli.project", "find the w of images, and their motion"),
    "view": ("afgan_jax.cli.view", "show models in a browser, under your hand"),
    "analyze": ("afgan_jax.cli.analyze", "measure and show equivariance, layers, D"),
    "metrics": ("afgan_jax.cli.metrics", "FID, KID, PPL, EQ-T and others of a run"),
    "spectra": ("afgan_jax.cli.spectra", "average power spectra of images"),
    "ladder": ("afgan_jax.cli.ladder", "train and measure all rows of the paper"),
    "dataset": (
        "afgan_jax.cli.dataset",
        "convert images to an archive; check or copy one",
    ),
    "export": ("afgan_jax.cli.export", "write a model as a file that others open"),
    "import": ("afgan_jax.cli.import_", "turn a published snapshot into a model file"),
    "checkpoint": (
        "afgan_jax.cli.checkpoint",
        "copy one out of a run, average several, remove some",
    ),
    "inspect": ("afgan_jax.cli.inspect", "show what a model holds; compare two"),
    "bench": ("afgan_jax.cli.bench", "time a configuration on this machine"),
}


def main(argv: list[str] | None = None) -> int:
    """Runs one verb and returns the exit code.

    0 done, or stopped with all of it saved; 1 ended by an error on the way, or one of a
    network that may pass; 2 bad input or a full disk (one line on stderr for both);
    130 interrupted; or what the verb's flags say. With AFGAN_TRACEBACK=1 in the
    environment an error shows where it comes from.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(argv)
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError, errors.Stopped) as error:
        if _wants_traceback():
            raise
        return _fail(error)
    except (RuntimeError, AssertionError) as error:
        from afgan_jax import jax_settings  # here: --help must not wait for JAX

        refusal = jax_settings.refusal(error)
        if refusal is None or _wants_traceback():
            raise
        return _fail(ValueError(refusal))


def _wants_traceback() -> bool:
    return os.environ.get("AFGAN_TRACEBACK", "0") not in ("", "0")


def _fail(error: Exception) -> int:
    """Tells the error, if anything can be told, and returns the exit code."""
    with contextlib.suppress(OSError):
        print("error:", errors.in_one_line(error), file=sys.stderr, flush=True)
    may_pass = getattr(error, "errno", None) in patience.PASSING
    return 1 if isinstance(error, errors.Stopped) or may_pass else 2


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    verb, *rest = argv
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        raise ValueError(f"unknown verb {verb!r}; {hint}")
    module = importlib.import_module(VERBS[verb][0])
    xla_flags.check(os.environ.get("XLA_FLAGS", ""))
    places.spare_matplotlib()
    return command.run(module, verb, rest)


def _overview() -> str:
    lines = [f"  {verb:12} {summary}" for verb, (_, summary) in VERBS.items()]
    usage = "python -m afgan_jax VERB [flags]\n\nVerbs (VERB --help for its flags):\n"
    return usage + "\n".join(lines)


def _tell_warnings() -> None:
    """Shows this package's warnings as all that the command line says.

    Libraries that log set a form of their own for the whole process.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log = logging.getLogger("afgan_jax")
    log.addHandler(handler)
    log.propagate = False


def _heed_interrupts() -> None:
    """Lets Ctrl-C end the program, at the latest some seconds on.

    The exception can be lost in a callback, does not come before a call of XLA is over,
    and an interpreter that is closed while XLA's threads compile crashes: hence ends
    that ask nobody.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)  # written to at once, whatever the main thread does
    signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_watch, args=(read,), daemon=True).start()


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _watch(read: int) -> None:
    while True:
        is_interrupt = os.read(read, 1)[0] == signal.SIGINT
        if is_interrupt and signal.getsignal(signal.SIGINT) is _interrupt:
            time.sleep(5)
            places.exit_at_once(130)


if __name__ == "__main__":
    streams.secure()
    _tell_warnings()
    _heed_interrupts()
    code = main()
    try:
        streams.finish()
    except OSError as error:
        code = code or _fail(error)
    if code:  # there may be threads and processes that would be waited for
        places.exit_at_once(code)
    sys.exit(code)
