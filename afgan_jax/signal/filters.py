"""Low-pass filters, designed in float64 NumPy.

Frequencies are in cycles per canvas width; `sampling_rate` s is in samples per canvas
width, so Nyquist is s/2. A filter of n taps has its taps at the symmetric positions
x_i = (i - (n-1)/2) / s and unit sum (gain 1 at DC).

Source: Alias-Free GAN, Sec. 2 and App. C.
"""

import math

import numpy as np
from jaxtyping import Float64
from scipy import special

from afgan_jax import errors

Taps = Float64[np.ndarray, "taps"] | Float64[np.ndarray, "taps taps"]


def lowpass(
    taps: int,
    cutoff: float,
    half_width: float,
    sampling_rate: float,
    *,
    window: str = "kaiser",
    radial: bool = False,
) -> Taps:
    """Low-pass filter h of App. C.1 (separable, [taps]) or C.4 (radial, [taps, taps]).

    `cutoff` f_c and `half_width` f_h (half of the transition band) are in cycles per
    canvas width. A radial filter is the disc-shaped low-pass (2 f_c)^2 jinc(2 f_c r)
    under the separable window. Raises SettingError if `window` is not in WINDOWS.
    """
    errors.check_known("window", window, WINDOWS)
    x = (np.arange(taps) - (taps - 1) / 2) / sampling_rate
    weights = WINDOWS[window](taps, half_width, sampling_rate)
    if radial:
        # At r = 0 the jinc has a limit, but no value.
        r = np.maximum(np.hypot(x[:, None], x[None, :]), 1e-9 / sampling_rate)
        h = special.j1(2 * np.pi * cutoff * r) / (np.pi * r)
        h = h * np.outer(weights, weights)
    else:
        h = 2 * cutoff * np.sinc(2 * cutoff * x) * weights
    return h / h.sum()


def lanczos(cutoff: float, sampling_rate: float, a: int = 2) -> Taps:
    """2 f_c k(2 f_c x), k(u) = sinc(u) sinc(u / a) where |u| < a (App. C.5)."""
    u = 2 * cutoff * _positions(a / (2 * cutoff), sampling_rate)
    h = np.sinc(u) * np.sinc(u / a)
    return h / h.sum()


def gaussian(
    cutoff: float, sampling_rate: float, reach: float, sigma: float = 0.4
) -> Taps:
    """2 f_c k(2 f_c x) for a normal density k of deviation sigma (App. C.5).

    Truncated at |x| = reach, in canvas widths, or at 6 deviations if that is nearer:
    nothing is left there in float32.
    """
    deviation = sigma / (2 * cutoff)
    x = _positions(min(reach, 6 * deviation), sampling_rate)
    h = np.exp(-np.square(x / deviation) / 2)
    return h / h.sum()


def _positions(reach: float, sampling_rate: float) -> Taps:
    """The positions of an even number of taps with |x| < reach, at least two."""
    half = max(math.ceil(reach * sampling_rate - 0.5), 1)
    return (np.arange(2 * half) - (2 * half - 1) / 2) / sampling_rate


def kaiser_attenuation(taps: int, half_width: float, sampling_rate: float) -> float:
    """Stopband attenuation in dB that `taps` taps reach (App. C.1, by Kaiser)."""
    return 2.285 * (taps - 1) * np.pi * 4 * half_width / sampling_rate + 7.95


def kaiser_beta(attenuation: float) -> float:
    """Kaiser window shape for a stopband attenuation in dB (Kaiser's rule)."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def response(h: Taps, frequencies, sampling_rate: float, angle: float = 0.0):
    """Real frequency response [F] of symmetric taps in one direction of the plane.

    `angle` is in radians from the horizontal axis; 1-D taps act along both axes.
    """
    h = np.outer(h, h) / h.sum() if h.ndim == 1 else h
    x = (np.arange(len(h)) - (len(h) - 1) / 2) / sampling_rate
    phases = 2 * np.pi * np.outer(np.asarray(frequencies), x)  # [F taps]
    waves = [np.exp(1j * phases * part) for part in (np.sin(angle), np.cos(angle))]
    return np.einsum("fy,fx,yx->f", *waves, h, optimize=True).real


def attenuation(h: Taps, stopband: float, sampling_rate: float) -> float:
    """Least attenuation in dB from `stopband` to Nyquist; inf if nothing lies there.

    1-D taps are measured along their axis, 2-D taps in all directions.
    """
    if stopband >= sampling_rate / 2:
        return np.inf
    gains = []
    for angle in np.linspace(0, np.pi / 4, 16 if h.ndim == 2 else 1):
        edge = sampling_rate / 2 / np.cos(angle)  # of the square of frequencies
        beyond = np.linspace(stopband, edge, 16 * len(h))
        gains.append(response(h, beyond, sampling_rate, angle))
    return float(-decibels(np.concatenate(gains)).max())


def decibels(gain) -> np.ndarray:
    """20 log10 |gain|, at least -200 dB."""
    return 20 * np.log10(np.maximum(np.abs(gain), 1e-10))


def _kaiser(taps: int, half_width: float, sampling_rate: float) -> np.ndarray:
    attenuation = kaiser_attenuation(taps, half_width, sampling_rate)
    return np.kaiser(taps, kaiser_beta(attenuation))


WINDOWS = {"kaiser": _kaiser}
