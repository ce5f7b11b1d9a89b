"""The ladder from StyleGAN2 (row A) to alias-free generators (T and R), step by step.

python -m afgan_jax train --config=ablation:g --workdir=runs/g

`:a` to `:h`, `:t` (default) and `:r`, at the published ablation setting: FFHQ-U at
256x256, 70000 images in data/ffhqu256.zip, or give --config.data.path=.... The
published figures after 25000 kimg are in afgan_jax/analysis/published.py.

Ablations (ablation_options.py) follow a second colon, with commas between them:
`:r:lanczos`, `:r:n=8,m=4`, `:t:noise`. `:g:small` is a row on the Earth at 64x64, for a
CPU. The comment on a row has the choices that the paper leaves open, with reasons.
"""

from ml_collections import ConfigDict

from . import ablation_options, base

BATCH = 64
SETTING = base.published(
    "data/ffhqu256.zip",
    256,
    batch=BATCH,
    channel_base=2**14,
    D_lr=0.0025,
    r1_gamma=1.0,
)

# The changes of each row to the row above it; of A to SETTING.
ROWS = {
    # StyleGAN2 as published.
    "a": {
        "generator": {"mapping": {"num_layers": 8}, "synthesis": {"kind": "stylegan2"}},
        "discriminator": {"mbstd_group_size": 8},
        "losses": {"pl_weight": 2.0, "style_mixing_prob": 0.9},
        "updates": {"G_reg_interval": 4},
    },
    # Fourier features instead of the learned constant, on its grid of 4x4 pixels, which
    # holds a band of 2 cycles per canvas. They are mixed by a learned matrix, but not
    # normalised: demodulation makes up for their power, half that of the constant.
    "b": {
        "generator": {
            "synthesis": {
                "kind": "stylegan2_fourier",
                "input": "fourier",
                # Fixed in StyleGAN2, and now settings.
                "architecture": "skip",
                "noise": True,
                "lowpass": "bilinear",
                "margin": 0,
                "magnitude_ema_beta": None,
                "output_scale": 1.0,
            },
        },
    },
    # No noise inputs; no regularisation of path lengths, no mixing of styles.
    "c": {
        "generator": {"synthesis": {"noise": False}},
        "losses": {"pl_weight": 0.0, "style_mixing_prob": 0.0},
        "updates": {"G_reg_interval": None},
    },
    # A shorter mapping; one layer makes the image ("orig": without skips), in -4..4.
    # Inputs of convolutions are divided by the root of their mean square, an average of
    # half-life 20 kimg. Modulated convolution remains StyleGAN2's: as in T, the average
    # is that of its input, before styles, and demodulation, which would undo the
    # division, does not see it. The layer that makes the image has an average too:
    # "every convolution".
    "d": {
        "generator": {
            "mapping": {"num_layers": 2},
            "synthesis": {
                "architecture": "orig",
                "magnitude_ema_beta": base.average(BATCH),
                "output_scale": 0.25,
            },
        },
        "discriminator": {"mbstd_group_size": 4},
    },
    # A margin of 10 pixels around the canvas at every resolution: the input is 24x24.
    # Convolutions still pad with zeros, outside the margin. The margin, doubled by
    # upsampling, is cropped to 10 pixels before the activation, and to the canvas after
    # the 1x1 convolution that makes the image. The Kaiser filter is cut off at the
    # Nyquist frequency of its input, with a transition band of (sqrt(2) - 1) s/2 to
    # either side. D keeps [1, 3, 3, 1], as in all rows.
    "e": {"generator": {"synthesis": {"margin": 10, "lowpass": "kaiser"}}},
    # Filtered nonlinearities. Layers convolve at the rate of their input; their own
    # twofold upsampling and that of the nonlinearity become one. As before there are
    # two layers an octave, 13 at 256 pixels, all critically sampled. As published for
    # T, weights and styles are normalised before they are multiplied, and convolutions
    # enlarge maps instead of padding to the same size; the last convolution crops to
    # the canvas.
    "f": {
        "generator": {
            "synthesis": {
                "kind": "alias_free",
                "architecture": base.OMIT,
                "schedule": "octaves",
                "num_critical": None,
            },
        },
    },
    # Lower cutoffs, s/2 - f_h, except for the two layers at the image's rate, as many
    # as T's: "all but the highest-resolution layers". Fourier features fill the band of
    # the first layer, so theirs falls from 2 to 1.17: higher frequencies would alias in
    # that layer and be filtered out after it. Channels are proportional to 1 / f_c.
    "g": {"generator": {"synthesis": {"num_critical": 2}}},
    # w rotates and translates the Fourier features.
    "h": {"generator": {"synthesis": {"input": "fourier_transformed"}}},
    # Layers whose bands grow geometrically, for any resolution.
    "t": {"generator": {"synthesis": {"schedule": "flexible"}}},
    # Equivariant to rotation.
    "r": base.merged(base.config_r(2**14), base.blur(BATCH)),
}


def get_config(arg=None):
    row, *rest = (arg or "t").split(":", 1)
    if row not in ROWS:
        raise ValueError(
            f"ablation.py:{row} is unknown: rows are {', '.join(ROWS)}, such as"
            " ablation.py:r or ablation.py:r:lanczos"
        )
    names = list(ROWS)
    changes = [ROWS[name] for name in names[: names.index(row) + 1]]
    config = base.merged(SETTING, *changes)
    values = ablation_options.read(row, rest[0].split(",") if rest else [])
    for name, option in ablation_options.OPTIONS.items():
        if name in values:
            config = base.merged(config, option["change"](values[name], config))
    return ConfigDict(config)
