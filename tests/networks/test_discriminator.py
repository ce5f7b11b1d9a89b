"""The discriminator: what it refuses, where it filters, its gradient penalty."""

import jax
import jax.numpy as jnp
import pytest
from jax.test_util import check_grads

from afgan_jax.networks import discriminator
from afgan_jax.signal import bandlimit


def make_discriminator(**settings):
    small = {"resolution": 16, "channel_base": 64, "channel_max": 8}
    return discriminator.make_discriminator(**(small | settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "x"}, "architecture='x' is unknown: use one of"),
        ({"mbstd_layout": "x"}, "mbstd_layout='x' is unknown: use one of"),
        ({"lowpass": "x"}, "lowpass='x' is unknown: use one of"),
        ({"resolution": 37}, "resolution=37 is not supported"),
        ({"resolution": 16384}, "resolution=16384 is not supported"),
    ],
)
def test_discriminator_refuses_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_discriminator(**settings)


FILTERED = {  # sizes at which activations of a discriminator are filtered
    "resnet": [16, 16, 8, 8, 4],
    "skip": [16, 16, 8, 8, 8, 4],
    "orig": [16, 16, 8, 8, 4],
}


@pytest.mark.parametrize("architecture", FILTERED)
def test_filters_are_in_every_block_and_leave_parameters_alone(
    architecture, monkeypatch
):
    sizes, activate = [], bandlimit.activate

    def noting(x, *args, **options):
        sizes.append(x.shape[1])
        return activate(x, *args, **options)

    monkeypatch.setattr(bandlimit, "activate", noting)
    made = []
    for lowpass in ({}, {"lowpass": "bilinear"}, {"lowpass": "kaiser"}):
        assert not sizes
        D = make_discriminator(architecture=architecture, **lowpass)
        x = jnp.zeros((4, 16, 16, 3))
        made.append(jax.eval_shape(D.init_with_output, jax.random.key(0), x))
    assert made[0] == made[1] == made[2]
    assert sizes == FILTERED[architecture]


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_gradient_penalty_of_an_alias_free_discriminator_is_that_of_differences():
    D = make_discriminator(lowpass="kaiser", channel_base=32, channel_max=2)
    images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3), jnp.float64)
    variables = jax.jit(D.init)(jax.random.key(0), images)
    params = jax.tree.map(lambda a: a.astype(jnp.float64), variables["params"])

    @jax.jit
    def penalty(params):
        def total(images):
            return jnp.sum(D.apply({"params": params}, images))

        return jnp.sum(jax.grad(total)(images) ** 2)

    # A step so short that no sign turns that leaky ReLU takes its slope from.
    check_grads(penalty, (params,), 1, ["rev"], eps=1e-7, rtol=1e-4, atol=1e-6)


def test_discriminator_refuses_other_images_and_missing_labels():
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"images are \(8, 8, 3\)"):
        jax.eval_shape(make_discriminator().init, key, jnp.zeros((4, 8, 8, 3)))
    with pytest.raises(ValueError, match="c_dim=3"):
        jax.eval_shape(make_discriminator(c_dim=3).init, key, jnp.zeros((4, 16, 16, 3)))
