"""The memory of training updates on each device, by the compiler, without running them.

Arguments are the state and the batch; the updated state replaces them. Temporaries
exist only during an update, such as feature maps kept for the backward pass.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from afgan_jax import jax_settings
from afgan_jax.bench import clock

HEADER = (
    f"{'per device':16}{'arguments':>12}{'temporary':>12}{'together':>12}{'compile':>9}"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """The memory of one compiled update on each device."""

    name: str
    argument_bytes: int
    temporary_bytes: int
    compile_seconds: float

    def line(self) -> str:
        sizes = (self.argument_bytes, self.temporary_bytes)
        columns = "".join(f"{size / 1e6:z9.1f} MB" for size in (*sizes, sum(sizes)))
        return f"{self.name:16}{columns}{self.compile_seconds:z7.0f} s"


def arguments(program, D, batch: int) -> tuple:
    """(state, batch, key) of an update of training.step's Program: shapes, sharded."""
    key = jax.eval_shape(lambda: jax_settings.key(0))
    state = jax.eval_shape(program.init, key)
    size = (batch, *D.size, D.img_channels)
    data = {
        "image": jax.ShapeDtypeStruct(size, jnp.uint8),
        "label": jax.ShapeDtypeStruct((batch, D.c_dim), jnp.float32),
        "gen_label": jax.ShapeDtypeStruct((2, batch, D.c_dim), jnp.float32),
    }
    on_all = jax.tree.map(lambda _: program.replicated, state)
    return (
        _placed(state, on_all),
        _placed(data, program.batch_sharding),
        _placed(key, program.replicated),
    )


def report(G, D, program, batch: int) -> Iterator[str]:
    """Lines of G's layers, the parameters of both networks, and every update."""
    state = jax.eval_shape(program.init, jax_settings.key(0))
    yield G.synthesis.describe()
    yield f"parameters: G {count(state.G['params']):,}, D {count(state.D['params']):,}"
    devices = program.replicated.mesh.devices
    yield f"batch {batch} on {devices.size} x {devices.flat[0].device_kind}"
    yield HEADER
    for row in updates(program, D, batch):
        yield row.line()


def count(tree) -> int:
    """The number of elements in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def updates(program, D, batch: int) -> Iterator[Row]:
    """A row for each update, as soon as it is compiled."""
    shapes = arguments(program, D, batch)
    for name, update in program.updates.items():
        yield compiled(f"update {name}", update, shapes)[0]


def compiled(name: str, jitted, shapes: tuple, options=None) -> tuple[Row, Any]:
    """(its row, the compiled function) for the devices of the shapes' shardings.

    options: of the compiler.
    """
    found, seconds = clock.compile_timed(jitted, shapes, options)
    sizes = found.memory_analysis()
    used = sizes.argument_size_in_bytes, sizes.temp_size_in_bytes
    return Row(name, *used, seconds), found


def _placed(shapes, sharding):
    return jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
        shapes,
        sharding,
    )
