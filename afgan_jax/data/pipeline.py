"""Batches by step: the batch of step k is a function of (seed, k) alone.

The archive is shuffled anew each epoch. With B = batch_size, the global batch of step k
is positions k B .. (k + 1) B of that endless order, and process p of P takes the p-th
of P equal parts. So global batches do not depend on the number of processes, and a
resumed run starts at its step without reading earlier batches.
"""

import os
from collections.abc import Iterator

import grain
import numpy as np

from afgan_jax import errors
from afgan_jax.data.archive import Archive

MAX_THREADS = 16  # each holds a batch: 100 MB for 32 images of 1024 pixels
_SHUFFLE, _LABELS = 0, 1  # purposes of random numbers


def batches(
    archive: Archive,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of every global batch from `start_step` on, without end.

    A batch holds image uint8 [n H W C], label float32 [n c_dim] and gen_label float32
    [2 n c_dim], labels of random images for the updates of G and of D, where
    n = batch_size / process_count.
    `num_threads` decode a batch each ahead; None: one a core, at most MAX_THREADS; 0:
    decode on demand. Raises SettingError if process_count does not divide batch_size.
    """
    if batch_size < 1 or batch_size % process_count:
        why = f"is not divisible by {process_count} processes: choose a multiple"
        raise errors.SettingError("updates.batch_size", batch_size, why)
    share = batch_size // process_count
    mine = np.arange(process_index * share, (process_index + 1) * share)
    order = grain.MapDataset.range(len(archive)).shuffle(_shuffle_seed(seed)).repeat()

    def load(step: int, _) -> dict[str, np.ndarray]:
        items = np.array([order[step * batch_size + int(row)] for row in mine])
        drawn = _rng(seed, _LABELS, step).integers(len(archive), size=(2, batch_size))
        return {
            "image": np.stack([archive.image(int(i)) for i in items]),
            "label": archive.labels.rows(items),
            "gen_label": archive.labels.rows(drawn[:, mine]),
        }

    endless = grain.MapDataset.range(1).repeat()
    steps = endless.map_with_index(load)[start_step:]
    if num_threads is None:
        num_threads = min(os.cpu_count() or 1, MAX_THREADS)
    ahead = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=num_threads and num_threads + 2
    )
    return iter(steps.to_iter_dataset(ahead))


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(key))


def _shuffle_seed(seed: int) -> int:
    # Grain shuffles epoch e with seed + e; hashing keeps runs with neighbouring seeds
    # from sharing epochs.
    return int(np.random.SeedSequence((seed, _SHUFFLE)).generate_state(1)[0])
