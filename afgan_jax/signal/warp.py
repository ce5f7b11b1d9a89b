"""Reference motions of images: whole-pixel and sub-pixel shifts, band-limited rotation.

Each motion returns (image, mask): mask [H W 1] is 1 where the result depends on pixels
of the source only, 0 near borders. Amounts are Python numbers: shifts t in units of the
image size (x right, y down), angles alpha in radians, matrices as motions in the sense
of `affine` (rotation by alpha is [[cos, sin], [-sin, cos]]). Filters and positions are
computed for each amount in float64 NumPy and are arguments of the compiled code, so
that a new amount never recompiles.

    L_a(x) = sinc(x / a) for |x| < a, else 0      the Lanczos window
    taps(k - f) = sinc(k - f) L_a(k - f)          the Lanczos filter delaying by f

Source: Alias-Free GAN, App. E.
"""

import functools
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from afgan_jax import jax_settings

Images = Float[Array | np.ndarray, "N H W C"]
Moved = tuple[Float[Array, "N H W C"], Float[np.ndarray, "H W 1"]]
Positions = Float[Array | np.ndarray, "*N Hout Wout"]


@jax_settings.transfers()
def translate_integer(x: Images, tx: Real, ty: Real) -> Moved:
    """x moved by whole pixels, round(t * size) half to even; zeros come in."""
    h, w = x.shape[1:3]
    dy, dx = round(float(ty) * h), round(float(tx) * w)
    mask = _outer(_span(h, dy, h + dy), _span(w, dx, w + dx))
    return _roll(x, np.array([dy, dx]), mask), mask


def translate_fractional(x: Images, tx: Real, ty: Real, *, a: int = 3) -> Moved:
    """x moved by t * size pixels with a Lanczos filter of 2a taps and unit sum."""
    return _translate(x, tx, ty, functools.partial(_lanczos_shift, a=a))


def translate_mirrored(x: Images, tx: Real, ty: Real) -> Moved:
    """x moved by t * size pixels by the phases of its frequencies, without loss.

    x is extended by reflection, which leaves no jump at borders. The mask has the
    pixels that come from inside.
    """
    return _translate(x, tx, ty, _mirrored_shift)


@jax_settings.transfers()
def affine(
    x: Images,
    matrix: Float[np.ndarray, "3 3"],
    *,
    up: int = 4,
    radius: int = 6,
    **design,
) -> Moved:
    """x moved by `matrix`: band-limited upsampling, then bilinear look-ups.

    The matrix acts on coordinates in units of each image side, origin at the centre.
    `radius` is the filter's in pixels; `design` goes to `bandlimit_filter`.
    """
    matrix = np.asarray(matrix, np.float64)
    taps = bandlimit_filter(matrix, up=up, radius=radius, **design)
    return _looked_up(x, matrix, taps, up)


def _looked_up(x: Images, matrix, taps, up: int) -> Moved:
    border = taps.shape[0] // 2
    rows, cols = _look_up_positions(matrix, x.shape[1:3], up, border)
    mask = _clear_of_border((rows, cols), x.shape[1:3], up, border)
    rows, cols = (p.astype(x.dtype) for p in (rows, cols))
    return _upsample_and_sample(x, taps, rows, cols, up=up), mask


@jax_settings.transfers()
def rotate(x: Images, angle: Real, *, up: int = 4, **design) -> Moved:
    """x rotated by `angle`, counterclockwise on screen.

    Arguments of `affine` and `bandlimit_filter` are in `design`.
    """
    matrix, (h, w) = _rotation(angle), x.shape[1:3]
    taps = bandlimit_filter(matrix, up=up, **design)
    sides = np.array([w, h, 1.0])  # an oblong is turned as it is, not as a square
    return _looked_up(x, matrix * sides / sides[:, None], taps, up)


@jax_settings.transfers()
def pseudo_rotate(x: Images, angle: Real, **design) -> Moved:
    """x, not rotated, but filtered as `rotate` filters.

    `rotate` loses corner frequencies, so the image that it is compared with has to lose
    them too. As published the filter is designed at one sample a pixel, where the
    rotated low-pass aliases: at 45 degrees its gain rises to 1.05 at 0.2 cycles a pixel
    along an axis, 1.85 at 0.5.
    """
    taps = bandlimit_filter(_rotation(-angle), up=1, **design)
    border = taps.shape[0] // 2
    spans = (_span(size, border, size - border) for size in x.shape[1:3])
    return _same_size(x, taps), _outer(*spans)


