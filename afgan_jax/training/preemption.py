"""The wish to stop: SIGTERM, as spot machines and schedulers send it, or Ctrl-C.

In a run of several processes one signal to one of them is enough. Each says at the end
of every step whether it was asked, the devices tell all, and the answer is read one
step late: so every process learns the same of the same step, and no device ever waits
for a host.
"""

import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np

from afgan_jax.training import state as states
from afgan_jax.training import step as steps

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether the loop must end before its next step, on all processes the same.

    Signals count from the end of the first step on: until then there is nothing to
    save, and they do what they always do. So does a second signal.
    """

    def __init__(self, program: steps.Program):
        self._asked = threading.Event()
        self._handlers: dict = {}  # what the signals did before
        self._rows = program.batch_sharding["image"]
        self._count = jax.jit(_count, out_shardings=program.replicated)
        self._is_alone = jax.process_count() == 1
        self._has_begun = False
        self._before = self._latest = None  # steps' votes, or what shows their end

    def __enter__(self) -> "Stop":
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def is_due(self) -> bool:
        """Whether to stop; waits until the step before the last is done.

        Hosts thus keep one step ahead of their devices, and have little left to wait
        for when they stop.
        """
        jax.block_until_ready(self._before)
        if self._is_alone:
            return self._asked.is_set()
        return self._before is not None and bool(self._before)

    def end_step(self, state: states.TrainState, stats: list) -> states.TrainState:
        """The state to go on with; `stats` are the step's."""
        self._before = self._latest
        if self._is_alone:
            self._latest = stats
        else:
            mine = np.full(jax.local_device_count(), self._asked.is_set())
            votes = jax.make_array_from_process_local_data(self._rows, mine)
            # Through the state, lest devices do this and a step in different orders.
            self._latest, step = self._count(votes, state.step)
            state = state.replace(step=step)
        if not self._has_begun:
            self._has_begun = True
            self._listen()
        return state

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {s: signal.getsignal(s) for s in SIGNALS}
            for number in SIGNALS:
                signal.signal(number, self._ask)

    def _ask(self, number: int, _) -> None:
        if self._asked.is_set():
            self._restore()
            signal.raise_signal(number)
            return
        self._asked.set()
        # A second one then does not even wait for the main thread. Not so SIGINT: who
        # watches for it elsewhere must still see whose this one was.
        signal.signal(signal.SIGTERM, self._handlers.pop(signal.SIGTERM))

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _count(votes: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.any(votes), step
