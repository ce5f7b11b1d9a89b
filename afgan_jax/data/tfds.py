"""Sets of TensorFlow Datasets, read without TensorFlow.

They are prepared in the array_record format, which allows access by index.
"""

import types
from collections.abc import Sequence

from afgan_jax.data.labels import Table

INSTALL = "pip install tensorflow-datasets array_record importlib_resources"


def read(spec: str) -> tuple[Sequence[bytes], Table | None]:
    """Encoded images of the set NAME or NAME:SPLIT (train), and their classes if any.

    Downloads and prepares the set in TFDS_DATA_DIR if it is not there.
    Raises ValueError if the library or the set is missing, or the set has no images.
    """
    library = _library()
    name, _, split = spec.partition(":")
    try:
        features = dict(library.builder(name).info.features.items())
        image = _first(features, library.features.Image)
        if image is None:
            raise ValueError(f"it has no images, but {', '.join(features)}")
        data = library.data_source(
            name,
            split=split or "train",
            decoders={image: library.decode.SkipDecoding()},
        )
    except (ValueError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"tfds:{spec} cannot be read: {reason}") from error
    label = _first(features, library.features.ClassLabel)
    table = None
    if label is not None:
        rows = {f"{i:08d}": int(data[i][label]) for i in range(len(data))}
        table = Table(f"tfds:{spec}", rows, tuple(features[label].names))
    return _Column(data, image), table


def _library() -> types.ModuleType:
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets
    except ImportError as error:
        raise ValueError(
            f"tfds:NAME needs a library that is not installed ({error}): {INSTALL}"
        ) from error
    return tensorflow_datasets


def _first(features: dict, kind: type) -> str | None:
    return next((name for name in features if isinstance(features[name], kind)), None)


class _Column(Sequence):
    """One feature of every example."""

    def __init__(self, data: Sequence, feature: str):
        self._data, self._feature = data, feature

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> bytes:
        return self._data[index][self._feature]
