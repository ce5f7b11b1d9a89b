"""Stopping on SIGTERM, as spot machines and schedulers send it, on Ctrl-C or SIGHUP.

In a run of several processes a signal to one of them is enough. At the end of each step
every process votes, the devices reduce the votes, and the result is read one step late:
all processes get the same answer for the same step, and no device waits for a host. In
the same way process 0's clock says to all when a checkpoint is due by time.
"""

import ctypes
import math
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from afgan_jax.training import state as states
from afgan_jax.training import step as steps

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Seconds in which a repeated SIGTERM is the first one again: SLURM and systemd send it
# to all processes of a job, and a supervisor among them passes it on.
TOGETHER = 2.0


class Stop:
    """Whether the loop must end before its next step, the same on all processes.

    Signals are handled from the end of the first step on. Before, when there is nothing
    to save, they have their usual effect, as has a second signal; but not SIGHUP, which
    a closed terminal sends beside others, and which nohup has ignored.
    """

    def __init__(self, program: steps.Program, save_minutes: float | None = None):
        """save_minutes: of training after which a checkpoint is due; None: never."""
        self.must_save = False  # whether one is due, as is_due found
        self._interval = math.inf if save_minutes is None else 60 * save_minutes
        self.restart_clock()
        self._asked = threading.Event()
        self._is_last = False  # whether the next signal ends the program
        self._handlers: dict = {}  # the previous handlers, by signal
        self._rearm: threading.Timer | None = None
        self._rows = program.batch_sharding["image"]
        self._count = jax.jit(_count, out_shardings=program.replicated)
        self._is_single = jax.process_count() == 1
        self._has_begun = False
        # Of the last two steps: the votes, or an output to wait for.
        self._before = self._latest = None

    def __enter__(self) -> "Stop":
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def is_due(self) -> bool:
        """Whether to stop; waits until the step before the last is done.

        So a host is at most one step ahead of its devices when it stops.
        """
        jax.block_until_ready(self._before)
        if self._is_single:
            stop, self.must_save = self._votes()
            return stop
        if self._before is None:
            return False
        stop, self.must_save = map(bool, jax.device_get(self._before))
        return stop

    def restart_clock(self) -> None:
        """A checkpoint is being saved: the time to the next one begins."""
        self._saved = time.monotonic()

    def is_asked(self) -> bool:
        """Whether any process has been asked to stop; all must call it together."""
        mine = np.array(self._asked.is_set())
        return bool(
            mine if self._is_single else multihost_utils.process_allgather(mine).any()
        )

    def end_step(self, state: states.TrainState, stats: list) -> states.TrainState:
        """The state for the next step; `stats` are this step's."""
        self._before = self._latest
        if self._is_single:
            self._latest = stats
        else:
            mine = np.tile(self._votes(), (jax.local_device_count(), 1))
            votes = jax.make_array_from_process_local_data(self._rows, mine)
            # Depends on the state: all devices must run this and steps in one order.
            self._latest, step = self._count(votes, state.step)
            state = state.replace(step=step)
        if not self._has_begun:
            self._has_begun = True
            if threading.current_thread() is threading.main_thread():
                self._handlers = {s: signal.getsignal(s) for s in SIGNALS}
                if self._handlers[signal.SIGHUP] is signal.SIG_IGN:
                    del self._handlers[signal.SIGHUP]
                for number in self._handlers:
                    signal.signal(number, self._ask)
        return state

    def _votes(self) -> tuple[bool, bool]:
        """Whether this process wants to stop, and to save: once for each time."""
        is_late = time.monotonic() - self._saved > self._interval
        must_save = self._has_begun and is_late and jax.process_index() == 0
        if must_save:
            self.restart_clock()
        return self._asked.is_set(), must_save

    def _ask(self, number: int, _) -> None:
        self._asked.set()
        if number == signal.SIGHUP:
            return
        if self._is_last:
            self._restore()
            signal.raise_signal(number)
            return
        self._is_last = True
        # SIGINT keeps this handler, which others may look up to see who handled the
        # first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._rearm = threading.Timer(TOGETHER, _set_default, [signal.SIGTERM])
        self._rearm.daemon = True
        self._rearm.start()

    def _restore(self) -> None:
        if self._rearm is not None:
            self._rearm.cancel()
            self._rearm.join()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _set_default(number: int) -> None:
    """Lets a signal end this process, without waiting for the main thread.

    From any thread, unlike signal.signal.
    """
    ctypes.CDLL(None).signal(number, None)


def _count(votes: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.any(votes, axis=0), step
