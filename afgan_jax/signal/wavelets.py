"""Daubechies' least asymmetric wavelets, designed in float64 NumPy.

The low-pass of N vanishing moments is H(z) = ((1 + z)/2)^N R(z) with
    R(z) R(1/z) = P(y) = sum_k C(N-1+k, k) y^k,  y = (2 - z - 1/z) / 4,  k = 0 .. N-1.
Each root y of P gives two roots z and 1/z, one of which is a root of R. The choice with
the most nearly linear phase is the symlet.

Source: Daubechies, Ten Lectures on Wavelets, Sec. 6.4 and 8.1.
"""

import itertools
import math

import numpy as np
from jaxtyping import Float64

Taps = Float64[np.ndarray, " taps"]


def symlet(moments: int) -> Taps:
    """Low-pass of the symlet with this number of vanishing moments: 2 * moments taps.

    Taps sum to 1. Of the filter and its mirror image, the one with earlier energy.
    """
    pairs = [_conjugates(y) for y in _roots(moments) if y.imag >= 0]
    filters = []
    for choice in itertools.product(*pairs):
        roots = [-1.0] * moments + [z for group in choice for z in group]
        taps = np.real(np.poly(roots))
        filters.append(taps / taps.sum())
    least = min(_phase_error(h) for h in filters)
    best = [h for h in filters if _phase_error(h) < least * 1.01]
    return min(best, key=lambda h: np.square(h) @ np.arange(h.size))


def analysis_bank(moments: int, levels: int) -> Float64[np.ndarray, "bands taps"]:
    """Zero-phase filters that split a line into octave bands, the lowest first.

    Each row is symmetric; all rows add up to a unit impulse. The low- and high-pass are
    those of the symlet, each convolved with its mirror image.
    """
    low = symlet(moments)
    high = low * (-1.0) ** np.arange(low.size)
    low, high = (np.convolve(h, h[::-1]) for h in (low, high))
    bank = np.ones((1, 1))
    for _ in range(levels):
        upsampled = np.zeros((len(bank), 2 * bank.shape[1] - 1))
        upsampled[:, ::2] = bank
        bank = np.stack([np.convolve(row, low) for row in upsampled])
        margin = (bank.shape[1] - high.size) // 2
        bank = np.concatenate([bank, [np.pad(high, margin)]])
    return bank


def _roots(moments: int) -> np.ndarray:
    return np.roots([math.comb(moments - 1 + k, k) for k in range(moments)][::-1])


def _conjugates(y: complex) -> list[list[complex]]:
    """The two groups of roots z of R that a root y of P (and its conjugate) allows."""
    pair = np.roots([1, 4 * y - 2, 1])
    return [[z] if y.imag == 0 else [z, np.conj(z)] for z in pair]


def _phase_error(taps: Taps) -> float:
    """Largest distance of the phase from a straight line, in radians."""
    w = np.linspace(0, np.pi, 65)[1:-1]
    phase = np.unwrap(np.angle(np.exp(-1j * np.outer(w, np.arange(taps.size))) @ taps))
    return np.abs(phase - np.polyval(np.polyfit(w, phase, 1), w)).max()
