"""Geometry against a float64 program of the published form, and by its properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, signal

from afgan_jax.augment import draws, geometry, pipeline
from afgan_jax.signal import affine

PAD = 3
warp_images = jax.jit(geometry.warp_images)


def images_of(shape, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape)
    return jnp.asarray(x, jnp.float32)


def matrices_of(count, size, spread=1.0, seed=1):
    """Random rotations, scalings and shifts, spread as in training at p = 1."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        a, (sx, sy), t = rng.uniform(-3, 3), *rng.standard_normal((2, 2)) * spread
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        scaled = turn @ np.diag(2.0 ** (0.3 * np.array([sx, sy])))
        shift = 0.125 * t * np.array(size[::-1])
        out.append(np.block([[scaled, shift[:, None]], [np.zeros((1, 2)), 1]]))
    return np.array(out)


def published_margins(matrices, size):
    """(left, top, right, bottom) that the batch needs, each at most the size less 1."""
    half = (np.array(size[::-1]) - 1) / 2
    corners = np.array([[x, y, 1] for x in (-1, 1) for y in (-1, 1)])
    corners = corners * [*half, 1]
    at = np.concatenate([(m @ corners.T)[:2] for m in matrices], axis=1)
    reach = np.concatenate([-at.min(axis=1), at.max(axis=1)])
    need = reach + np.tile(2 * PAD - half, 2)
    return np.ceil(np.clip(need, 0, np.tile(2 * half, 2))).astype(int)


def oracle(image, matrix, margins):
    """One image [H W C] by numpy and scipy, in float64; margins as above."""
    taps = geometry.low_pass()
    left, top, right, bottom = margins
    border = ((top, bottom), (left, right), (0, 0))
    padded = np.pad(np.asarray(image, np.float64), border, mode="reflect")
    h, w, channels = padded.shape
    spread = np.zeros((2 * h, 2 * w, channels))
    spread[::2, ::2] = padded
    out_h, out_w = image.shape[0] + 2 * PAD, image.shape[1] + 2 * PAD
    y, x = (np.arange(2 * n) / 2 + 0.25 - n / 2 for n in (out_h, out_w))
    # Half a sample (of the doubled rate) beside the centre there and back.
    x, y = np.meshgrid(x + 0.25, y + 0.25)
    center = [left + (image.shape[1] - 1) / 2, top + (image.shape[0] - 1) / 2]
    at = np.einsum("ij,jyx->iyx", matrix[:2], np.stack([x, y, np.ones_like(x)]))
    cols, rows = (2 * (a + c) for a, c in zip(at, center))
    kernel = 4 * np.outer(taps, taps)
    out = []
    for c in range(channels):
        up = signal.convolve(np.pad(spread[..., c], ((6, 5), (6, 5))), kernel, "valid")
        # Zeros beyond the last samples, and a straight line to them.
        found = ndimage.map_coordinates(
            np.pad(up, 1), [rows + 1, cols + 1], order=1, mode="constant"
        )
        low = signal.correlate(
            found[1:-1, 1:-1], np.outer(taps[::-1], taps[::-1])[::-1, ::-1], "valid"
        )
        out.append(low[::2, ::2])
    return np.stack(out, axis=-1)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_warp_is_the_published_program_in_float64(size):
    """Zooms by 3 both ways, which show where the reflection ends and zeros follow."""
    images, matrices = images_of((6, *size, 1)), matrices_of(6, size, spread=4)
    largest = [size[1] - 1, size[0] - 1] * 2
    warped = warp_images(images, jnp.asarray(matrices, jnp.float32))
    shares = []
    for image, matrix, got in zip(images, matrices, np.asarray(warped)):
        found = oracle(image, matrix, largest)
        # What of 1 arrives is not 1 where the published filters meet the zeros.
        arrives = oracle(np.ones_like(image), matrix, largest)
        seen, unseen = np.abs(arrives - 1) < 1e-6, np.abs(arrives) < 1e-6
        np.testing.assert_allclose(got[seen], found[seen], atol=3e-5)
        np.testing.assert_allclose(got[unseen], 0, atol=3e-4)  # ends more sharply
        shares.append((seen.mean(), unseen.mean()))
    assert min(shares)[0] < 0.5 and max(unseen for _, unseen in shares) > 0.1


