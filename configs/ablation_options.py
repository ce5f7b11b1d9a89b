"""Options of the rows of ablation.py, after a second colon: `:r:n=8,m=4`."""

from . import base


def read(row: str, options: list[str]) -> dict:
    """{name: value} of options such as "n=8" and "lanczos".

    Raises ValueError for those that are unknown, impossible or exclude each other.
    """
    values = {}
    for text in options:
        name, equals, value = text.partition("=")
        option = OPTIONS.get(name)
        fault = None
        if option is None:
            fault = f"is unknown: use some of {', '.join(OPTIONS)}"
        elif name in values:
            fault = "is given twice"
        elif row not in option["rows"]:
            fault = f"is not for row {row}: {option['reason']}"
        elif bool(equals) != bool(option["read"]):
            fault = (
                f"needs a value, as in {name}=2" if option["read"] else "has no value"
            )
        for (one, other), reason in CLASHES.items():
            if name in (one, other) and {one, other} <= {name, *values}:
                fault = f"clashes with another: {reason}"
        if fault is None and option["read"]:
            try:
                value = option["read"](value)
            except ValueError as error:
                fault = str(error)
        if fault:
            raise ValueError(f"ablation.py:{row}: {text!r} {fault}")
        values[name] = value
    return values


def _option(rows, reason, read, change) -> dict:
    """An ablation: its rows, why no others, and the functions of its value.

    read(text) -> value, None if it has no value; change(value, config so far) ->
    {section: {setting: value}}.
    """
    return {"rows": rows, "reason": reason, "read": read, "change": change}


def _setting(name: str):
    return lambda value, config: _synthesis(**{name: value})


def _settings(**changes):
    return lambda value, config: _synthesis(**changes)


def _synthesis(**settings) -> dict:
    return {"generator": {"synthesis": settings}}


def _whole(low: int, high: int):
    return lambda text: _between(int, text, low, high, "a whole number")


def _number(low: float, high: float):
    return lambda text: _between(float, text, low, high, "a number")


def _between(kind, text, low, high, noun):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise ValueError(f"must be {noun} from {low} to {high}")
    return value


def _capacity(factor, config):
    """Of G only: D is the same in all rows and ablations."""
    G = config["generator"]["synthesis"]
    sizes = {k: G[k] for k in ("channel_base", "channel_max")}
    return _synthesis(**{k: round(size * factor) for k, size in sizes.items()})


def _p4(value, config):
    """Half the channels, in each of 4 directions, as published."""
    halved = _capacity(0.5, config)["generator"]["synthesis"]
    return _synthesis(**halved, symmetry="p4")


def _path(value, config):
    """Every 4 steps, as in rows A and B."""
    return {"losses": {"pl_weight": 0.5}, "updates": {"G_reg_interval": 4}}


def _small(value, config):
    """The Earth at 64x64, a sixteenth of the channels, averages over 1 kimg.

    No blur: 10 pixels are much of 64, and it would last longer than the training.
    """
    G = config["generator"]["synthesis"]
    sizes = {
        "resolution": 64,
        "channel_base": G["channel_base"] // 16,
        "channel_max": G["channel_max"] // 8,
    }
    if G.get("magnitude_ema_beta") is not None:
        sizes["magnitude_ema_beta"] = base.average(base.EARTH_BATCH, 1.0)
    return base.merged(
        base.earth(64),
        {"generator": {"mapping": {"z_dim": 64, "w_dim": 64}, "synthesis": sizes}},
        {"losses": {"blur_init_sigma": 0.0, "blur_fade_kimg": 0.0}},
    )


FROM_C = "cdefghtr"
FROM_E = FROM_C[2:]
FROM_F = FROM_C[3:]
ALL = "ab" + FROM_C

OPTIONS = {
    "small": _option(ALL, "", None, _small),
    "capacity": _option(ALL, "", _number(0.01, 16), _capacity),
    # Taps of the Kaiser filter per factor; 4, 6 and 8 in the paper.
    "n": _option(
        FROM_E,
        "its filters are bilinear; rows from e on have Kaiser windows",
        _whole(2, 32),
        _setting("filter_size"),
    ),
    # Separable also in R, as published: only the Kaiser filter has a radial form.
    "lanczos": _option(
        FROM_E,
        "its filters are bilinear; those of rows from e on can be replaced",
        None,
        _settings(lowpass="lanczos"),
    ),
    "gaussian": _option(
        FROM_E,
        "its filters are bilinear; those of rows from e on can be replaced",
        None,
        _settings(lowpass="gaussian"),
    ),
    # Oversampling of the nonlinearity; 1, 2 and 4 in the paper.
    "m": _option(
        FROM_F,
        "its nonlinearities are not filtered; those of rows from f on are",
        _whole(1, 8),
        _setting("act_up"),
    ),
    "margin": _option(
        FROM_E, "rows from e on have a margin", _whole(0, 64), _setting("margin")
    ),
    "inflexible": _option(
        "tr",
        "only rows t and r have flexible layers",
        None,
        # T- and R- of the paper: the schedule of row H.
        _settings(schedule="octaves"),
    ),
    "layers": _option(
        "tr",
        "octaves have two layers each; rows t and r have any number",
        _whole(2, 64),
        _setting("num_layers"),
    ),
    "critical": _option(
        FROM_F[1:],
        "rows from g on have layers that are not critically sampled",
        _whole(1, 63),
        _setting("num_critical"),
    ),
    # The exponent: 2^1.5, 2^2.1 and 2^3.1 cycles per canvas in the paper.
    "stopband": _option(
        "tr",
        "bands of octaves follow from their rates; rows t and r choose",
        _number(1.01, 8),
        lambda x, config: _synthesis(first_stopband=2**x),
    ),
    "p4": _option(
        "fght",
        "layers of a to e have no group axis, and 1x1 convolutions no direction",
        None,
        _p4,
    ),
    "fixed": _option(
        "htr",
        "its Fourier features are not transformed; those of rows from h on are",
        None,
        _settings(input="fourier"),
    ),
    # As in StyleGAN2, between convolution and bias: from F on at the rate of a layer's
    # input, margin included. One map for all channels, times a learned strength, at
    # first 0.
    "noise": _option(
        FROM_C, "it has noise inputs already", None, _settings(noise=True)
    ),
    "mixing": _option(
        FROM_C,
        "it mixes styles already, with probability 0.9",
        None,
        lambda value, config: {"losses": {"style_mixing_prob": 0.5}},
    ),
    "path": _option(
        FROM_C, "it regularises path lengths already, of weight 2", None, _path
    ),
}

CLASHES = {
    ("lanczos", "gaussian"): "give one filter",
    ("n", "lanczos"): "n is the length of Kaiser windows",
    ("n", "gaussian"): "n is the length of Kaiser windows",
    ("noise", "p4"): "noise does not turn with the features",
    ("inflexible", "layers"): "octaves have two layers each",
    ("inflexible", "stopband"): "bands of octaves follow from their rates",
}
