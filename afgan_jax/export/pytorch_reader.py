"""Draws images from a file of `export --to=pytorch` in the published program.

python pytorch_reader.py g.safetensors images.npy SEED,SEED,... CHECKOUT

Needs torch, numpy and safetensors, and CHECKOUT, the folder of that program. `load`
returns its generator, in float32 on the CPU.
"""

import importlib
import json
import sys

import numpy as np
import safetensors
import safetensors.numpy


def load(file, checkout):
    """The published generator with the file's tensors, all of which it must have."""
    sys.path.insert(0, checkout)
    import torch

    with safetensors.safe_open(file, framework="numpy") as opened:
        described = json.loads(opened.metadata()["published"])
    module, _, name = described["class"].rpartition(".")
    G = getattr(importlib.import_module(module), name)(**described["arguments"])
    arrays = safetensors.numpy.load_file(file)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    G.load_state_dict(tensors, strict=True)
    return G.eval()


def images(G, seeds):
    """Images [N H W C] in about [-1, 1] of these seeds, of class 0."""
    import torch

    z = [np.random.RandomState(seed).randn(1, G.z_dim) for seed in seeds]
    z = np.float32(np.concatenate(z))
    c = np.float32(np.eye(max(G.c_dim, 1))[[0] * len(seeds), : G.c_dim])
    fixed = {"noise_mode": "const"} if "stylegan2" in type(G).__module__ else {}
    with torch.no_grad():
        drawn = G(torch.from_numpy(z), torch.from_numpy(c), **fixed)
    return np.moveaxis(drawn.numpy(), 1, 3)


if __name__ == "__main__":
    source, out, numbers, folder = sys.argv[1:]
    seeds = [int(number) for number in numbers.split(",")]
    np.save(out, images(load(source, folder), seeds))
