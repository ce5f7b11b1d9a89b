"""Functions of numbered images, computed in batches by all devices of all processes.

Image i of a source depends only on i, and what is found in it only on the image. So
results are the same for any number of devices and processes, and any batch size.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from afgan_jax import jax_settings
from afgan_jax.signal.backends import dispatch

Numbers = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class BatchSharding:
    """Batches split equally over the devices of a mesh."""

    mesh: Mesh
    batch: int

    @classmethod
    def over(cls, batch: int, devices: list | None = None) -> "BatchSharding":
        """Rounds `batch` up to a multiple of the devices; None: all devices."""
        devices = jax.devices() if devices is None else devices
        # A process's devices lie side by side, as its rows of a batch do.
        devices = sorted(devices, key=lambda d: (d.process_index, d.id))
        mesh = Mesh(np.array(devices), ("data",))
        return cls(mesh, math.ceil(batch / len(devices)) * len(devices))

    def compile(self, function: Callable, *, rows: int = 1) -> Callable:
        """function(constants, ...) with its last `rows` arguments split by rows.

        Constants and results are replicated on every device. Matrix products keep full
        float32 precision, which accelerators reduce by default.
        """

        def call(constants, *arguments):
            highest = jax.default_matmul_precision("highest")
            with dispatch.split_over(self.mesh), highest:
                return function(constants, *arguments)

        split = NamedSharding(self.mesh, PartitionSpec("data"))

        def run(constants, *arguments):
            replicated, parts = arguments[:-rows], arguments[-rows:]
            parts = [jax.make_array_from_process_local_data(split, a) for a in parts]
            with jax_settings.fixed():
                return jitted(constants, *replicated, *parts)

        jitted = jax.jit(call, out_shardings=self._replicated)
        return run

    def replicate(self, tree: Any) -> Any:
        """Arrays of this process, on all devices."""
        return jax.device_put(tree, self._replicated)

    def map(
        self,
        function: Callable,
        constants: Any,
        count: int,
        read: Callable[[Numbers], np.ndarray] = lambda numbers: numbers,
    ) -> Iterator[np.ndarray]:
        """function(constants, read(numbers)) for numbers 0 .. count - 1, in batches.

        `function` comes from `compile`; `read` returns this process's rows of its
        argument. The last batch is padded with the first numbers, and its result cut.
        """
        constants = self.replicate(constants)
        pending = None  # so that the next batch is read while the devices work
        for start in range(0, count, self.batch):
            numbers = np.arange(start, start + self.batch) % count
            found = function(constants, _agreed(read, numbers[self.mine]))
            if pending is not None:
                yield jax.device_get(pending.addressable_data(0))
            pending = found
        if pending is not None:
            yield jax.device_get(pending.addressable_data(0))[: count - start]

    @property
    def mine(self) -> slice:
        """This process's rows of a batch."""
        share = self.batch // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    @property
    def _replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())


@functools.cache
def compiled(
    sharding: BatchSharding, make: Callable, *arguments, rows: int = 1
) -> Callable:
    """sharding.compile(make(*arguments)), the same for the same arguments.

    So metrics that need one function compile it once.
    """
    return sharding.compile(make(*arguments), rows=rows)


def all_processes(yes: bool) -> bool:
    """Whether all processes of the job say yes; every one of them must ask."""
    if jax.process_count() == 1:
        return yes
    return bool(multihost_utils.process_allgather(np.array(yes)).all())


def _agreed(read: Callable, numbers: Numbers):
    """read(numbers). An error in one process is raised in all, which would wait."""
    fault, found = None, None
    try:
        found = read(numbers)
    except (ValueError, OSError) as error:
        fault = error
    if not all_processes(fault is None):
        raise fault or ValueError("another process of the job could not read its share")
    return found
