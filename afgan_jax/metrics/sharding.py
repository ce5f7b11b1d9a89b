"""Images by number, worked on in batches by all devices of all processes.

Picture i of a source depends on i alone, and what is found in it on the picture alone:
so results are the same for any number of devices and processes, and any batch.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Int

from afgan_jax.signal.backends import dispatch

Numbers = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class BatchSharding:
    """Batches that the devices of a mesh share in equal parts."""

    mesh: Mesh
    batch: int

    @classmethod
    def over(cls, batch: int, devices: list | None = None) -> "BatchSharding":
        """`batch` is raised to a multiple of the devices, by default all there are."""
        devices = jax.devices() if devices is None else devices
        # A process's devices lie side by side, as its rows of a batch do.
        devices = sorted(devices, key=lambda d: (d.process_index, d.id))
        mesh = Mesh(np.array(devices), ("data",))
        return cls(mesh, math.ceil(batch / len(devices)) * len(devices))

    def compile(self, function: Callable, *, rows: int = 1) -> Callable:
        """function(constants, ...) with its last `rows` arguments split by rows.

        Constants and results are whole on every device.
        """

        def call(constants, *arguments):
            with dispatch.split_over(self.mesh):
                return function(constants, *arguments)

        split = NamedSharding(self.mesh, PartitionSpec("data"))

        def run(constants, *arguments):
            whole, parts = arguments[:-rows], arguments[-rows:]
            parts = [jax.make_array_from_process_local_data(split, a) for a in parts]
            return jitted(constants, *whole, *parts)

        jitted = jax.jit(call, out_shardings=self._whole)
        return run

    def everywhere(self, tree: Any) -> Any:
        """Arrays of this process, on all devices."""
        return jax.device_put(tree, self._whole)

    def map(
        self,
        function: Callable,
        constants: Any,
        read: Callable[[Numbers], np.ndarray],
        count: int,
    ) -> Iterator[np.ndarray]:
        """function(constants, read(numbers)) for numbers 0 .. count - 1, in batches.

        `function` comes from `compile`; `read` gives this process's rows of its
        argument. The last batch is filled up by starting again, and cut.
        """
        constants = self.everywhere(constants)
        pending = None  # so that the next batch is read while the devices work
        for start in range(0, count, self.batch):
            numbers = np.arange(start, start + self.batch) % count
            found = function(constants, _agreed(read, numbers[self.mine]))
            if pending is not None:
                yield np.asarray(pending.addressable_data(0))
            pending = found
        if pending is not None:
            yield np.asarray(pending.addressable_data(0))[: count - start]

    @property
    def mine(self) -> slice:
        """This process's rows of a batch."""
        share = self.batch // jax.process_count()
        return slice(jax.process_index() * share, (jax.process_index() + 1) * share)

    @property
    def _whole(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())


def _agreed(read: Callable, numbers: Numbers):
    """read(numbers); an error in one process is one in all, lest they wait for it."""
    if jax.process_count() == 1:
        return read(numbers)
    fault, found = None, None
    try:
        found = read(numbers)
    except (ValueError, OSError) as error:
        fault = error
    if np.any(multihost_utils.process_allgather(np.array(fault is not None))):
        raise fault or ValueError("another process of the job could not read its share")
    return found
