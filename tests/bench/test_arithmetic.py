"""Operations are counted as a textbook counts them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.bench import arithmetic
from afgan_jax.signal import convolve, resample

X = jnp.zeros((2, 16, 16, 3))


def test_matrix_product_takes_two_operations_a_term():
    a, b = jnp.zeros((4, 5)), jnp.zeros((5, 6))
    assert arithmetic.needed_flops(jnp.matmul, a, b) == 2 * 4 * 5 * 6


def test_loops_count_each_round_and_choices_the_longer_branch():
    a = jnp.zeros((5, 5))

    def loop(a):
        return jax.lax.scan(lambda c, _: (c @ a, None), a, length=7)[0]

    def choose(a):
        return jax.lax.cond(a[0, 0] > 0, lambda a: a @ a @ a, lambda a: a @ a, a)

    assert arithmetic.needed_flops(loop, a) == 7 * 2 * 5**3
    assert arithmetic.needed_flops(choose, a) == 2 * 2 * 5**3


@pytest.mark.parametrize("argument", [0, 1])
def test_convolution_and_each_of_its_gradients_take_the_same(argument):
    w = jnp.zeros((3, 3, 3, 8))

    def loss(x, w):
        return jnp.sum(convolve.conv(x, w) ** 2)

    forward = 2 * (2 * 14 * 14 * 8) * 9 * 3
    assert arithmetic.needed_flops(loss, X, w) == forward
    # With the forward pass, and the zeros around 14x14 that the input's gradient reads.
    both = arithmetic.needed_flops(jax.grad(loss, argument), X, w)
    around = (16 / 14) ** 2 if argument == 0 else 1.0
    assert both == pytest.approx(forward * (1 + around))


def test_upsampling_counts_no_zeros():
    def up(x):
        return resample.upsample(x, np.ones(12))

    down_rows, then_columns = 32 * 16 * 6, 32 * 32 * 6
    assert arithmetic.needed_flops(up, X) == 2 * (2 * 3) * (down_rows + then_columns)


def test_jitted_functions_are_counted_alike():
    a = jnp.zeros((4, 4))
    options = {"xla_embed_ir_in_executable": "False"}
    jitted = jax.jit(jnp.matmul, compiler_options=options)
    assert arithmetic.needed_flops(jitted, a, a) == 2 * 4**3
