"""Files made to harm: they run code, fill the memory, or are valid and absurd."""

import functools
import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from interop import forge


def _payloads(canary: Path) -> dict[str, bytes]:
    """Pickles that would make the canary, or fill the memory, if they were run."""
    touch = f"open({str(canary)!r}, 'w')"
    command = f"touch {canary}"
    calls = {
        "os.system": forge.Call(forge.OS_SYSTEM, (command,)),
        "eval": forge.Call(forge.Global("builtins", "eval"), (touch,)),
        "subprocess": forge.Call(forge.Global("subprocess", "getoutput"), (command,)),
        "open": forge.Call(forge.Global("io", "open"), (str(canary), "w")),
        "getattr": forge.Call(
            forge.Call(
                forge.Global("builtins", "getattr"), (forge.Global("os", "path"), "os")
            ),
            (),
        ),
    }
    made = {name: forge.pickled({"x": call}) for name, call in calls.items()}
    made["memo of 2**31"] = b"\x80\x03]r\xff\xff\xff\x7f."
    made["bytes of 2**40"] = b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."
    made["long of 2**31"] = b"\x80\x03\x8b\xff\xff\xff\x7fx."
    made["frame of 2**62"] = b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"]."
    made["deep"] = b"\x80\x03" + b"(" * 100_000 + b"t" * 100_000 + b"."
    made["nested lists"] = b"\x80\x03" + b"]" * 100_000 + b"a" * 99_999 + b"."
    return made


def pickles(canary: Path) -> dict[str, bytes]:
    made = dict(_payloads(canary))
    for name, pickled in _payloads(canary).items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
        made[f"{name} in a zip"] = file.getvalue()
    x = np.arange(6.0)
    for size in ((10**12,), (-1,), (2**62, 2**62)):
        file = io.BytesIO()
        content = {"x": forge.tensor(x, "0", size=size, stride=(0,) * len(size))}
        forge.write_zip(file, {"x": x}, content)
        made[f"size {size}"] = file.getvalue()
    return made


