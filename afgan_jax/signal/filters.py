"""Low-pass filters, designed in float64 NumPy and used as constants.

Frequencies are in cycles per canvas width; `sampling_rate` s is in samples per canvas
width, so Nyquist is s/2. A filter of n taps has its taps at the symmetric positions
x_i = (i - (n-1)/2) / s and unit sum (gain 1 at DC).

Source: Alias-Free GAN, Sec. 2 and App. C (Kaiser and radial jinc designs).
"""

import numpy as np
from jaxtyping import Float64
from scipy import special

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
    under the separable window. Raises ValueError if `window` is not in WINDOWS.
    """
    if window not in WINDOWS:
        raise ValueError(f"window={window!r} is unknown: use one of {sorted(WINDOWS)}")
    x = (np.arange(taps) - (taps - 1) / 2) / sampling_rate
    weights = WINDOWS[window](taps, half_width, sampling_rate)
    if radial:
        # The jinc has a limit in the middle, but no value.
        r = np.maximum(np.hypot(x[:, None], x[None, :]), 1e-9 / sampling_rate)
        h = (
            special.j1(2 * np.pi * cutoff * r)
            / (np.pi * r)
            * np.outer(weights, weights)
        )
    else:
        h = 2 * cutoff * np.sinc(2 * cutoff * x) * weights
    return h / h.sum()


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


def response(h: Taps, frequencies, sampling_rate: float) -> np.ndarray:
    """Frequency response of symmetric taps along the horizontal axis, real, [F]."""
    row = h if h.ndim == 1 else h.sum(axis=0)
    x = (np.arange(row.size) - (row.size - 1) / 2) / sampling_rate
    return np.cos(2 * np.pi * np.outer(np.asarray(frequencies), x)) @ row


def _kaiser(taps: int, half_width: float, sampling_rate: float) -> np.ndarray:
    return np.kaiser(
        taps, kaiser_beta(kaiser_attenuation(taps, half_width, sampling_rate))
    )


WINDOWS = {"kaiser": _kaiser}
