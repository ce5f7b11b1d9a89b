"""Claims about signal.warp: closed-form signals, exact rotations."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from afgan_jax.signal import warp


def waves(matrix, size=64, top=0.12, seed=0):
    """[1 size size 2]: ten plane waves of up to `top` cycles a pixel, moved."""
    rng = np.random.default_rng(seed)
    angle, phase = rng.uniform(0, 2 * np.pi, [2, 10, 2])
    freq = top * size * np.sqrt(rng.uniform(size=[10, 2]))
    axis = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(axis, axis)
    points = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(matrix).T
    x, y = points[..., 0, None, None], points[..., 1, None, None]
    cycles = freq * (np.cos(angle) * x + np.sin(angle) * y)
    return np.sin(2 * np.pi * cycles + phase).mean(axis=-2)[None].astype(np.float32)


def shift(tx, ty):
    return np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])


def turn(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def masked_rms(got, want, mask):
    return np.sqrt(np.sum((got - want) ** 2 * mask) / (mask.sum() * want.shape[-1]))


def test_integer_translation_moves_whole_pixels_right_and_down():
    x = np.random.default_rng(0).normal(size=[2, 8, 16, 3]).astype(np.float32)
    image, mask = warp.translate_integer(x, 3.4 / 16, -2.4 / 8)
    np.testing.assert_array_equal(image[:, :6, 3:], x[:, 2:, :-3])
    assert mask.sum() == 6 * 13 and mask[:6, 3:].all()
    assert not np.any(np.where(mask, 0, image))


def test_integer_translation_by_the_image_size_leaves_nothing():
    image, mask = warp.translate_integer(np.ones([1, 8, 8, 1], np.float32), 0, 1)
    assert not np.any(image) and not mask.any()


def test_mirrored_translation_moves_every_frequency_by_its_phase():
    """Up to the last one below Nyquist; these waves go on where they are mirrored."""
    x, y = np.arange(16) + 0.5, np.arange(8) + 0.5
    k = np.arange(16)
    images = np.cos(np.pi * k[:, None, None] * x / 16) + np.sin(k)[:, None, None]
    images = (images * np.cos(np.pi * 3 * y / 8)[:, None])[..., None].astype("f4")
    moved, mask = warp.translate_mirrored(images, 1.3 / 16, -0.4 / 8)
    expected = np.cos(np.pi * k[:, None, None] * (x - 1.3) / 16)
    expected = expected + np.sin(k)[:, None, None]
    expected = expected * np.cos(np.pi * 3 * (y + 0.4) / 8)[:, None]
    np.testing.assert_allclose(moved[..., 0], expected, rtol=0, atol=1e-5)
    assert not mask[:, 0].any() and mask.sum() == 15 * 8


@pytest.mark.parametrize("t", [(0.1, -0.07), (-0.0312, 0.113)])
def test_fractional_translation_of_plane_waves_is_their_closed_form(t):
    image, mask = warp.translate_fractional(waves(np.eye(3)), *t)
    # A 6-tap Lanczos kernel is off by up to 1 % at 0.12 cycles a pixel.
    assert masked_rms(image, waves(shift(*t)), mask) < 4e-3
    assert mask.sum() > 0.6 * mask.size


@pytest.mark.parametrize("angle", [0.3, -2.2])
def test_rotation_of_plane_waves_is_their_closed_form(angle):
    image, mask = warp.rotate(waves(np.eye(3)), angle)
    # Bilinear look-ups at 4x are off by (2 pi f / 4)^2 / 8 = 0.4 % at 0.12.
    assert masked_rms(image, waves(turn(angle)), mask) < 4e-3
    assert mask.sum() > 0.3 * mask.size


def test_affine_moves_as_its_matrix_says():
    matrix = shift(0.05, -0.08) @ turn(0.2) @ np.diag([1.1, 0.9, 1.0])
    image, mask = warp.affine(waves(np.eye(3)), matrix)
    assert masked_rms(image, waves(matrix), mask) < 4e-3
    assert mask.sum() > 0.3 * mask.size


def test_quarter_turn_moves_whole_pixels():
    x = waves(np.eye(3))
    image, mask = warp.rotate(x, np.pi / 2)
    assert np.abs((image - np.rot90(x, axes=(1, 2))) * mask).max() < 1e-4


def test_quarter_turn_of_white_noise_errs_by_the_truncated_ideal_filter():
    x = np.random.default_rng(0).normal(size=[2, 40, 40, 1]).astype(np.float32)
    errors = []
    for extent in (64, 256):
        image, mask = warp.affine(x, turn(np.pi / 2), design_radius=extent)
        errors.append(masked_rms(image, np.rot90(x, axes=(1, 2)), mask))
    # Measured 6.3e-3 and 1.6e-3: as 1 / extent.
    assert errors[0] < 0.01
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("angle", [0, np.pi / 2, np.pi])
def test_pseudo_rotation_by_quarter_turns_changes_nothing(angle):
    x = np.random.default_rng(0).normal(size=[1, 20, 20, 2]).astype(np.float32)
    image, mask = warp.pseudo_rotate(x, angle)
    np.testing.assert_allclose(image, x, atol=1e-5)
    assert mask.sum() == 10 * 10


def test_pseudo_rotation_keeps_low_frequencies_and_cuts_the_corner():
    taps = warp.bandlimit_filter(turn(np.pi / 4), up=1)
    k = np.arange(taps.shape[0]) - taps.shape[0] // 2

    def gain(fx, fy):
        return np.sum(taps * np.cos(2 * np.pi * (fx * k[None, :] + fy * k[:, None])))

    assert gain(0, 0) == pytest.approx(1, abs=1e-12)
    assert gain(0.1, 0.1) == pytest.approx(1, abs=0.01)
    assert abs(gain(0.5, 0.5)) < 0.05


def test_rotating_equals_pseudo_rotating_the_rotated_scene():
    scene = waves(turn(0.6))
    rotated, mask = warp.rotate(waves(np.eye(3)), 0.6)
    pseudo, pseudo_mask = warp.pseudo_rotate(scene, 0.6)
    # Measured 1.6e-3 of the signal for frequencies up to 0.12 cycles a pixel.
    rms = masked_rms(rotated, pseudo, mask * pseudo_mask)
    assert rms < 3e-3 * scene.std()


def test_flat_images_stay_flat_inside():
    x = np.ones([1, 40, 40, 1], np.float32)
    for image, mask in (
        warp.rotate(x, 0.7),
        warp.pseudo_rotate(x, 0.7),
        warp.translate_fractional(x, 0.11, 0.07),
    ):
        assert np.abs((image - 1) * mask).max() < 1e-5


def test_bilinear_sampling_is_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(size=[2, 7, 9, 3]).astype(np.float32)
    rows, cols = rng.uniform(-2, 10, [2, 2, 5, 6])
    got = warp.sample_bilinear(x, rows, cols)
    for n in range(2):
        for c in range(3):
            want = ndimage.map_coordinates(
                x[n, ..., c], [rows[n], cols[n]], order=1, mode="grid-constant"
            )
            np.testing.assert_allclose(got[n, ..., c], want, atol=1e-5)
    shared = warp.sample_bilinear(x, rows[1], cols[1])
    np.testing.assert_allclose(shared[1], got[1], atol=1e-6)


def test_a_new_amount_does_not_recompile(caplog):
    x = np.zeros([1, 24, 24, 1], np.float32)
    move = (
        lambda t: warp.rotate(x, t),
        lambda t: warp.pseudo_rotate(x, t),
        lambda t: warp.translate_fractional(x, t, -t),
        lambda t: warp.translate_integer(x, t, -t),
    )
    for f in move:
        f(0.1)
    with jax.log_compiles():
        for f in move:
            f(0.2)
        assert "Compiling" not in caplog.text
        warp.rotate(x[:, 1:, 1:], 0.1)
        assert "Compiling" in caplog.text, "a new size does: the check can fail"
