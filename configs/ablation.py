"""The ladder from StyleGAN2 (row A) to alias-free generators (T and R), step by step.

python -m afgan_jax train --config=configs/ablation.py:g --workdir=runs/g

`:a` to `:h`, `:t` (default) and `:r`, at the published ablation setting: FFHQ-U at
256x256, 70000 images in data/ffhqu256.zip (another place: --config.data.path=...). The
published figures after 25000 kimg, EQ in dB:

        A     B     C     D     E     F     G     H     T     R
    FID 5.14  4.79  4.54  5.21  6.02  6.35  4.78  4.64  4.62  4.50
    EQ-T   -  16.2  15.8  19.5  24.6  30.6  43.9  45.2  63.0  66.7
    EQ-R   -  10.8  10.8  10.4  11.0  10.8  10.8  10.6  13.1  40.5

Ablations follow a second colon, with commas between: `:r:lanczos`, `:r:n=8,m=4`,
`:t:noise`. OPTIONS below has them all. `:g:small` is a row on the Earth at 64x64, for a
CPU. Where the paper does not say how, the choice made and its reason stand at the row.
"""

from ml_collections import ConfigDict

RESOLUTION = 256
BATCH = 64

SETTING = {
    "data": {"path": "data/ffhqu256.zip", "resolution": RESOLUTION, "mirror": True},
    "generator": {
        "resolution": RESOLUTION,
        "channel_base": 2**14,
        "channel_max": 512,
    },
    "discriminator": {
        "resolution": RESOLUTION,
        "channel_base": 2**14,
        "channel_max": 512,
    },
    "losses": {"r1_gamma": 1.0},
    "updates": {
        "batch_size": BATCH,
        "G_lr": 0.0025,
        "D_lr": 0.0025,
        "D_reg_interval": 16,
        "ema_kimg": 10 * BATCH / 32,
    },
    "train": {"total_kimg": 25000},
}

# What each row changes of the row above it; A, of the setting.
ROWS = {
    # StyleGAN2 as published.
    "a": {
        "generator": {"synthesis": "stylegan2", "mapping_layers": 8},
        "discriminator": {"mbstd_group_size": 8},
        "losses": {"pl_weight": 2.0, "style_mixing_prob": 0.9},
        "updates": {"G_reg_interval": 4},
    },
    # Fourier features in place of the learned constant, on the grid that it had: 4x4
    # pixels, of which a band of 2 cycles per canvas is all that there is room for. They
    # are mixed by a learned matrix, but not normalised: waves have half the power of
    # the constant, which demodulation evens out.
    "b": {
        "generator": {
            "synthesis": "stylegan2_fourier",
            "input": "fourier",
            # A has these by its nature; now they are settings.
            "noise": True,
            "kernel": "bilinear",
            "margin": 0,
            "magnitude_ema_beta": None,
            "output_scale": 1.0,
        },
    },
    # No noise inputs; no regularisation of path lengths, no mixing of styles.
    "c": {
        "generator": {"noise": False},
        "losses": {"pl_weight": 0.0, "style_mixing_prob": 0.0},
        "updates": {"G_reg_interval": None},
    },
    # A shorter mapping; one layer makes the image ("orig": without skips), in -4..4;
    # inputs of convolutions are divided by the root of their mean square, an average of
    # half-life 20 kimg. Modulated convolution stays StyleGAN2's: the average is taken
    # of what enters it, before styles, and the division left out of demodulation, which
    # would undo it, both as in T. The layer that makes the image has an average too:
    # "every convolution".
    "d": {
        "generator": {
            "mapping_layers": 2,
            "architecture": "orig",
            "magnitude_ema_beta": 0.5 ** (BATCH / 20e3),
            "output_scale": 0.25,
        },
        "discriminator": {"mbstd_group_size": 4},
    },
    # A margin of 10 pixels around the canvas, at every resolution alike: also the input
    # is 24x24 now. Convolutions still pad with zeros, at the margin's far end; what
    # upsampling adds to the margin is cropped before the activation, and the rest where
    # the image is made, whose convolution looks at single pixels. The Kaiser filter is
    # cut off at the Nyquist of what is upsampled, with a transition band of
    # (sqrt(2) - 1) s/2 to either side. D keeps [1, 3, 3, 1], as in all rows.
    "e": {"generator": {"margin": 10, "kernel": "kaiser"}},
    # Filtered nonlinearities, in layers that convolve first, at the rate of their
    # input, where a twofold and the nonlinearity's twofold upsampling become one. Two
    # layers an octave as before, 13 at 256 pixels, all critically sampled. Weights and
    # styles are now normalised before they are multiplied, and convolutions grow maps
    # by their reach instead of padding to the same size, both as published for T; the
    # last convolution crops to the canvas.
    "f": {
        "generator": {
            "synthesis": "alias_free",
            "schedule": "octaves",
            "num_critical": None,
        },
    },
    # Lower cutoffs, s/2 - f_h, except for the two layers at the image's own rate, as
    # many as T's: "all but the highest-resolution layers". Fourier features fill the
    # band of the first layer, so theirs falls from 2 to 1.17: what is beyond would
    # alias in that layer and be filtered out after it. Channels go with 1 / f_c.
    "g": {"generator": {"num_critical": 2}},
    # Fourier features turned and shifted as w says.
    "h": {"generator": {"input": "fourier_transformed"}},
    # Layers whose bands grow evenly, whatever the image's resolution.
    "t": {"generator": {"schedule": "flexible"}},
    # Equivariant to rotation. The blur lasts 200 kimg at batch 32 and longer with the
    # batch, as in the published program.
    "r": {
        "generator": {
            "conv_kernel": 1,
            "radial": True,
            "channel_base": 2**15,
            "channel_max": 1024,
        },
        "losses": {"blur_init_sigma": 10.0, "blur_fade_kimg": 200 * BATCH / 32},
    },
}


