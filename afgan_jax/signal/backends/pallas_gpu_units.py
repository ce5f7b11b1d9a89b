"""What the Pallas kernel for NVIDIA GPUs asks of a card: copies, products, barriers.

Hopper multiplies with `wgmma`, whose sums are in registers; Blackwell with `tcgen05`,
whose sums are in a memory of their own. The interpreter runs the code for Hopper, but
for the placement of arrays in registers.
"""

import contextlib
import contextvars
import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

# Major compute capability of cards that the kernel is written for.
GENERATIONS = {9: "hopper", 10: "blackwell"}
AXES = ("images", "channels", "strips", "chunks")
_INSTALLED = "installed"
_described = contextvars.ContextVar[str | None]("generation", default=_INSTALLED)


@contextlib.contextmanager
def compiling_for(generation: str | None) -> Iterator[None]:
    """Kernels traced in this context are for such a card, which need not be here.

    One of GENERATIONS, "simulated", or None for a card without the kernel.
    """
    token = _described.set(generation)
    try:
        yield
    finally:
        _described.reset(token)


def generation() -> str | None:
    """Of the card that kernels are compiled for, None if they cannot be."""
    described = _described.get()
    return _installed() if described == _INSTALLED else described


@functools.cache
def _installed() -> str | None:
    try:
        device = jax.devices("cuda")[0]
    except RuntimeError:
        return None
    return GENERATIONS.get(int(str(device.compute_capability).split(".")[0]))


def suits(card: str, batch: int) -> bool:
    """Whether a card multiplies so many fine rows at once."""
    return card != "blackwell" or batch == 2


def make_units(dtype, interpret: bool) -> "Units":
    kinds = {"hopper": Units, "blackwell": Blackwell, "simulated": Simulated}
    return Interpreted(dtype) if interpret else kinds[generation()](dtype)


@dataclasses.dataclass(frozen=True)
class Units:
    """Of a Hopper card. Arrays are shared between 128 threads.

    A product's result lies in registers as `wgmma` leaves it.
    """

    dtype: jnp.dtype
    has_margins = False  # whether images need zeros around them
    cores = 132

    @functools.cached_property
    def gpu(self):
        # Of no use, and slow to import, where there is no such card.
        from jax.experimental.pallas import mosaic_gpu

        return mosaic_gpu

    def kernel(self, body: Callable, out, grid: tuple[int, ...], scratch) -> Callable:
        """body(inputs, output, scratch), for each program of a grid of AXES."""
        return self.gpu.kernel(
            body,
            out_type=out,
            grid=grid,
            grid_names=AXES,
            scratch_types=scratch,
            **self.settings(),
        )

    def index(self, name: str):
        """Of a program along an axis of the grid."""
        return jax.lax.axis_index(name)

    def settings(self) -> dict:
        """All threads wait for each other in `commit` and `drain` only."""
        params = self.gpu.CompilerParams(
            unsafe_no_auto_barriers=True,
            # Newer JAX would lay out fast memory by itself, not as images need it.
            lowering_semantics=self.gpu.LoweringSemantics.Lane,
        )
        return {"compiler_params": params}

    def plain(self, shape):
        """Fast memory for what is copied to or from an image."""
        return self.gpu.SMEM(shape, self.dtype)

    def operand(self, shape):
        """Fast memory for a matrix that tensor cores read."""
        transforms = (
            self.gpu.TilingTransform((8, 32)),
            self.gpu.SwizzleTransform(64),
        )
        return self.gpu.SMEM(shape, self.dtype, transforms=transforms)

    def barriers(self, count: int):
        return self.gpu.Barrier(num_barriers=count)

    def products(self, count: int, columns: int) -> list:
        """What `product` needs for so many products in flight."""
        return []

    def fetch(self, source, target, barrier) -> None:
        """Begin a copy to fast memory; zeros are read outside of the source."""
        self.gpu.copy_gmem_to_smem(source, target, barrier)

    def wait(self, barrier) -> None:
        self.gpu.barrier_wait(barrier)

    def store(self, source, target) -> None:
        """Begin a copy from fast memory."""
        self.gpu.copy_smem_to_gmem(source, target)

    def drain(self) -> None:
        """All threads wait until all that `store` copies has been read."""
        self.gpu.wait_smem_to_gmem(0, wait_read_only=True)

    def finish(self) -> None:
        self.gpu.wait_smem_to_gmem(0)

    def commit(self) -> None:
        """All threads wait; copies and tensor cores see what they have written."""
        self.gpu.commit_smem()

    def load(self, slots, slot) -> jax.Array:
        """[W C] of a plain array, in float32."""
        _, *shape = slots.shape
        layout = self.gpu.Layout.SMEM_GMEM_COPY(tuple(shape), self.dtype, 64)
        # JAX 0.10 asks for an index beside.
        index = (...,) if jax.__version_info__ < (0, 11) else ()
        row = self.gpu.load(slots.at[slot], *index, layout=layout, optimized=False)
        return row.astype(jnp.float32)

    def put(self, target, value: jax.Array) -> None:
        """Write a product's result to a plain array."""
        if hasattr(self.gpu, "store"):  # by which newer JAX permits what is slow
            self.gpu.store(target, value, optimized=False)
        else:
            target[...] = value

    def zeros(self, shape) -> jax.Array:
        zero = jnp.zeros(shape, jnp.float32)
        return self.gpu.layout_cast(zero, self.gpu.Layout.WGMMA)

    def product(self, products, number: int, pairs) -> jax.Array:
        """The sum of a @ b over pairs of operands, [TILE columns] in float32."""
        shape = (pairs[0][0].shape[0], pairs[0][1].shape[1])

        def run(total):
            for a, b in pairs:
                self.gpu.wgmma(total, a, b)
            return total[...]

        return pl.run_scoped(run, self.gpu.ACC(shape, jnp.float32))


