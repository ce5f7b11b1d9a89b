"""Batches: what step k holds, whoever asks for it and whenever."""

import itertools
import zipfile

import numpy as np
import pytest

from afgan_jax.data import pipeline
from afgan_jax.data.archive import Archive, write_archive

COUNT = 10


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """An archive whose i-th image is filled with i and labelled i."""
    images = np.ones([COUNT, 4, 4, 3], np.uint8) * np.arange(COUNT)[:, None, None, None]
    path = tmp_path_factory.mktemp("data") / "numbered.zip"
    write_archive(path, images.astype(np.uint8), range(COUNT))
    return Archive.open(path, use_labels=True)


def take(archive, steps, **options):
    options = {"batch_size": 4, "seed": 0} | options
    return list(itertools.islice(pipeline.batches(archive, **options), steps))


def shown(batches):
    """The numbers of the images of some batches, in order."""
    return np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches])


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys() == {"image", "label", "gen_label"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_batch_has_images_labels_and_labels_to_generate(numbered):
    (batch,) = take(numbered, 1, batch_size=6)
    assert batch["image"].shape == (6, 4, 4, 3) and batch["image"].dtype == np.uint8
    assert batch["label"].shape == (6, COUNT) and batch["label"].dtype == np.float32
    assert batch["gen_label"].shape == (2, 6, COUNT)
    assert batch["gen_label"].dtype == np.float32
    np.testing.assert_array_equal(batch["label"].argmax(1), shown([batch]))


CROSSING = {"batch_size": 512, "num_threads": 0, "start_step": 2}


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """A set, and its batch of images 1024 to 1535, in which its first epoch ends.

    It has 1400 different images, half of them flipped copies, in 7 classes.
    """
    path = tmp_path_factory.mktemp("data") / "mirrored.zip"
    images = np.stack([np.arange(700) % 200, 200 + np.arange(700) // 200], 1)
    images = images.astype(np.uint8)[:, None, :, None].repeat(2, 1)
    write_archive(path, images, [i % 7 for i in range(700)])
    archive = Archive.open(path, use_labels=True, mirror=True)
    return archive, take(archive, 1, **CROSSING)


@pytest.mark.parametrize("processes", [8, 64, 512])
def test_any_number_of_processes_share_out_the_same_batches(crossing, processes):
    archive, whole = crossing
    parts = [
        take(archive, 1, process_index=i, process_count=processes, **CROSSING)[0]
        for i in range(processes)
    ]
    together = {
        "image": np.concatenate([part["image"] for part in parts]),
        "label": np.concatenate([part["label"] for part in parts]),
        "gen_label": np.concatenate([part["gen_label"] for part in parts], axis=1),
    }
    assert_equal([together], whole)
    first_epoch = whole[0]["image"][: 1400 - 1024]
    assert len(np.unique(first_epoch, axis=0)) == len(first_epoch)
    flipped = whole[0]["image"][:, 0, 0, 0] >= 200
    assert 0.4 < flipped.mean() < 0.6 and (whole[0]["label"].sum(1) == 1).all()


def test_a_later_start_continues_where_an_earlier_one_would_be(numbered):
    whole = take(numbered, 9)
    for start in (1, 5):
        assert_equal(take(numbered, 9 - start, start_step=start), whole[start:])


def test_a_start_far_into_training_is_immediate(numbered):
    # A billion steps could not be replayed; two processes still agree on them.
    (whole,) = take(numbered, 1, start_step=10**9)
    (half,) = take(numbered, 1, start_step=10**9, process_index=1, process_count=2)
    np.testing.assert_array_equal(whole["image"][2:], half["image"])


@pytest.mark.parametrize("num_threads", [0, 1, 4])
def test_threads_change_nothing(numbered, num_threads):
    assert_equal(take(numbered, 6, num_threads=num_threads), take(numbered, 6))


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_every_epoch_shows_every_image_once_in_an_order_of_its_own(
    numbered, batch_size
):
    epochs = shown(take(numbered, -(-5 * COUNT // batch_size), batch_size=batch_size))
    epochs = epochs[: 5 * COUNT].reshape(5, COUNT)
    np.testing.assert_array_equal(np.sort(epochs), [range(COUNT)] * 5)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_seeds_give_orders_of_their_own(numbered):
    # Also one epoch later: neighbouring seeds must not be shifted copies.
    orders = [shown(take(numbered, 5, seed=seed)) for seed in range(4)]
    epochs = [tuple(part) for order in orders for part in order.reshape(2, COUNT)]
    assert len(set(epochs)) == len(epochs)


def test_labels_to_generate_are_drawn_evenly_from_the_images(tmp_path):
    path = write_archive(
        tmp_path / "a.zip", np.zeros([8, 1, 1, 3], np.uint8), [0, 0, 0, 0, 0, 0, 1, 1]
    )
    archive = Archive.open(path, use_labels=True)
    drawn = np.stack([b["gen_label"] for b in take(archive, 100, batch_size=8)])
    # 800 draws a set of probability 1/4: five standard deviations are 0.077.
    np.testing.assert_allclose(drawn[..., 1].mean((0, 2)), 0.25, atol=0.077)
    assert (drawn[:, 0] != drawn[:, 1]).any() and (drawn[0] != drawn[1]).any()


def test_without_labels_the_label_arrays_are_empty(tmp_path):
    path = write_archive(tmp_path / "one.zip", np.zeros([1, 4, 4, 1], np.uint8))
    for batch in take(Archive.open(path), 3, batch_size=4):
        assert batch["image"].shape == (4, 4, 4, 1)
        assert batch["label"].shape == (4, 0) and batch["gen_label"].shape == (2, 4, 0)


@pytest.mark.parametrize(("batch_size", "processes"), [(9, 2), (0, 1), (2, 4)])
def test_a_batch_that_processes_cannot_share_is_refused(
    numbered, batch_size, processes
):
    message = f"batch_size={batch_size} is not divisible by {processes} processes"
    with pytest.raises(ValueError, match=message):
        take(numbered, 1, batch_size=batch_size, process_count=processes)


def test_an_image_gone_bad_stops_training_with_its_name(tmp_path):
    path = write_archive(tmp_path / "a.zip", np.zeros([3, 8, 8, 3], np.uint8))
    with zipfile.ZipFile(path) as file:
        start = file.infolist()[1].header_offset
    content = bytearray(path.read_bytes())
    content[start + 120] ^= 1
    archive = Archive.open(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="img00000001.png cannot be read"):
        take(archive, 3)
