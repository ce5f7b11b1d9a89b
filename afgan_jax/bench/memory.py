"""What training updates will take on each device, by the compiler, without running one.

Arguments are the state and the batch; the updated state takes their place. Temporaries
are what lives during an update beside them: feature maps kept for the backward pass.
"""

import dataclasses
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from afgan_jax.bench import clock

HEADER = (
    f"{'per device':16}{'arguments':>12}{'temporary':>12}{'together':>12}{'compile':>9}"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What one compiled update takes on each device."""

    name: str
    argument_bytes: int
    temporary_bytes: int
    compile_seconds: float

    def line(self) -> str:
        sizes = (self.argument_bytes, self.temporary_bytes)
        columns = "".join(f"{size / 1e6:9.1f} MB" for size in (*sizes, sum(sizes)))
        return f"{self.name:16}{columns}{self.compile_seconds:7.0f} s"


def arguments(program, D, batch: int) -> tuple:
    """(state, batch, key) of an update of training.step's Program, as shapes that say
    on which devices they lie."""
    key = jax.eval_shape(jax.random.key, 0)
    state = jax.eval_shape(program.init, key)
    size = (batch, D.resolution, D.resolution, D.img_channels)
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
    """Lines: G's layers, parameters of both networks, then every update as compiled."""
    state = jax.eval_shape(program.init, jax.random.key(0))
    yield G.synthesis.describe()
    yield f"parameters: G {count(state.G['params']):,}, D {count(state.D['params']):,}"
    devices = program.replicated.mesh.devices
    yield f"batch {batch} on {devices.size} x {devices.flat[0].device_kind}"
    yield HEADER
    for row in updates(program, D, batch):
        yield row.line()


def count(tree) -> int:
    """How many numbers a tree of arrays or shapes holds."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def updates(program, D, batch: int) -> Iterator[Row]:
    """A row for every update, as it is compiled."""
    shapes = arguments(program, D, batch)
    for name, update in program.updates.items():
        compiled, seconds = clock.compile_timed(update, shapes)
        sizes = compiled.memory_analysis()
        yield Row(
            f"update {name}",
            sizes.argument_size_in_bytes,
            sizes.temp_size_in_bytes,
            seconds,
        )


def _placed(shapes, sharding):
    return jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
        shapes,
        sharding,
    )
