"""Verbs and the API take runs in buckets, and say in one line what is wrong."""

import shutil

import buckets
import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax import __main__
from afgan_jax.runs.bucket import Bucket

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)
SIZES = {"resolution": 16, "num_layers": 4}


@pytest.mark.slow
def test_a_model_in_a_bucket_is_the_one_in_a_folder(folder_url, tmp_path):
    tiny.save_run(tmp_path / "run", "nowhere.zip", **SIZES)
    tiny.save_run(folder_url, "nowhere.zip", **SIZES)
    Bucket(folder_url).write("classes.json", b'{"class_names": ["cat", "dog"]}')
    expected = afgan_jax.load(tmp_path / "run").images([0], label=1)
    for source in (folder_url, f"{folder_url}@3", f"{folder_url}/"):
        model = afgan_jax.load(source)
        np.testing.assert_array_equal(model.images([0], label="dog"), expected)
    with pytest.raises(ValueError, match=r"no checkpoint 4 in gs://.*steps: \[3\]"):
        afgan_jax.load(f"{folder_url}@4")


@pytest.mark.slow
def test_a_run_that_is_copied_out_of_a_bucket_is_a_run(folder_url, tmp_path):
    tiny.save_run(folder_url, "nowhere.zip", **SIZES)
    bucket, copy = Bucket(folder_url), tmp_path / "copy"
    for name in bucket.names():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(bucket.read(name)[0])
    shutil.rmtree(tmp_path / "cache")
    found = [afgan_jax.load(x).images([0], label=0) for x in (copy, folder_url)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    "faults, code, told",
    [
        ({"denied": 404}, 2, "error: there is no bucket gs://bkt: "),
        ({"denied": 401}, 2, "no credentials that hold: run gcloud auth"),
        ({"denied": 403}, 2, "give them roles/storage.objectAdmin and roles/sto"),
        ({"down": True}, 1, "does not answer"),
        ({}, 2, "error: there is no run in gs://bkt/"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_one_line(
    gcs, folder_url, tmp_path, monkeypatch, capsys, faults, code, told
):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.3)
    verbs = {
        "generate": ["--run", folder_url, "--seeds=0", f"--outdir={tmp_path / 'o'}"],
        "train": ["--config=smoke", "--workdir", folder_url],
    }
    for verb, flags in verbs.items():
        if not faults and verb == "train":
            continue
        with gcs.failing(**faults):
            assert __main__.main([verb, *flags]) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and told in line
    assert not (tmp_path / "o").exists()


def test_a_model_file_in_a_bucket_is_a_source(folder_url, tmp_path, capsys):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **SIZES)
    file, url = tmp_path / "a.safetensors", f"{folder_url}/a.safetensors"
    assert __main__.main(["export", str(run), "--to=model", f"--out={file}"]) == 0
    Bucket(folder_url).write("a.safetensors", file.read_bytes())
    model = afgan_jax.load(url)
    assert model.source == url
    expected = afgan_jax.load(run).images([0], label=0)
    np.testing.assert_array_equal(model.images([0], label=0), expected)
    Bucket(folder_url).write("b.safetensors", file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="b.safetensors is no safetensors file, or"):
        afgan_jax.load(f"{folder_url}/b.safetensors")
    with pytest.raises(ValueError, match=f"there is no file {folder_url}/c.pkl"):
        afgan_jax.load(f"{folder_url}/c.pkl")
