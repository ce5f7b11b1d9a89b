"""Times of the published PyTorch program, from a checkout that the user has.

Nothing of that program is part of this one: its classes are imported from the given
folder and timed in this process, with the same networks, batch and processor. PyTorch
is imported by the checkout.
"""

import importlib
import sys
from collections.abc import Callable

import numpy as np

from afgan_jax import errors, places
from afgan_jax.bench import clock
from afgan_jax.interop import names, published

# kind of synthesis network: the module of its generator there
SYNTHESES = {"alias_free": "networks_stylegan3", "stylegan2": "networks_stylegan2"}
# The values of these settings that the published program has.
PUBLISHED = {
    "kind": tuple(SYNTHESES),
    "schedule": ("flexible",),
    "input": ("fourier_transformed",),
    "noise": (False,),
    "lowpass": ("kaiser",),
}
MAPPING = ("z_dim", "c_dim", "w_dim", "num_layers")  # the others are usual
FLOAT32 = {"num_fp16_res": 0}


def open_checkout(path: str) -> None:
    """Puts the checkout's modules first on the import path; raises as its check."""
    folder = places.local(path)
    published.check(folder)
    sys.path.insert(0, str(folder))


def networks(generator: dict, discriminator: dict, device: str):
    """(G, D) of the published program for a config's sections, in float32.

    device: "cpu" or "cuda". Raises ValueError for settings that they do not have, and
    if they cannot be imported.
    """
    mapping, synthesis = generator["mapping"], generator["synthesis"]
    sections = {"generator.synthesis": synthesis, "discriminator": discriminator}
    for section, settings in sections.items():
        if settings["dtype"] != "float32":
            why = "cannot be compared with PyTorch: use float32"
            raise errors.SettingError(f"{section}.dtype", settings["dtype"], why)
    for name, known in PUBLISHED.items():
        value = synthesis.get(name, known[0])
        if value not in known:
            why = f"is not in the published program: use {' or '.join(map(str, known))}"
            raise errors.SettingError(f"generator.synthesis.{name}", value, why)
    try:
        module = importlib.import_module(f"training.{SYNTHESES[synthesis['kind']]}")
        of_d = importlib.import_module("training.networks_stylegan2")
    except ImportError as error:
        why = f"cannot be imported: {error}; install the missing package"
        raise errors.SettingError("checkout", sys.path[0], why) from error
    of_g = names.arguments({name: mapping[name] for name in MAPPING}, names.MAPPING)
    of_g |= names.arguments(synthesis, names.SYNTHESIS)
    G = module.Generator(**of_g | FLOAT32)
    D = of_d.Discriminator(
        **names.arguments(discriminator, names.DISCRIMINATOR) | FLOAT32
    )
    return G.to(device).train(), D.to(device).train()


def work(G, D, batch: int, r1_gamma: float, device: str) -> dict[str, Callable]:
    """{row name: function without arguments} to time.

    Without path length regularisation.
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

    def wait(_):
        if device == "cuda":
            sys.modules["torch"].cuda.synchronize()

    return clock.median_seconds(function, repeats, wait=wait)
