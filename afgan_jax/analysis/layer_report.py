"""Numbers of the layers of an alias-free generator: filters, waves, spectra.

All are plain data for JSON, such as a list with a dict for each layer. Frequencies are
in cycles per shorter side, gains and powers in dB, taps at the upsampled rate of their
layer's nonlinearity ("inner rate").
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from afgan_jax.analysis import feature_maps
from afgan_jax.networks import alias_free, generator, half_precision, plan, sizes
from afgan_jax.signal import filters, spectrum, stages

SAMPLES = 257  # of a frequency response
WINDOW = 14.0  # beta of the Kaiser window: -105 dB beside a frequency
CHANNELS = 32  # whose spectra are averaged
LEAST = 1e-20  # power, that is -200 dB
TINY = np.finfo(np.float64).tiny


def filter_bank(specs: Sequence[plan.LayerSpec]) -> list[dict]:
    """The up and the down filter of each layer, None where it has none.

    `designed` is the attenuation by Kaiser's rule, None for other filters;
    `attenuation` the one reached in the stopband, of radial filters in all directions;
    `ripple` the largest departure from 0 dB in the passband, None without a passband.
    Taps and `response` are those along an axis.
    """
    return [
        {
            "name": spec.name,
            "inner_rate": spec.tmp_rate,
            "up": _filter(spec, spec.up_filter, spec.up, spec.in_band, False),
            "down": _filter(
                spec, spec.down_filter, spec.down, spec.out_band, spec.is_radial
            ),
        }
        for spec in specs
    ]


def _filter(spec, taps, factor: int, band: plan.Band, radial: bool) -> dict | None:
    if taps is None:
        return None
    rate = spec.tmp_rate
    frequencies = np.linspace(0, rate / 2, SAMPLES)
    designed = None
    if spec.lowpass == "kaiser":
        designed = filters.kaiser_attenuation(len(taps), band.half_width, rate)
    found = filters.attenuation(taps, band.stopband, rate)
    passband = np.linspace(0, max(band.cutoff - band.half_width, 0), SAMPLES)
    ripple = np.abs(filters.decibels(filters.response(taps, passband, rate))).max()
    return {
        "factor": factor,
        "radial": radial,
        "cutoff": band.cutoff,
        "stopband": band.stopband,
        "designed": designed,
        "attenuation": found if math.isfinite(found) else None,
        "ripple": float(ripple) if passband[-1] > 1e-6 * rate else None,
        "taps": (taps if taps.ndim == 1 else taps.sum(axis=0)).tolist(),
        "frequencies": frequencies.tolist(),
        "response": _response(taps, frequencies, rate, 0.0),
        "diagonal": _response(taps, frequencies, rate, math.pi / 4),
    }


def _response(taps, frequencies, rate: float, angle: float) -> list[float]:
    gains = filters.response(taps, frequencies, rate, angle)
    return (np.round(filters.decibels(gains), 3) + 0.0).tolist()  # not -0.0


def waves(G: generator.Generator, variables: dict) -> dict:
    """The Fourier features: frequencies, phases, and `use`, a wave's rms weight."""
    first = G.synthesis.layers[0]
    drawn = variables["buffers"]["synthesis"]["input"]
    weight = np.asarray(variables["params"]["synthesis"]["input"]["weight"], np.float64)
    return {
        "cutoff": first.in_band.cutoff,
        "stopband": first.in_band.stopband,
        "rate": first.in_band.rate,
        "canvas": list(sizes.canvas(G.synthesis.size, first.in_band.rate)),
        "size": list(first.in_size),
        "frequencies": np.asarray(drawn["freqs"], np.float64).tolist(),
        "phases": np.asarray(drawn["phases"], np.float64).tolist(),
        "use": np.sqrt(np.mean(weight**2, axis=1)).tolist(),
    }


def feature_map(
    name: str,
    rate: float,
    canvas: tuple[float, float],
    values: np.ndarray,
    channels: Sequence[int],
) -> dict:
    """Range and root mean square (rms) of a map [H W C] and of its channels.

    canvas: its (height, width) in samples, without the margin.
    """
    flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    return {
        "name": name,
        "rate": rate,
        "canvas": list(canvas),
        "size": list(values.shape[:2]),
        "channels": list(channels),
        "rms": float(np.sqrt(np.mean(flat**2))),
        "min_by_channel": flat.min(axis=0).tolist(),
        "max_by_channel": flat.max(axis=0).tolist(),
        "rms_by_channel": np.sqrt(np.mean(flat**2, axis=0)).tolist(),
    }


def powers(G: generator.Generator, specs: Sequence[plan.LayerSpec]) -> Callable:
    """A function of (variables, z, c) that returns `powers_of` of each of `specs`."""

    def found(variables, z, c):
        kept = feature_maps.intermediates(G, variables, z, c)
        clamp = G.synthesis.conv_clamp
        return [
            powers_of(spec, *kept[spec.name]["pre_activation"][0], clamp)
            for spec in specs
        ]

    return found


def powers_of(spec: plan.LayerSpec, x, bias, clamp: float | None = None) -> dict:
    """{stage: power [S S]} of a layer after its convolution x [N H W C].

    Averaged over the first CHANNELS.
    """
    x = half_precision.cast(x, "float32")[..., :CHANNELS]
    how = alias_free.filtering(spec, clamp)
    parts = stages.stages(x=x, bias=bias[:CHANNELS], **how)._asdict()
    return {name: spectrum.power(maps, beta=WINDOW) for name, maps in parts.items()}


def spectra(specs: Sequence[plan.LayerSpec], found: Sequence[dict]) -> list[dict]:
    """Spectra of rows of maps in dB, by layer and stage, of the results of `powers`.

    0 dB is the loudest frequency before the nonlinearity. `created` is the increase in
    dB of the power in the stopband by the nonlinearity, `removed` its decrease by the
    filter; None if there is no power. The width of the window's main lobe is left out.
    """
    rows = []
    for spec, powers in zip(specs, found, strict=True):
        curves = {k: _curve(spec, k, power) for k, power in powers.items()}
        top = curves["upsampled"][1].max()
        step = curves["upsampled"][0][1]
        edge = spec.out_band.stopband + step * math.hypot(1, WINDOW / math.pi)
        beyond = {k: np.sum(y[x > edge]) for k, (x, y) in curves.items()}
        row = {
            "name": spec.name,
            "cutoff": spec.out_band.cutoff,
            "stopband": spec.out_band.stopband,
            "rate": spec.out_band.rate,
            "inner_rate": spec.tmp_rate,
            "created": _ratio(beyond["activated"], beyond["upsampled"]),
            "removed": _ratio(beyond["activated"], beyond["filtered"]),
        }
        for name, (x, y) in curves.items():
            level = 10 * np.log10(np.maximum(y / max(top, TINY), LEAST))
            row[name] = {
                "frequencies": x.round(4).tolist(),
                "level": (level.round(2) + 0.0).tolist(),
            }
        rows.append(row)
    return rows


def _curve(spec: plan.LayerSpec, stage: str, power):
    """(frequency, power density) of rows of maps."""
    rate = spec.out_band.rate if stage == "out" else spec.tmp_rate
    x, y = spectrum.horizontal(np.asarray(power, np.float64))
    return x * rate / power.shape[1], y / rate


def _ratio(a: float, b: float) -> float | None:
    """a / b in dB; None if either is 0."""
    return round(10 * math.log10(a / b), 2) if a > 0 and b > 0 else None
