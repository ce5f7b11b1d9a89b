"""Model files: what is written comes back, and nothing else is taken for it."""

import json
import random
import resource
import struct
import time

import numpy as np
import pytest
import safetensors.numpy

from afgan_jax import json_files
from afgan_jax.interop import model_file

SETTINGS = {"generator": {"mapping": {"z_dim": 4}, "synthesis": {"resolution": 16}}}
FACTS = {"step": 3, "class_names": ["a", "b"]}


def tree(seed: int) -> dict:
    draw = np.random.RandomState(seed)
    layer = {
        "weight": draw.randn(2, 3).astype("f4"),
        "bias": draw.randn(3).astype("f4"),
    }
    average = {"count": np.array(seed, "i4"), "w_avg": draw.randn(4).astype("f4").T}
    return {"params": {"mapping": {"fc0": layer}}, "buffers": {"mapping": average}}


PARTS = {"G_ema": tree(1), "D": tree(2)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(model_file.encode(SETTINGS, PARTS, FACTS))
    return path


def read(path) -> dict:
    header = model_file.read_header(path)
    return {
        part: model_file.read(path, part, PARTS[part], header.sha256[part])
        for part in header.parts
    }


def test_what_is_written_comes_back(file):
    header = model_file.read_header(file)
    assert (header.settings, header.facts) == (SETTINGS, FACTS)
    assert header.parts == ("D", "G_ema")
    found = read(file)
    for part in PARTS:
        weight = found[part]["params"]["mapping"]["fc0"]["weight"]
        np.testing.assert_array_equal(
            weight, PARTS[part]["params"]["mapping"]["fc0"]["weight"]
        )
        count = found[part]["buffers"]["mapping"]["count"]
        assert count.shape == () and count == PARTS[part]["buffers"]["mapping"]["count"]


def test_the_same_content_is_the_same_bytes():
    again = {"D": tree(2), "G_ema": tree(1)}
    assert model_file.encode(SETTINGS, again, FACTS) == model_file.encode(
        SETTINGS, PARTS, dict(reversed(FACTS.items()))
    )


def test_others_can_read_the_tensors_by_name(file):
    found = safetensors.numpy.load_file(file)
    expected = PARTS["G_ema"]["params"]["mapping"]["fc0"]["weight"]
    np.testing.assert_array_equal(found["G_ema.params.mapping.fc0.weight"], expected)


def described(path, **changes) -> None:
    """Writes a file whose description is changed, and sealed anew."""
    tensors = {f"G_ema.{name}": np.ones(2, "f4") for name in ("a", "b")}
    content = {
        "format": model_file.FORMAT,
        "settings": SETTINGS,
        "sha256": {"G_ema": model_file.digest(tensors)},
        "facts": {},
    } | changes
    text = json.dumps(json_files.seal(content))
    path.write_bytes(safetensors.numpy.save(tensors, {model_file.METADATA: text}))


def test_a_file_of_a_newer_version_is_refused_in_a_line(tmp_path):
    described(tmp_path / "a", format=model_file.FORMAT + 1)
    with pytest.raises(ValueError, match=r"is of format 2, this program reads up to 1"):
        model_file.read_header(tmp_path / "a")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "1"},
        {"format": None},
        {"settings": []},
        {"sha256": 1},
        {"facts": None},
    ]
    + [{"sha256": {}}, {"sha256": {"G_ema": "", "D": ""}}, {"a": 1}],
)
def test_a_file_that_describes_no_networks_is_named(tmp_path, changes):
    described(tmp_path / "a", **changes)
    with pytest.raises(ValueError, match=f"{tmp_path}/a "):
        model_file.read_header(tmp_path / "a")


def test_tensors_of_other_networks_are_refused(file):
    digest = model_file.read_header(file).sha256["G_ema"]
    layer = PARTS["G_ema"]["params"]["mapping"]["fc0"]
    others = {
        "not as its settings say": {"params": {"mapping": {"fc0": layer}}},
        r"is \[2, 3\], not \[3, 2\]": tree(1) | {"params": {}},
        "is float32": tree(1) | {"params": {}},
    }
    others[r"is \[2, 3\], not \[3, 2\]"]["params"] = {
        "mapping": {"fc0": layer | {"weight": layer["weight"].T}}
    }
    others["is float32"]["params"] = {
        "mapping": {"fc0": layer | {"weight": layer["weight"].astype("f8")}}
    }
    for message, expected in others.items():
        with pytest.raises(ValueError, match=message):
            model_file.read(file, "G_ema", expected, digest)
    with pytest.raises(ValueError, match="is damaged"):
        model_file.read(file, "G_ema", PARTS["G_ema"], "0" * 64)


def hostile() -> dict[str, bytes]:
    """Files made to harm."""

    def of(header: bytes, data: bytes = bytes(8)) -> bytes:
        return struct.pack("<Q", len(header)) + header + data

    def tensors(**entries) -> bytes:
        return of(json.dumps(entries).encode())

    def entry(shape, start, end, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}

    deep = b"[" * 100_000 + b"]" * 100_000
    metadata = json.dumps({model_file.METADATA: "[" * 100_000}).encode()
    return {
        "nothing": b"",
        "text": b"settings = 1\n" * 10,
        "a header of 2**63": struct.pack("<Q", 2**63) + b"{}",
        "a header of 2**40": struct.pack("<Q", 2**40) + b"{}",
        "overlapping": tensors(a=entry([2], 0, 8), b=entry([2], 0, 8)),
        "beyond the end": tensors(a=entry([2**20], 0, 2**22)),
        "10**12 elements": tensors(a=entry([10**12], 0, 8)),
        "2**64 elements": tensors(a=entry([2**32, 2**32], 0, 8)),
        "negative": tensors(a=entry([-2], 0, 8)),
        "backwards": tensors(a=entry([2], 8, 0)),
        "an unknown dtype": tensors(a=entry([2], 0, 8, "F31")),
        "deep JSON": of(deep),
        "a deep entry": of(b'{"a":' + deep + b"}"),
        "a deep description": of(b'{"__metadata__":' + metadata + b"}", b""),
        "no description": tensors(a=entry([2], 0, 8)),
        "a description that is no text": of(b'{"__metadata__":{"afgan_jax":1}}', b""),
    }


def check_refused(path) -> None:
    """It is refused in one line that names the file, at once, in little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    with pytest.raises(ValueError) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    assert time.process_time() - begun < 5
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 200_000, "KiB"


@pytest.mark.parametrize("name", hostile())
def test_hostile_files_are_refused_in_a_line(tmp_path, name):
    path = tmp_path / "a.safetensors"
    path.write_bytes(hostile()[name])
    check_refused(path)


def test_every_cut_and_every_changed_byte_is_noticed(file):
    whole = file.read_bytes()
    draw = random.Random(0)
    for _ in range(300):
        bad = bytearray(whole)
        if draw.random() < 0.3:
            bad = bad[: draw.randrange(len(bad))]
        else:
            bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
        file.write_bytes(bad)
        check_refused(file)


def test_what_is_no_file_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=str(path)):
            model_file.read_header(path)