def bandlimit_filter(
    matrix: Float[np.ndarray, "3 3"],
    *,
    up: int = 4,
    radius: int = 6,
    a: int = 3,
    design_radius: int = 64,
    cutoff_in: Real = 1.0,
    cutoff_out: Real = 1.0,
) -> Float[np.ndarray, "taps taps"]:
    """Low-pass that keeps the frequencies of both the source and the moved pixel grid.

    The square ideal low-passes of both grids convolved with each other, times their
    Lanczos windows convolved likewise, on a grid of 1/up pixel. [taps, taps] with
    taps = 2 * radius * up - 1; each of the up * up polyphase components has the sum
    1/up^2, so that constant images stay constant. `design_radius` (pixels) is the
    extent of the circular convolution; cutoffs are relative to each grid's Nyquist
    frequency.
    """
    half, keep = design_radius * up - 1, radius * up - 1
    whole = np.arange(-half, half + 1)
    # Only the taps that are kept are computed, each from the whole circle.
    apart = np.subtract.outer(np.arange(-keep, keep + 1), whole)
    x, apart = whole / up, ((apart + half) % len(whole) - half) / up
    m = np.asarray(matrix, np.float64)
    x_out, y_out = (m[i, 0] * x[None, :] + m[i, 1] * x[:, None] for i in (0, 1))
    ideal = _convolve(
        np.sinc(cutoff_in * apart),
        np.sinc(cutoff_out * x_out) * np.sinc(cutoff_out * y_out),
    )
    window = _convolve(_lanczos(apart, a), _lanczos(x_out, a) * _lanczos(y_out, a))
    taps = ideal * window
    phases = np.pad(taps, (0, 1)).reshape(2 * radius, up, 2 * radius, up)
    phases = phases / (phases.sum(axis=(0, 2), keepdims=True) * up**2)
    return phases.reshape(2 * radius * up, -1)[:-1, :-1]


def sample_bilinear(
    x: Float[Array | np.ndarray, "N H W C"], rows: Positions, cols: Positions
) -> Float[Array, "N Hout Wout C"]:
    """x looked up at pixel positions (0 = first pixel's centre), zeros outside.

    Positions are [Hout Wout], shared by all images, or [N Hout Wout].
    """
    shared = None if rows.ndim == 2 else 0
    return jax.vmap(_sample_one, in_axes=(0, shared, shared))(x, rows, cols)


def _sample_one(x, rows, cols):
    h, w, c = x.shape
    # Positions outside are moved into a border of zeros.
    x = jnp.pad(x, ((1, 2), (1, 2), (0, 0)))
    rows, cols = jnp.clip(rows, -1, h) + 1, jnp.clip(cols, -1, w) + 1
    top, left = jnp.floor(rows), jnp.floor(cols)
    down, right = ((a - b)[..., None] for a, b in ((rows, top), (cols, left)))
    down, right = down.astype(x.dtype), right.astype(x.dtype)
    first = top.astype(jnp.int32) * (w + 3) + left.astype(jnp.int32)
    pixels = x.reshape(-1, c)

    def at(offset):  # one flat index is faster than two, above all in the gradient
        return jnp.take(pixels, first + offset, axis=0, mode="clip")

    upper = at(0) * (1 - right) + at(1) * right
    lower = at(w + 3) * (1 - right) + at(w + 4) * right
    return upper * (1 - down) + lower * down


@jax_settings.transfers()
def _translate(x, tx, ty, shift) -> Moved:
    """shift(size, pixels) -> (A [size size], mask [size]), for the lines of an axis."""
    h, w = x.shape[1:3]
    (rows, mask_y), (cols, mask_x) = shift(h, float(ty) * h), shift(w, float(tx) * w)
    return _apply_rows_cols(x, rows, cols), _outer(mask_y, mask_x)


@jax.jit
def _roll(x, shift, mask):
    return jnp.where(mask > 0, jnp.roll(x, shift, axis=(1, 2)), 0.0)


@jax.jit
def _apply_rows_cols(x, rows, cols):
    rows, cols = rows.astype(x.dtype), cols.astype(x.dtype)
    x = jnp.einsum("nhwc,xw->nhxc", x, cols, precision="highest")
    return jnp.einsum("nhxc,yh->nyxc", x, rows, precision="highest")


@functools.partial(jax.jit, static_argnames="up")
def _upsample_and_sample(x, taps, rows, cols, *, up):
    return sample_bilinear(_upsample(x, taps, up), rows, cols)


