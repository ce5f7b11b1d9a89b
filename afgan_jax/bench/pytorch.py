"""The same work in the published PyTorch program, from a checkout that the user has.

Nothing of that program is part of this one: the classes that its configurations name
are imported from the folder given and timed in this process, with the same networks,
batch and processor. PyTorch is what the checkout itself imports.
"""

import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Settings that both programs have: this project's words, and theirs.
MAPPING = {"z_dim": "z_dim", "c_dim": "c_dim", "w_dim": "w_dim"}
BOTH = {
    "resolution": "img_resolution",
    "img_channels": "img_channels",
    "channel_base": "channel_base",
    "channel_max": "channel_max",
    "conv_clamp": "conv_clamp",
}
ALIAS_FREE = BOTH | {
    "num_layers": "num_layers",
    "num_critical": "num_critical",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband_rel",
    "margin": "margin_size",
    "conv_kernel": "conv_kernel",
    "filter_size": "filter_size",
    "act_up": "lrelu_upsampling",
    "radial": "use_radial_filters",
    "output_scale": "output_scale",
    "magnitude_ema_beta": "magnitude_ema_beta",
}
STYLEGAN2 = BOTH | {"architecture": "architecture"}
SYNTHESES = {
    "alias_free": ("networks_stylegan3", ALIAS_FREE),
    "stylegan2": ("networks_stylegan2", STYLEGAN2),
}
# All that the published program has of these settings.
PUBLISHED = {
    "kind": tuple(SYNTHESES),
    "schedule": ("flexible",),
    "input": ("fourier_transformed",),
    "noise": (False,),
    "lowpass": ("kaiser",),
}
DISCRIMINATOR = STYLEGAN2 | {"c_dim": "c_dim", "cmap_dim": "cmap_dim"}
EPILOGUE = ("mbstd_group_size", "mbstd_num_channels")


def open_checkout(path: str) -> None:
    """Makes the checkout's modules importable, before all others of their names.

    Raises ValueError if the folder or PyTorch is missing.
    """
    if not (Path(path) / "training" / "networks_stylegan3.py").is_file():
        raise ValueError(
            f"--checkout={path} holds no training/networks_stylegan3.py: give the"
            " folder of the published StyleGAN3 program"
        )
    if importlib.util.find_spec("torch") is None:
        raise ValueError("--against=pytorch needs PyTorch: pip install torch")
    sys.path.insert(0, str(path))


def networks(generator: dict, discriminator: dict, device: str):
    """Their (G, D) of a config's sections, on "cpu" or "cuda", in float32.

    Raises ValueError for settings that they do not have, and if they do not import.
    """
    mapping, synthesis = generator["mapping"], generator["synthesis"]
    for section in (synthesis, discriminator):
        if section["dtype"] != "float32":
            raise ValueError("--against=pytorch: dtype must be float32 in each network")
    for name, known in PUBLISHED.items():
        if synthesis.get(name, known[0]) not in known:
            raise ValueError(
                "--against=pytorch: it has no"
                f" generator.synthesis.{name}={synthesis[name]!r}"
            )
    name, names = SYNTHESES[synthesis["kind"]]
    try:
        module = importlib.import_module(f"training.{name}")
        of_d = importlib.import_module("training.networks_stylegan2")
    except ImportError as error:
        raise ValueError(f"--checkout: {error}; install what it needs") from error
    G = module.Generator(
        **{theirs: mapping[ours] for ours, theirs in MAPPING.items()},
        **{theirs: synthesis[ours] for ours, theirs in names.items()},
        mapping_kwargs={"num_layers": mapping["num_layers"]},
        num_fp16_res=0,
    )
    D = of_d.Discriminator(
        **{theirs: discriminator[ours] for ours, theirs in DISCRIMINATOR.items()},
        epilogue_kwargs={name: discriminator[name] for name in EPILOGUE},
        num_fp16_res=0,
    )
    return G.to(device).train(), D.to(device).train()


def work(G, D, batch: int, r1_gamma: float, device: str) -> dict[str, Callable]:
    """What is timed, by the names of this program's rows: functions of nothing.

    Path length regularisation is not among it.
    """
    torch = sys.modules["torch"]  # the checkout's own

    def normal(*shape):
        drawn = np.random.RandomState(0).randn(*shape)
        return torch.from_numpy(drawn.astype(np.float32)).to(device)

    z, c = normal(batch, G.z_dim), torch.zeros(batch, G.c_dim, device=device)
    real = normal(batch, D.img_channels, D.img_resolution, D.img_resolution)
    ws = normal(batch, G.num_ws, G.w_dim)
    adams = {net: torch.optim.Adam(net.parameters(), lr=1e-6) for net in (G, D)}
    softplus = torch.nn.functional.softplus

    def synthesis():
        with torch.no_grad():
            G.synthesis(ws)

    def g_loss():
        return softplus(-D(G(z, c), c)).mean()

    def d_loss():
        with torch.no_grad():
            fake = G(z, c)
        return softplus(D(fake, c)).mean() + softplus(-D(real, c)).mean()

    def r1_loss():
        x = real.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(D(x, c).sum(), [x], create_graph=True)
        return slope.square().sum([1, 2, 3]).mean() * (r1_gamma / 2)

    def update(net, other, loss):
        net.requires_grad_(True), other.requires_grad_(False)
        adams[net].zero_grad(set_to_none=True)
        loss().backward()
        adams[net].step()

    return {
        "synthesis": synthesis,
        "update Gboth": lambda: update(G, D, g_loss),
        "update Gmain": lambda: update(G, D, g_loss),
        "update Dmain": lambda: update(D, G, d_loss),
        "update Dreg": lambda: update(D, G, r1_loss),
    }


def seconds(function: Callable, repeats: int, device: str) -> float:
    """Median time of a call, after one to warm up."""
    torch = sys.modules["torch"]  # the checkout's own

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    times = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))