def test_margins_need_not_be_those_of_the_batch():
    """Wherever images do not shrink to less than 0.7 of their size."""
    size = (16, 16)
    images, matrices = images_of((6, *size, 1)), matrices_of(6, size)
    warped = warp_images(images, jnp.asarray(matrices, jnp.float32))
    published = published_margins(matrices, size)
    assert max(np.linalg.norm(m[:2, :2], 2) for m in matrices) > 1.3
    for image, matrix, got in zip(images, matrices, np.asarray(warped)):
        np.testing.assert_allclose(got, oracle(image, matrix, published), atol=3e-5)


def test_identity_changes_nothing():
    """Up and down with one half-band orthogonal filter, its look-ups on samples."""
    x = images_of((2, 9, 14, 3))
    same = warp_images(x, jnp.broadcast_to(jnp.eye(3), (2, 3, 3)))
    np.testing.assert_allclose(same, x, atol=2e-6)


@pytest.mark.parametrize("shift", [(3, 0), (-2, 5)])
def test_whole_shifts_move_pixels_and_reflect_at_borders(shift):
    x = images_of((1, 12, 16, 1))
    moved = warp_images(x, affine.translation(*map(float, shift))[None])
    dx, dy = shift
    padded = np.pad(x, ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect")
    np.testing.assert_allclose(
        moved, padded[:, 5 + dy : 17 + dy, 5 + dx : 21 + dx], atol=2e-6
    )


def test_steps_move_the_image_as_named():
    """Where the pixel right of the centre of an 11 x 11 image comes from."""

    def found(**values):
        rows = {name: jnp.asarray(v, jnp.float32)[None] for name, v in values.items()}
        return np.round(
            geometry.look_up_matrix(rows, (10, 20))[0] @ np.array([1, 0, 1]), 5
        )

    assert found(xflip=[1]).tolist() == [-1, 0, 1]
    assert found(rotate90=[1]).tolist() == [0, 1, 1]
    # 0.125 of 20 columns is 2.5 pixels, which round to the even 2.
    assert found(xint=[0.125, 0.05]).tolist() == [-1, 0, 1]
    assert found(xint=[0.125, 0.1]).tolist() == [-1, -1, 1]
    assert found(xfrac=[0.125, 0.1]).tolist() == [-1.5, -1, 1]
    assert found(scale=[2]).tolist() == [0.5, 0, 1]
    assert found(aniso=[2]).tolist() == [0.5, 0, 1]
    # The image grows, then moves: the shift is not scaled.
    assert found(scale=[2], xfrac=[0.1, 0]).tolist() == [-0.5, 0, 1]
    assert found(xflip=[1], xint=[0.1, 0]).tolist() == [1, 0, 1]


def test_smooth_images_rotate_without_loss():
    """A wave of 1/8 cycle a pixel, turned: the wave of the turned direction."""
    angle, f = 0.7, 2 * np.pi / 8
    y, x = np.mgrid[:32, :32] - 15.5
    wave = np.cos(f * x + 0.3)[None, :, :, None]
    turned = np.cos(f * (np.cos(angle) * x - np.sin(angle) * y) + 0.3)
    matrix = affine.rotation(jnp.float32(angle))[None]
    got = warp_images(jnp.asarray(wave, jnp.float32), matrix)[0, :, :, 0]
    inside = np.hypot(x, y) < 10
    # Bilinear look-ups halfway along both axes, of 1/16 cycle a sample, lose 4 %; on an
    # axis 2 %, which is 1 - cos(pi / 16).
    assert np.abs(got - turned)[inside].max() < 0.04


def test_gradient_is_the_adjoint_and_the_warp_linear():
    shape = (3, 12, 10, 2)
    x, y = images_of(shape), images_of(shape, 1)
    matrices = jnp.asarray(matrices_of(3, shape[1:3]), jnp.float32)
    warped, back = jax.vjp(lambda x: warp_images(x, matrices), x)
    (adjoint,) = back(y)
    np.testing.assert_allclose(np.sum(warped * y), np.sum(x * adjoint), rtol=1e-4)
    twice = warp_images(2 * x, matrices)
    np.testing.assert_allclose(twice, 2 * warped, atol=1e-5)


def test_images_of_a_batch_do_not_depend_on_each_other():
    x = images_of((4, 12, 12, 1))
    matrices = jnp.asarray(matrices_of(4, (12, 12), spread=2), jnp.float32)
    together = warp_images(x, matrices)
    alone = warp_images(x[2:3], matrices[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-6)


def test_multipliers_without_geometry_do_not_resample():
    on = pipeline.make_multipliers("color")
    drawn = draws.sample(jax.random.key(0), on, (2, 8, 8, 3))
    assert geometry.look_up_matrix(draws.decide(drawn, on, 1.0), (8, 8)) is None
