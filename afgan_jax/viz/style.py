"""The style of all figures of numbers: what matplotlib calls rcParams."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of lines, in this order: Okabe's and Ito's, which the colour-blind tell apart."""

SETTINGS = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.3,
    "image.cmap": "viridis",
    "legend.fontsize": "small",
    "legend.frameon": False,
}
