"""The controller of p: its rule, its speed, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.augment import control

BATCH = 32


def run(ada, sign_means, batch=BATCH):
    """p after each iteration, real logits having these mean signs."""
    state, ps = ada.initial(), []
    adapt = jax.jit(ada.adapt, static_argnums=2)
    for i, mean in enumerate(sign_means):
        sums = jnp.asarray([batch, mean * batch, batch], jnp.float32)
        state = control.count_signs(state, {"Loss/signs/real": sums})
        state = adapt(state, jnp.int32(i + 1), batch)
        ps.append(float(state["p"]))
    return np.array(ps), state


def test_p_rises_by_one_in_adjust_kimg_of_a_sure_D():
    ada = control.make_control(mode="ada", adjust_kimg=0.64)
    ps, _ = run(ada, [1.0] * 20)  # 20 x 32 images
    np.testing.assert_allclose(ps[3::4], np.arange(1, 6) / 5, rtol=1e-6)
    assert (ps[:3] == 0).all() and ps[4] == ps[3]


def test_p_falls_as_fast_to_0_and_passes_1():
    ada = control.make_control(mode="ada", adjust_kimg=0.64, p=0.5, interval=1)
    falling, _ = run(ada, [0.0] * 20)
    np.testing.assert_allclose(
        falling, np.maximum(0.45 - 0.05 * np.arange(20), 0), atol=1e-6
    )
    assert run(ada, [1.0] * 20)[0][-1] == pytest.approx(1.5)


def test_p_follows_the_mean_over_the_interval():
    """Not the last step: three sure ones and one that is not make 0.5 < 0.6."""
    ada = control.make_control(mode="ada", p=0.3, adjust_kimg=1.28)
    ps, state = run(ada, [1.0, 1.0, 1.0, -1.0, 1.0])
    assert ps[3] == pytest.approx(0.2)
    assert state["signs"].tolist() == [BATCH, BATCH]  # counted afresh
    assert run(ada, [-0.2, 1.0, 1.0, 1.0])[0][3] == pytest.approx(0.4)


def test_p_stays_on_target():
    ada = control.make_control(mode="ada", p=0.3, target=0.5)
    assert run(ada, [0.5] * 8)[0][-1] == pytest.approx(0.3)


def test_p_survives_logits_that_are_nan():
    ada = control.make_control(mode="ada", p=0.3, adjust_kimg=1.28)
    ps, _ = run(ada, [float("nan"), 1, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(ps, [0.3] * 7 + [0.4], rtol=1e-6)


def test_regulariser_counts_too_and_generated_images_do_not():
    state = control.make_control(mode="ada").initial()
    state = control.count_signs(
        state, {"Loss/signs/real": jnp.asarray([8.0, 4.0, 8.0])}
    )
    state = control.count_signs(
        state, {"Loss/signs/fake": jnp.asarray([8.0, -8.0, 8.0])}
    )
    state = control.count_signs(
        state, {"Loss/signs/real": jnp.asarray([8.0, 2.0, 8.0])}
    )
    assert state["signs"].tolist() == [16, 6]


def test_fixed_p_does_not_move():
    assert (
        run(control.make_control(mode="fixed"), [1.0] * 9)[0] == np.float32(0.2)
    ).all()
    fixed = control.make_control(mode="fixed", p=0.7)
    assert (run(fixed, [0.0] * 9)[0] == np.float32(0.7)).all()


def test_noaug_is_nothing():
    assert control.make_control() is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"mode": "adaptive"}, "mode='adaptive' is unknown: use one of noaug, fixed"),
        ({"p": 0.5}, "p=0.5 has no effect with augment.mode=noaug: set that to"),
        ({"mode": "ada", "p": -0.1}, "p=-0.1 must be at least 0"),
        ({"mode": "fixed", "p": float("nan")}, "p=nan must be at least 0"),
        ({"mode": "ada", "target": 1.0}, "target=1.0 must be above -1 and below 1"),
        ({"mode": "ada", "interval": 0}, "interval=0 must be at least 1"),
        ({"mode": "ada", "adjust_kimg": 0.0}, "adjust_kimg=0.0 must be above 0"),
        ({"mode": "ada", "preset": "all"}, "preset='all' is unknown"),
        ({"preset": "all"}, "preset='all' is unknown"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        control.make_control(**settings)
