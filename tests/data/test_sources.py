"""Sources that are no folder of files: originals, TensorFlow Datasets, buckets."""

import gzip
import io
import pickle
import shutil
import struct
import sys
import tarfile
import tempfile

import fsspec
import numpy as np
import pytest
from data.images import encoded, folder, noise, numbered
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from afgan_jax.data import archive, convert, sources, tfds


def idx(pixels):
    head = struct.pack(f">BBBB{pixels.ndim}I", 0, 0, 8, pixels.ndim, *pixels.shape)
    return gzip.compress(head + pixels.tobytes())


def mnist(path, images, classes):
    files = {
        "train-images-idx3-ubyte.gz": images,
        "train-labels-idx1-ubyte.gz": classes,
    }
    folder(path, {name: idx(values) for name, values in files.items()})
    return path / "train-images-idx3-ubyte.gz"


def test_mnist_gets_a_black_frame_and_its_digits(tmp_path):
    digits = np.stack([noise((28, 28), 1, seed) for seed in range(3)])
    path = mnist(tmp_path / "in", digits, np.uint8([7, 0, 7]))
    convert.convert(sources.open_source(path), tmp_path / "out.zip")
    found = archive.Archive.open(tmp_path / "out.zip", use_labels=True)
    images = np.stack([image for image, _ in found])
    assert images.shape == (3, 32, 32, 1)
    np.testing.assert_array_equal(images[:, 2:-2, 2:-2, 0], digits)
    assert images.sum() == digits.sum()
    assert found.labels.values.tolist() == [7, 0, 7] and found.label_dim == 10


@pytest.mark.parametrize("harm", ["cut", "labels", "text"])
def test_damaged_mnist_is_named(tmp_path, harm):
    path = mnist(tmp_path, np.zeros([3, 28, 28], np.uint8), np.zeros(3, np.uint8))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif harm == "labels":
        (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    else:
        path.write_bytes(gzip.compress(b"<html>not found</html>"))
    with pytest.raises(ValueError, match="idx.-ubyte.gz") as error:
        sources.open_source(path)
    assert "\n" not in str(error.value)


def cifar(path, files, protocol=2):
    with tarfile.open(path, "w:gz") as tar:
        for name, value in files.items():
            content = pickle.dumps(value, protocol)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def cifar_files(images, classes):
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    files = {"batches.meta": {b"label_names": [b"plane", b"car", b"bird"]}}
    for i in range(5):
        part = slice(2 * i, 2 * i + 2)
        content = {b"data": rows[part], b"labels": classes[part]}
        files[f"data_batch_{i + 1}"] = content
    return files | {"test_batch": {b"data": rows[:1], b"labels": [0]}}


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_is_read_with_the_names_of_its_classes(tmp_path, protocol):
    images = np.stack([noise((32, 32), seed=seed) for seed in range(10)])
    classes = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    files = cifar_files(images, classes) | {"._data_batch_1": b"left by a Mac"}
    path = cifar(tmp_path / "cifar-10-python.tar.gz", files, protocol)
    source = sources.open_source(path)
    assert source.table.class_names == ("plane", "car", "bird")
    assert list(source.table.rows.values()) == classes
    found = [np.asarray(source.read(index)) for index in range(10)]
    np.testing.assert_array_equal(found, images)


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def test_pickles_that_ask_for_more_than_arrays_are_refused(tmp_path, capsys):
    path = tmp_path / "cifar-10-python.tar.gz"
    with pytest.raises(ValueError, match="cannot be read .*asks for .*builtin.*print"):
        sources.open_source(cifar(path, {"data_batch_1": Harm()}))
    assert capsys.readouterr().out == ""


BUILDER = '''
import io
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Images filled with their number."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"photo": tfds.features.Image(shape=(None, None, 3))}
        features["kind"] = tfds.features.ClassLabel(names=["disc", "bar"])
        features = tfds.features.FeaturesDict(features)
        return self.dataset_info_from_configs(features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(6), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for i in range(count):
            file = io.BytesIO()
            pixels = np.full([8, 8, 3], 10 * i, np.uint8)
            Image.fromarray(pixels).save(file, format="PNG")
            file.seek(0)
            yield i, {"photo": file, "kind": i % 2}
'''


@pytest.fixture(scope="module")
def tiny_shapes(tmp_path_factory):
    """A set of TensorFlow Datasets, registered for the module, prepared when read."""
    top = tmp_path_factory.mktemp("tfds")
    folder(top, {"tiny_sets/__init__.py": b"", "tiny_sets/shapes.py": BUILDER.encode()})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(top)
        patch.setenv("TFDS_DATA_DIR", str(top / "data"))
        __import__("tiny_sets.shapes")
        yield


@pytest.mark.parametrize(("split", "count"), [("", 6), (":train", 6), (":test", 3)])
@pytest.mark.filterwarnings("default")  # of the library's own
def test_sets_of_tfds_are_read_without_tensorflow(tiny_shapes, tmp_path, split, count):
    source = sources.open_source(f"tfds:tiny_shapes{split}")
    assert source.table.class_names == ("disc", "bar")
    convert.convert(source, tmp_path / "a.zip", size=(4, 4))
    found = archive.Archive.open(tmp_path / "a.zip", use_labels=True)
    assert len(found) == count and "tensorflow" not in sys.modules
    for image, label in found:
        assert image.shape == (4, 4, 3) and np.ptp(image) == 0
        assert label.argmax() == image[0, 0, 0] // 10 % 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [("no_such_set", "Dataset no_such_set not found"), ("tiny_shapes:x", "split 'x'")],
)
@pytest.mark.filterwarnings("default")
def test_unknown_sets_and_splits_are_named(tiny_shapes, spec, message):
    with pytest.raises(ValueError, match=f"tfds:{spec} cannot be read: .*{message}"):
        sources.open_source(f"tfds:{spec}")


