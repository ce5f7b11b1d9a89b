"""What is told of a set and the devices before a training."""

from collections.abc import Iterator

import jax

from afgan_jax import image_size
from afgan_jax.data import label_files, labels, left_out


def lines(archive) -> Iterator[str]:
    """Lines on the set, its labels, used or not, and the devices."""
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    size = f"{image_size.told(archive.size)} pixels"
    yield f"{archive.name}: {len(archive)} images of {size}; {devices}"
    if archive.label_dim:
        yield labels.describe(archive.labels)
    else:
        warning = labels.unused(archive.files, archive.images)
        if warning is not None:
            yield warning
        elif label_files.could_be_classes(archive.images):
            yield f"{archive.name}: its folders could be classes, see dataset convert"
    for line in left_out.of_set(archive.files, archive.images):
        yield f"WARNING: {archive.name} holds more, which is not used: {line}"
