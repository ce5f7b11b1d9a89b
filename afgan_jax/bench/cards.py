"""NVIDIA cards as their compiler knows them, on a machine without one."""

from typing import NamedTuple

import jax

from afgan_jax import errors
from afgan_jax.bench import described


class Card(NamedTuple):
    """What the compiler asks of a card.

    capability: of its instructions. cores: streaming multiprocessors; lanes: float32
    units of each. shared, shared_block: KiB of fast memory of a core, and what one
    block of threads can have. cache: MiB of L2. memory: bytes. bandwidth: bytes/s.
    threads: that a core can hold.
    """

    name: str
    capability: tuple[int, int]
    cores: int
    lanes: int
    gigahertz: float
    shared: int
    shared_block: int
    cache: int
    memory: float
    bandwidth: float
    threads: int = 2048


CARDS = {
    "a100": Card(
        "NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 1.41, 164, 163, 40, 80e9, 2.04e12
    ),
    "rtx4090": Card(
        "NVIDIA GeForce RTX 4090",
        (8, 9),
        128,
        128,
        2.52,
        100,
        99,
        72,
        24e9,
        1.01e12,
        1536,
    ),
    "h100": Card(
        "NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 1.98, 228, 227, 50, 80e9, 3.35e12
    ),
    "b200": Card("NVIDIA B200", (10, 0), 148, 128, 1.98, 228, 227, 126, 180e9, 7.7e12),
}
PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
INSTALL = 'pip install "jax-cuda12-plugin==%s" in an environment of its own'
# Without a card nothing can be tuned: Triton's products would have tiles of any size.
COMPILER_OPTIONS = {"xla_gpu_enable_triton_gemm": False}
_DESCRIPTION = """
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  threads_per_core_limit: {card.threads}
  core_count: {card.cores}
  fpus_per_core: {card.lanes}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {card.bandwidth:z.0f}
  l2_cache_size: {cache}
  clock_rate_ghz: {card.gigahertz}
  device_memory_size: {card.memory:z.0f}
  shared_memory_per_block_optin: {shared_block}
  cuda_compute_capability {{ major: {card.capability[0]} minor: {card.capability[1]} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 12 minor: 8 patch: 0 }}
device_description_str: "{card.name}"
"""


def devices(name: str, count: int = 1) -> list:
    """So many of these cards in one machine.

    Raises ValueError for an unknown card, and if JAX's CUDA plugin is missing.
    """
    errors.check_known("card", name, CARDS)
    card = CARDS[name]
    sizes = {"shared": card.shared << 10, "shared_block": card.shared_block << 10}
    text = _DESCRIPTION.format(card=card, cache=card.cache << 20, **sizes)
    described_as = {"target_config": text, "topology": f"1x1x{count}"}
    missing = f"the CUDA compiler is missing: {INSTALL % jax.__version__}"
    return described.devices("cuda", ("card", name), PLUGINS, missing, **described_as)
