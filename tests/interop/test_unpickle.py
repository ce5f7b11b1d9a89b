"""State dicts come back as arrays; files made to harm run nothing."""

import hashlib
import pickle
import zipfile

import numpy as np
import pytest
from interop import forge

from afgan_jax.interop import persistence, tensors

WRITERS = [forge.write_zip, forge.write_legacy]
RNG = np.random.default_rng(0)
ARRAYS = {
    "conv.weight": RNG.standard_normal((4, 3, 2, 2)).astype(np.float32),
    "conv.bias": RNG.standard_normal(4),
    "half": RNG.standard_normal((2, 3)).astype(np.float16),
    "num_batches_tracked": np.array(7),
    "mask": np.array([True, False]),
}


@pytest.mark.parametrize("write", WRITERS)
def test_state_dicts_come_back_as_arrays(write, tmp_path):
    write(tmp_path / "a.pth", ARRAYS)
    found = tensors.read_state_dict(tmp_path / "a.pth")
    assert list(found) == list(ARRAYS)
    for name, array in found.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype


@pytest.mark.parametrize("write", WRITERS)
def test_views_are_read_by_their_strides(write, tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {"state_dict": {"x": forge.tensor(x, "0", size=(3, 2), stride=(1, 3))}}
    write(tmp_path / "a.pth", {"x": x}, content)
    np.testing.assert_array_equal(tensors.read_state_dict(tmp_path / "a.pth")["x"], x.T)


@pytest.mark.parametrize(
    "size, stride",
    [
        ((7,), (1,)),
        ((2, 3), (4, 1)),
        ((6,), (-1,)),
        ((10**12,), (0,)),
        ((2, -3), (3, 1)),
    ],
)
def test_tensors_outside_of_their_storage_are_refused(size, stride, tmp_path):
    x = np.arange(6, dtype=np.float32)
    content = {"x": forge.tensor(x, "0", size=size, stride=stride)}
    forge.write_zip(tmp_path / "a.pth", {"x": x}, content)
    with pytest.raises(ValueError, match="its storage"):
        tensors.read_state_dict(tmp_path / "a.pth")


def harmful(mark):
    """Pickles that would make the file `mark` if they ran, and what is said of each."""
    command = f"touch {mark}"
    posix = forge.Call(forge.Global("posix", "system"), (command,))
    run = forge.Call(forge.OS_SYSTEM, (command,))
    rebuild = forge.Global("torch._utils", "_rebuild_tensor_v2")
    module = forge.Global("torch_utils.persistence", "_reconstruct_persistent_obj")
    return {
        "os.system": {"x": run},
        "builtins.eval": forge.Call(
            forge.Global("builtins", "eval"), (f"open({str(mark)!r}, 'w')",)
        ),
        "alters a function": forge.Build(rebuild, {"_function": run.function.name}),
        "posix.system": forge.Call(module, ({"x": posix},)),
        "torch.load": forge.Call(forge.Global("torch", "load"), ("other.pth",)),
    }


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("write", [*WRITERS, None])
def test_nothing_in_a_file_is_run(case, write, tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "a.pth"
    said, content = list(harmful(mark).items())[case]
    if write is None:
        path.write_bytes(forge.pickled(content))
        read, what = persistence.read, "is not a snapshot of networks: .*"
    else:
        write(path, {}, content)
        read, what = tensors.read_state_dict, "is not a state dict .*"
        said = said if case != 3 else "torch_utils.persistence"
    with pytest.raises(ValueError, match=f"^a.pth {what}({said})"):
        read(path)
    assert not mark.exists()


def test_the_harmful_pickles_would_run_elsewhere(tmp_path):
    content = harmful(tmp_path / "ran")["builtins.eval"]
    pickle.loads(forge.pickled(content)).close()
    assert (tmp_path / "ran").exists()


def test_nothing_in_the_storage_of_a_snapshot_is_run(tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "a.pkl"
    blob = forge.legacy({}, forge.Call(forge.OS_SYSTEM, (f"touch {mark}",)))
    load = forge.Global("torch.storage", "_load_from_bytes")
    path.write_bytes(forge.pickled(forge.Call(load, (blob,))))
    with pytest.raises(ValueError, match="it asks for os.system"):
        persistence.read(path)
    assert not mark.exists()


def test_modules_in_modules_come_back_by_dotted_names(tmp_path):
    inner = forge.module({"weight": ARRAYS["conv.weight"]}, absent=None)
    outer = forge.module({"scale": ARRAYS["half"]}, conv=inner)
    (tmp_path / "a.pkl").write_bytes(forge.pickled({"G": outer}))
    found = persistence.read(tmp_path / "a.pkl")["G"]
    assert found.class_name == "Net" and list(found.arrays) == ["scale", "conv.weight"]
    np.testing.assert_array_equal(found.arrays["scale"], ARRAYS["half"])
    np.testing.assert_array_equal(found.arrays["conv.weight"], ARRAYS["conv.weight"])


def test_arrays_of_objects_are_refused(tmp_path):
    reconstruct = forge.Global("numpy.core.multiarray", "_reconstruct")
    empty = forge.Call(reconstruct, (forge.Global("numpy", "ndarray"), (0,), "b"))
    dtype = forge.Call(forge.Global("numpy", "dtype"), ("O8", False, True))
    array = forge.Build(empty, (1, (1,), dtype, False, "12345678"))
    (tmp_path / "a.pkl").write_bytes(forge.pickled({"x": array}))
    with pytest.raises(ValueError, match="an array of object"):
        persistence.read(tmp_path / "a.pkl")


@pytest.mark.parametrize("write", WRITERS)
def test_damaged_files_are_refused_in_one_line(write, tmp_path):
    write(tmp_path / "whole.pth", ARRAYS)
    whole = (tmp_path / "whole.pth").read_bytes()
    for length in (0, 3, 20, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="^cut.pth is not a state dict.*$"):
            tensors.read_state_dict(tmp_path / "cut.pth")


def test_compressed_members_and_what_is_no_tensor_are_refused(tmp_path):
    forge.write_zip(tmp_path / "a.pth", ARRAYS, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="archive/data.pkl is compressed"):
        tensors.read_state_dict(tmp_path / "a.pth")
    forge.write_zip(tmp_path / "b.pth", {}, {"a": 1, "epoch": 3})
    with pytest.raises(ValueError, match="'a' is a int, no tensor"):
        tensors.read_state_dict(tmp_path / "b.pth")
    with pytest.raises(FileNotFoundError):
        tensors.read_state_dict(tmp_path / "none.pth")


@pytest.mark.parametrize("opcode", [b"r\xff\xff\xff\x7f", b"p99999999\n", b"q\xff"])
def test_a_memo_with_gaps_is_refused(opcode, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x03]" + opcode + b".")
    with pytest.raises(ValueError, match="is none of"):
        persistence.read(tmp_path / "a.pkl")


def test_a_digest_beside_a_file_is_compared(tmp_path):
    path = tmp_path / "a.pth"
    forge.write_zip(path, ARRAYS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "a.pth.sha256").write_text(f"{digest}  a.pth\n")
    assert list(tensors.read_state_dict(path)) == list(ARRAYS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.pth is not .*: its sha256 is .*a\.pth\.sha"
    ):
        tensors.read_state_dict(path)
