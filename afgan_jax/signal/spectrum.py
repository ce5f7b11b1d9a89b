"""Windowed power spectra of images.

A spectrum is |F|^2 of windowed images, F their discrete Fourier transform. The window
has unit energy, so white noise of unit variance has a power of 1 (0 dB) at every
frequency, for any window, size and padding. With `interp` n, images are padded with
zeros to n times their size, which gives n times as many samples along each axis.
Spectra are [n H, n W] with frequency 0 at [n H // 2, n W // 2]; frequencies are in
cycles in the shorter side of the image, of S pixels (Nyquist: S / 2).

Source: average power spectra of Alias-Free GAN.
"""

from numbers import Real

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

Spectrum = Float64[np.ndarray, "nH nW"]
Points = tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]


def window(size: int, beta: Real = 8.0) -> Float64[np.ndarray, " size"]:
    """The Kaiser window of unit energy; a constant for beta 0."""
    w = np.kaiser(size, beta)
    return w / np.sqrt(np.sum(w**2))


def power(
    x: Float[Array, "N H W C"], *, beta: Real = 8.0, interp: int = 1
) -> Float[Array, "nH nW"]:
    """|F|^2 of x in windows of `beta`, averaged over images and channels."""
    h, w = x.shape[1:3]
    shape = np.outer(window(h, beta), window(w, beta))[None, :, :, None]
    x = x * jnp.asarray(shape, x.dtype)
    F = jnp.fft.fft2(x, s=(interp * h, interp * w), axes=(1, 2))
    mean = jnp.mean(F.real**2 + F.imag**2, axis=(0, 3))
    return jnp.fft.fftshift(mean)


def decibels(power: Spectrum, *, smooth: Real = 0.0) -> Spectrum:
    """10 log10 of a spectrum, blurred by a Gaussian of `smooth` samples.

    The blur is periodic, as spectra of sampled signals are. Zero power counts as the
    least positive number.
    """
    db = 10 * np.log10(np.maximum(power, np.finfo(np.float64).tiny))
    for axis in (0, 1):
        shape = [-1 if i == axis else 1 for i in (0, 1)]
        gain = np.exp(-2 * (np.pi * smooth * np.fft.fftfreq(db.shape[axis])) ** 2)
        F = np.fft.fft(db, axis=axis) * gain.reshape(shape)
        db = np.fft.ifft(F, axis=axis).real
    return db


def frequencies(
    size: int, interp: int, shorter: int | None = None
) -> Float64[np.ndarray, " size"]:
    """Those of the `size` samples along an axis of a spectrum.

    shorter: the samples along its shorter axis, None: as many.
    """
    return (np.arange(size) - size // 2) / interp * ((shorter or size) / size)


def slices(spectrum: Spectrum, interp: int) -> dict[int, Points]:
    """{angle in degrees: (frequency, value)} from frequency 0 outwards, for 0 and 45.

    The diagonal ends at sqrt(2) times the Nyquist frequency.
    """
    h, w = spectrum.shape
    k = np.arange(min(h, w) // 2 + 1)
    rows, columns = (k * (n / min(h, w)) + n // 2 for n in (h, w))
    straight = _at(spectrum, np.full(len(k), h // 2), columns)
    diagonal = _at(spectrum, rows, columns)
    return {0: (k / interp, straight), 45: (np.sqrt(2) * k / interp, diagonal)}


def _at(spectrum: Spectrum, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values between samples, linearly, of what repeats beyond the last one."""
    found = 0.0
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for i, down in ((0, 1 - (rows - top)), (1, rows - top)):
        for j, right in ((0, 1 - (columns - left)), (1, columns - left)):
            places = (top + i) % spectrum.shape[0], (left + j) % spectrum.shape[1]
            found = found + spectrum[places] * down * right
    return found


def horizontal(spectrum: Spectrum, interp: int = 1) -> Points:
    """(cycles in the width, power) of the rows of images, from 0 to Nyquist.

    Power is averaged over vertical frequencies.
    """
    size = spectrum.shape[1]
    k = np.arange(size // 2 + 1)
    return k / interp, np.mean(spectrum, axis=0)[(k + size // 2) % size]
