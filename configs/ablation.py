"""The ladder from StyleGAN2 (row A) to alias-free generators (T and R), step by step.

python -m afgan_jax train --config=ablation:g --workdir=runs/g

`:a` to `:h`, `:t` (default) and `:r`, at the published ablation setting: FFHQ-U at
256x256, 70000 images in data/ffhqu256.zip (another place: --config.data.path=...). The
published figures after 25000 kimg are in afgan_jax/analysis/published.py.

Ablations follow a second colon, with commas between: `:r:lanczos`, `:r:n=8,m=4`,
`:t:noise`; ablation_options.py has them all. `:g:small` is a row on the Earth at 64x64,
for a CPU. Where the paper does not say how, the choice made and its reason stand at the
row.
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

# What each row changes of the row above it; A, of the setting.
ROWS = {
    # StyleGAN2 as published.
    "a": {
        "generator": {"mapping": {"num_layers": 8}, "synthesis": {"kind": "stylegan2"}},
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
            "synthesis": {
                "kind": "stylegan2_fourier",
                "input": "fourier",
                # A has these by its nature; now they are settings.
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
    # A shorter mapping; one layer makes the image ("orig": without skips), in -4..4;
    # inputs of convolutions are divided by the root of their mean square, an average of
    # half-life 20 kimg. Modulated convolution stays StyleGAN2's: the average is taken
    # of what enters it, before styles, and the division left out of demodulation, which
    # would undo it, both as in T. The layer that makes the image has an average too:
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
    # A margin of 10 pixels around the canvas, at every resolution alike: also the input
    # is 24x24 now. Convolutions still pad with zeros, at the margin's far end; what
    # upsampling adds to the margin is cropped before the activation, and the rest where
    # the image is made, whose convolution looks at single pixels. The Kaiser filter is
    # cut off at the Nyquist of what is upsampled, with a transition band of
    # (sqrt(2) - 1) s/2 to either side. D keeps [1, 3, 3, 1], as in all rows.
    "e": {"generator": {"synthesis": {"margin": 10, "lowpass": "kaiser"}}},
    # Filtered nonlinearities, in layers that convolve first, at the rate of their
    # input, where a twofold and the nonlinearity's twofold upsampling become one. Two
    # layers an octave as before, 13 at 256 pixels, all critically sampled. Weights and
    # styles are now normalised before they are multiplied, and convolutions grow maps
    # by their reach instead of padding to the same size, both as published for T; the
    # last convolution crops to the canvas.
    "f": {
        "generator": {
            "synthesis": {
                "kind": "alias_free",
                "architecture": base.OMIT,  # has no other
                "schedule": "octaves",
                "num_critical": None,
            },
        },
    },
    # Lower cutoffs, s/2 - f_h, except for the two layers at the image's own rate, as
    # many as T's: "all but the highest-resolution layers". Fourier features fill the
    # band of the first layer, so theirs falls from 2 to 1.17: what is beyond would
    # alias in that layer and be filtered out after it. Channels go with 1 / f_c.
    "g": {"generator": {"synthesis": {"num_critical": 2}}},
    # Fourier features turned and shifted as w says.
    "h": {"generator": {"synthesis": {"input": "fourier_transformed"}}},
    # Layers whose bands grow evenly, whatever the image's resolution.
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