class Simulated(Units):
    """Mosaic's own simulation of a Hopper card, which finds races; slow."""

    has_margins = True
    cores = 1

    def settings(self) -> dict:
        # Not among JAX's public names before 0.11.
        from jax._src.pallas.mosaic_gpu.interpret import params

        return {"interpret": params.InterpretGPUParams(detect_races=True)}

    def operand(self, shape):
        return self.plain(shape)

    def load(self, slots, slot) -> jax.Array:
        return slots[slot].astype(jnp.float32)

    def put(self, target, value: jax.Array) -> None:
        target[...] = value

    def zeros(self, shape) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)


class Interpreted(Simulated):
    """Plain XLA: copies take no time, one program runs after the other."""

    def kernel(self, body: Callable, out, grid: tuple[int, ...], scratch) -> Callable:
        anywhere = pl.BlockSpec(memory_space=pl.ANY)
        flat, tree = jax.tree.flatten(scratch)

        def run(*refs):
            rest = jax.tree.unflatten(tree, refs[len(refs) - len(flat) :])
            body(*refs[: len(refs) - len(flat)], *rest)

        def call(*arrays):
            return pl.pallas_call(
                run,
                out_shape=out,
                grid=grid,
                in_specs=[anywhere] * len(arrays),
                out_specs=anywhere,
                scratch_shapes=flat,
                interpret=True,
            )(*arrays)

        return call

    def index(self, name: str):
        return pl.program_id(AXES.index(name))

    def barriers(self, count: int):
        return pl.MemorySpace.ANY((count,), jnp.int32)

    def plain(self, shape):
        return pl.MemorySpace.ANY(shape, self.dtype)

    def fetch(self, source, target, barrier) -> None:
        target[...] = source[...]

    def store(self, source, target) -> None:
        target[...] = source[...]

    def wait(self, barrier) -> None:
        pass

    def drain(self) -> None:
        pass

    finish = commit = drain

    def product(self, products, number: int, pairs) -> jax.Array:
        dot = functools.partial(jnp.dot, preferred_element_type=jnp.float32)
        if self.dtype == jnp.float32:
            dot = functools.partial(dot, precision="highest")
        return functools.reduce(operator.add, [dot(a[...], b[...]) for a, b in pairs])


class Blackwell(Units):
    """Sums of each product have a place of their own, and a barrier."""

    cores = 148

    def products(self, count: int, columns: int) -> list:
        sums = self.gpu.TMEM((64, columns), jnp.float32)
        done = self.gpu.Barrier(num_barriers=count, orders_tensor_core=True)
        return [[sums] * count, done]

    def product(self, products, number: int, pairs) -> jax.Array:
        (total, done) = products[0][number], products[1].at[number]
        for k, (a, b) in enumerate(pairs):
            last = k == len(pairs) - 1
            self.gpu.tcgen05_mma(total, a, b, done if last else None, accumulate=k > 0)
        self.gpu.barrier_wait(done)
        found = self.gpu.async_load_tmem(total)
        self.gpu.wait_load_tmem()
        return found