def get_config(arg=None):
    row, *rest = (arg or "t").split(":", 1)
    if row not in ROWS:
        raise ValueError(
            f"ablation.py:{row} is unknown: rows are {', '.join(ROWS)}, such as"
            " ablation.py:r or ablation.py:r:lanczos"
        )
    config = {section: dict(values) for section, values in SETTING.items()}
    for name, change in ROWS.items():
        _merge(config, change)
        if name == row:
            break
    values = _read(row, rest[0].split(",") if rest else [])
    for name, option in OPTIONS.items():
        if name in values:
            _merge(config, option["change"](values[name], config))
    return ConfigDict(config)


def _merge(config: dict, change: dict) -> None:
    for section, values in change.items():
        config.setdefault(section, {}).update(values)


def _read(row: str, options: list[str]) -> dict:
    """{name: value} of options such as "n=8" and "lanczos"; ValueError says why not."""
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
    """An ablation: rows it is for, why no others, its value, what that changes.

    read(text) -> value, None if it has no value; change(value, config so far) ->
    {section: {setting: value}}.
    """
    return {"rows": rows, "reason": reason, "read": read, "change": change}


def _setting(name: str):
    return lambda value, config: {"generator": {name: value}}


def _settings(**changes):
    return lambda value, config: {"generator": changes}


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
    """Of G alone: D is the same in all rows and ablations."""
    sizes = {k: config["generator"][k] for k in ("channel_base", "channel_max")}
    return {"generator": {k: round(size * factor) for k, size in sizes.items()}}


def _p4(value, config):
    """Half the channels, in each of 4 directions, as published."""
    halved = _capacity(0.5, config)["generator"]
    return {"generator": halved | {"symmetry": "p4"}}


def _path(value, config):
    """Every 4 steps, as in rows A and B."""
    return {"losses": {"pl_weight": 0.5}, "updates": {"G_reg_interval": 4}}


def _small(value, config):
    """The Earth at 64x64, a sixteenth of the channels, averages over 1 kimg. No blur:
    10 pixels are much of 64, and the training is shorter than it would last."""
    size, batch = {"resolution": 64}, 8
    G = config["generator"]
    has_averages = G.get("magnitude_ema_beta") is not None
    return {
        "data": {"path": "earth"} | size,
        "generator": size
        | {"z_dim": 64, "w_dim": 64, "channel_base": G["channel_base"] // 16}
        | {"channel_max": G["channel_max"] // 8}
        | ({"magnitude_ema_beta": 0.5 ** (batch / 1e3)} if has_averages else {}),
        "discriminator": size | {"channel_base": 1024, "channel_max": 64},
        "losses": {"blur_init_sigma": 0.0, "blur_fade_kimg": 0.0},
        "updates": {"batch_size": batch, "G_lr": 0.004, "D_lr": 0.002}
        | {"ema_kimg": 1.0, "ema_rampup": 0.1},
        "pictures": {"rows": 6, "columns": 10},
        "train": {"total_kimg": 48, "tick_kimg": 0.4, "checkpoint_ticks": 1}
        | {"image_ticks": 10},
    }


FROM_C = "cdefghtr"
FROM_E = FROM_C[2:]
FROM_F = FROM_C[3:]
ALL = "ab" + FROM_C

OPTIONS = {
    "small": _option(ALL, "", None, _small),
    "capacity": _option(ALL, "", _number(0.01, 16), _capacity),
    # Filters. The Kaiser window's length; n = 4, 6 and 8 in the paper.
    "n": _option(
        FROM_E,
        "its filters are bilinear; rows from e on have Kaiser windows",
        _whole(2, 32),
        _setting("filter_size"),
    ),
    # Separable also in R, as published: the radial form is the Kaiser filter's alone.
    "lanczos": _option(
        FROM_E,
        "its filters are bilinear; rows from e on have others to replace",
        None,
        _settings(kernel="lanczos"),
    ),
    "gaussian": _option(
        FROM_E,
        "its filters are bilinear; rows from e on have others to replace",
        None,
        _settings(kernel="gaussian"),
    ),
    # Magnification of the nonlinearity; m = 1, 2 and 4 in the paper.
    "m": _option(
        FROM_F,
        "its nonlinearities are not filtered; those of rows from f on are",
        _whole(1, 8),
        _setting("act_up"),
    ),
    "margin": _option(
        FROM_E, "rows from e on have a margin", _whole(0, 64), _setting("margin")
    ),
    # Layers. Only what grows evenly can have another number of layers or stopband.
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
        "bands of octaves are those of their rates; rows t and r choose",
        _number(1.01, 8),
        lambda x, config: {"generator": {"first_stopband": 2**x}},
    ),
    # Group convolutions.
    "p4": _option(
        "fght",
        "layers of a to e have no group axis, and 1x1 convolutions no direction",
        None,
        _p4,
    ),
    # Inputs and losses.
    "fixed": _option(
        "htr",
        "its Fourier features are not transformed; those of rows from h on are",
        None,
        _settings(input="fourier"),
    ),
    # As in StyleGAN2, between convolution and bias, hence before the nonlinearity and
    # from F on at the rate of a layer's input, margin included. One map for all
    # channels, times a learned strength that begins at 0.
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
    ("noise", "p4"): "noise stays where it is while all else turns",
    ("inflexible", "layers"): "octaves have two layers each",
    ("inflexible", "stopband"): "bands of octaves are those of their rates",
}