def cifar(pickled: dict[str, bytes] | None = None) -> bytes:
    data = np.zeros((2, 3072), np.uint8)
    ndarray = forge.Call(
        forge.Global("numpy.core.multiarray", "_reconstruct"),
        (forge.Global("numpy", "ndarray"), (0,), b"b"),
    )
    dtype = forge.Build(
        forge.Call(forge.Global("numpy", "dtype"), ("u1", 0, 1)),
        (3, "|", None, None, None, -1, -1, 0),
    )
    array = forge.Build(ndarray, (1, data.shape, dtype, False, data.tobytes()))
    names = {b"label_names": [b"a", b"b"]}
    batch = {b"data": array, b"labels": [0, 1]}
    members = pickled or {
        "data_batch_1": forge.pickled(batch),
        "batches.meta": forge.pickled(names),
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def cifars(canary: Path) -> dict[str, bytes]:
    made = {
        name: cifar({"data_batch_1": pickled})
        for name, pickled in _payloads(canary).items()
    }
    huge = forge.Call(
        forge.Global("numpy.core.multiarray", "_reconstruct"),
        (forge.Global("numpy", "ndarray"), (2**36,), b"b"),
    )
    made["array of 2**36"] = cifar({"data_batch_1": forge.pickled({b"data": huge})})
    return made | {"a bomb": _gzip_bomb()}


def idx(shape: tuple[int, ...], content: bytes | None = None) -> bytes:
    head = b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    size = int(np.prod(shape, dtype=object))
    return gzip.compress(head + (bytes(size) if content is None else content))


def idx_files(canary: Path) -> dict[str, bytes]:
    del canary
    return {
        "2**96 pixels": idx((2**32 - 1,) * 3, b"x"),
        "another shape": idx((4, 2, 2)),
        "no shape": gzip.compress(b"\0\0\x08\0"),
        "a bomb": _gzip_bomb(),
    }


@functools.cache
def _gzip_bomb() -> bytes:
    """3 GiB of zeros in some megabytes."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(2**24)
    return b"".join(packer.compress(zeros) for _ in range(192)) + packer.flush()


def json_files(canary: Path) -> dict[str, bytes]:
    del canary
    texts = {
        "deep": "[" * 100_000,
        "deep labels": '{"labels": ' + "[" * 5000 + "]" * 5000 + "}",
        "a long number": '{"labels": [["0.png", ' + "9" * 10_000 + "]]}",
        "a huge class": '{"labels": [["0.png", 99999999999]]}',
        "not finite": '{"labels": [["0.png", NaN], ["1.png", Infinity]]}',
        "labels are numbers": '{"labels": 3}',
        "a list": "[1, 2]",
        "a number": "7",
        "names are numbers": '{"labels": [[0, 0]], "class_names": 3}',
        "ragged": '{"labels": [["0.png", [1, 2]], ["1.png", [1]]]}',
        "mixed": '{"labels": [["0.png", "x"], ["1.png", true], ["2.png", null]]}',
        "a surrogate": '{"labels": [["\\ud800.png", 0]]}',
        "empty": "",
        "sections are lists": '{"generator": [], "discriminator": 3}',
        "an inner list": '{"generator": {"mapping": [], "synthesis": [1]}}',
        "absurd sizes": '{"generator": {"mapping": {"z_dim": 99999999999}, "synthesis":'
        ' {"resolution": 1073741824}}}',
    }
    return {name: text.encode() for name, text in texts.items()}


def csvs(canary: Path) -> dict[str, bytes]:
    del canary
    return {
        "a huge class": b"0.png,99999999999\n1.png,0\n",
        "not finite": b"0.png,nan,1\n1.png,inf,2\n2.png,1,1\n3.png,1,1\n",
        "a quote": b'0.png,"1\n' * 3,
        "a long field": b"0.png," + b"x" * 300_000 + b"\n",
        "NUL": b"0.png\0,1\n",
        "contradicting": b"0.png,1\n0.png,0\n1.png,0\n2.png,0\n3.png,1\n",
        "UTF-16": "0.png,1\n".encode("utf-16"),
        "empty": b"",
        "separators": b"0.png;1\n1.png;0\n2.png;0\n3.png;1\n",
    }


def _zip_of(members: dict[str, bytes], packing=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def zips(canary: Path) -> dict[str, bytes]:
    image = _png(4, 4)
    return {
        "a bomb": _zip_bomb(),
        "climbing": _zip_of({f"../../{canary.name}": b"x", "../a.png": image}),
        "absolute": _zip_of({str(canary): b"x", "/a.png": image}),
        "twice": _zip_of({"a.png": image}) + _zip_of({"b.png": image}),
        "in itself": _zip_of({"a.png": image, "b.zip": _zip_of({"c.png": image})}),
        "bzip2": _zip_of({"a.png": image}, zipfile.ZIP_BZIP2),
        "names": _zip_of({"\n.png": image, "a\\b.png": image, "\u202e.png": image}),
        "encrypted": _encrypted(_zip_of({"a.png": image})),
        "a folder named as an image": _zip_of({"a.png/": b"", "b.png": image}),
        "empty": _zip_of({}),
    }


@functools.cache
def _zip_bomb() -> bytes:
    """A member of 3 GiB of zeros in some megabytes."""
    file, zeros = io.BytesIO(), bytes(2**24)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.png", "w", force_zip64=True) as member:
            for _ in range(192):
                member.write(zeros)
    return file.getvalue()


def _encrypted(content: bytes) -> bytes:
    """The zip with the flag of encryption set for its first member."""
    content = bytearray(content)
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def _png(width: int, height: int, rows: bytes | None = None, *more) -> bytes:
    """A grey PNG of this size; rows: its compressed content."""
    rows = zlib.compress(bytes(height * (width + 1))) if rows is None else rows
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), *more, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(chunks))


def _chunks(chunks) -> Iterator[bytes]:
    for kind, content in chunks:
        check = zlib.crc32(kind + content)
        yield (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
        )


def images(canary: Path) -> dict[str, bytes]:
    del canary
    text = zlib.compress(bytes(2**26))
    return {
        "2**31 pixels wide": _png(2**31 - 1, 1, b""),
        "60000 x 60000": _png(60_000, 60_000, zlib.compress(b"")),
        "no pixels": _png(0, 0, b""),
        "text of 64 MiB": _png(4, 4, None, (b"zTXt", b"key\0\0" + text)),
        "a TIFF": b"II*\0" + struct.pack("<I", 2**31),
        "a web page": b"<!DOCTYPE html><html>404</html>",
        "empty": b"",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    }


def npz_files(canary: Path) -> dict[str, bytes]:
    payload = _payloads(canary)["os.system"]
    head = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"

    def array(descr: str, shape: tuple, content: bytes) -> bytes:
        text = head.format(descr, shape).ljust(117).encode() + b"\n"
        return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + content

    members = {
        "objects": array("|O", (1,), payload),
        "huge": array("<f8", (2**40,), b"x"),
        "negative": array("<f8", (-1,), b"x"),
    }
    made = {}
    for name, member in members.items():
        for inside in ("mean", "power"):
            made[f"{name} {inside}"] = _zip_of({f"{inside}.npy": member})
    return made | {
        "a pickle": payload,
        "a bomb": _zip_bomb(),
        "json": json.dumps([]).encode(),
    }