@jax.jit
def _same_size(x, taps):
    border = taps.shape[0] // 2
    return _upsample(x, taps, 1)[:, border:-border, border:-border]


def _upsample(x, taps, up):
    """All non-zero samples of x upsampled with `taps`, gain up^2: y[i] is the sum over
    j of taps[i - up//2 - up * j] x[j] on each axis."""
    n, h, w, c = x.shape
    length = -(-(taps.shape[0] + up // 2) // up)
    lead = up // 2
    tail = length * up - taps.shape[0] - lead
    phases = jnp.pad(taps.astype(x.dtype) * up**2, (lead, tail))
    phases = phases.reshape(length, up, length, up).swapaxes(1, 2)
    # One input and up^2 output channels: one matrix product without the zeros between
    # samples, instead of a slow depthwise convolution.
    planes = lax.conv_general_dilated(
        jnp.moveaxis(x, 3, 1).reshape(n * c, h, w, 1),
        phases.reshape(length, length, 1, up * up)[::-1, ::-1],
        window_strides=(1, 1),
        padding=[(length - 1, length - 1)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest",
    )
    h, w = planes.shape[1:3]
    planes = planes.reshape(n, c, h, w, up, up).transpose(0, 2, 4, 3, 5, 1)
    return planes.reshape(n, h * up, w * up, c)


def _look_up_positions(matrix, shape, up, border):
    """Rows and columns [H W] of the upsampled image to read for each output pixel."""
    inverse = np.linalg.inv(matrix)
    # Coordinates span -1 .. 1 over the image here: twice the image size.
    shift = inverse[:2, 2] * 2
    v, u = ((2 * np.arange(size) + 1) / size - 1 for size in shape)
    rows = inverse[1, 0] * u[None, :] + inverse[1, 1] * v[:, None] + shift[1]
    cols = inverse[0, 0] * u[None, :] + inverse[0, 1] * v[:, None] + shift[0]
    return [
        (p + 1) * size * up / 2 + border
        for p, size in zip((rows, cols), shape, strict=True)
    ]


def _clear_of_border(positions, shape, up, border):
    """[H W 1]: 1 where the nearest upsampled pixel is 2 filter radii off borders."""
    mask = np.float32(1)
    for p, size in zip(positions, shape, strict=True):
        # Upsampled pixels run from 0 to size * up + 2 * border, border at both ends.
        nearest = np.rint(p)
        inside = (nearest > 2 * border) & (nearest < size * up - 1)
        mask = mask * inside.astype(np.float32)
    return mask[..., None]


def _lanczos_shift(size, pixels, a):
    """(A [size size], mask [size]): A @ line is the line moved by `pixels`."""
    whole = int(np.floor(pixels))
    k = np.arange(1 - a, a + 1) - (pixels - whole)
    taps = np.sinc(k) * np.sinc(k / a)
    taps /= taps.sum()
    delay = np.subtract.outer(np.arange(size), np.arange(size)) - whole + a - 1
    inside = (delay >= 0) & (delay < 2 * a)
    matrix = np.where(inside, taps[np.clip(delay, 0, 2 * a - 1)], 0.0)
    return matrix, _span(size, whole + a, size + whole - a + 1)


def _mirrored_shift(size, pixels):
    lines = np.concatenate([np.eye(size), np.eye(size)[::-1]])
    turns = np.fft.rfftfreq(2 * size) * pixels
    spectrum = np.fft.rfft(lines, axis=0) * np.exp(-2j * np.pi * turns)[:, None]
    matrix = np.fft.irfft(spectrum, 2 * size, axis=0)[:size]
    return matrix, _span(size, pixels - 0.5, size + pixels - 0.5)


def _lanczos(x, a):
    window, inside = np.zeros_like(x), np.abs(x) < a
    window[inside] = np.sinc(x[inside] / a)
    return window


def _convolve(lines, image):
    """Convolution of a separable filter with image; lines [taps S] of either axis."""
    return lines @ image @ lines.T


def _rotation(angle):
    c, s = np.cos(float(angle)), np.sin(float(angle))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def _outer(mask_y, mask_x):
    return np.multiply.outer(mask_y, mask_x)[..., None]


def _span(size, start, stop):
    """[size] float32: 1 for start <= i < stop."""
    i = np.arange(size)
    return ((i >= start) & (i < stop)).astype(np.float32)