def test_a_missing_tfds_is_named_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    monkeypatch.setitem(sys.modules, "array_record", None)
    with pytest.raises(ValueError, match="pip install tensorflow-datasets"):
        tfds.read("mnist")


class Bucket(DirFileSystem):
    """A folder that answers to gs://, and like a bucket in the form of its names."""

    protocol = ("gs", "gcs")
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("gs://")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The folder that is gs://images."""
    top = tmp_path / "cloud"
    (top / "images").mkdir(parents=True)
    files = Bucket(path=str(top), fs=LocalFileSystem(auto_mkdir=True))
    monkeypatch.setattr(fsspec, "filesystem", lambda name, **_: files)
    sources.epath.gpath.backend_lib.fsspec_backend._get_filesystem.cache_clear()
    yield top / "images"
    sources.epath.gpath.backend_lib.fsspec_backend._get_filesystem.cache_clear()


@pytest.mark.parametrize("out", ["a.zip", "a"])
@pytest.mark.parametrize("zipped", [False, True])
def test_buckets_are_as_good_as_folders(tmp_path, bucket, out, zipped):
    numbered(bucket / "in", 3, names="sub/{}.png")
    source = "gs://images/in"
    if zipped:
        convert.convert(sources.open_source(source), "gs://images/in.zip")
        source += ".zip"
    convert.convert(sources.open_source(source), f"gs://images/{out}", size=(4, 4))
    convert.convert(sources.open_source(bucket / "in"), tmp_path / out, size=(4, 4))
    far, near = (
        archive.Archive.open(top + out) for top in ("gs://images/", f"{tmp_path}/")
    )
    for (image, _), (expected, _) in zip(far, near, strict=True):
        np.testing.assert_array_equal(image, expected)
    if out == "a.zip":
        assert (bucket / out).read_bytes() == (tmp_path / out).read_bytes()
    with pytest.raises(ValueError, match=f"gs://images/{out} exists"):
        convert.convert(sources.open_source(source), f"gs://images/{out}")


@pytest.mark.parametrize("out", ["a", "a.zip"])
def test_a_failed_upload_leaves_nothing_there_and_can_go_on(
    tmp_path, bucket, monkeypatch, out
):
    source = sources.open_source(numbered(tmp_path / "in", 3))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def full(source, target, _):
        target.write(source.read(10))
        raise OSError("quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="quota"):
            convert.convert(source, f"gs://images/{out}")
    assert not list(bucket.iterdir())
    assert convert.convert(source, f"gs://images/{out}").resumed == 3
    assert len(archive.Archive.open(f"gs://images/{out}")) == 3
    assert not list(tmp_path.glob(".*"))


def test_a_missing_library_for_a_bucket_is_named(monkeypatch):
    def missing(name, **_):
        raise ImportError("no gcsfs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    sources.epath.gpath.backend_lib.fsspec_backend._get_filesystem.cache_clear()
    with pytest.raises(ValueError, match="gs://b/a needs .*: pip install gcsfs"):
        sources.open_source("gs://b/a")


def test_files_of_an_unknown_kind_are_no_images(tmp_path):
    folder(tmp_path, {"a.png": encoded(noise()), "b.psd": b"", "._a.png": b""})
    assert sources.open_source(tmp_path).images == ("a.png",)
