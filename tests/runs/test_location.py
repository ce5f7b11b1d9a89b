"""Where a run is: its files here, for reading and for training, and its caches."""

import buckets
import pytest

from afgan_jax import places
from afgan_jax.cli import flags
from afgan_jax.runs import location, mirror
from afgan_jax.runs.bucket import Bucket

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)


def test_a_folder_is_its_own_place(tmp_path):
    found = location.of(tmp_path)
    assert found.folder == tmp_path and str(found) == str(tmp_path)
    assert found.caches == tmp_path / ".cache" and found.is_empty()


def test_the_files_of_a_run_in_a_bucket_are_read_anew_each_time(folder_url):
    bucket = Bucket(folder_url)
    assert not location.of(folder_url).exists()
    for text in (b"{}", b'{"a": {}}'):
        bucket.write("config.json", text)
        found = location.of(folder_url)
        assert (found.folder / "config.json").read_bytes() == text
    bucket.remove(["config.json"])
    bucket.write(".lock", b"")
    assert location.of(folder_url).is_empty()
    assert not (location.of(folder_url).folder / "config.json").exists()


def test_readers_write_in_no_folder_of_a_training(folder_url):
    scratch = location.scratch(Bucket(folder_url))
    assert not location.of(folder_url).folder.is_relative_to(scratch)


def test_caches_keep_their_name_from_one_start_to_the_next(folder_url):
    """Compiled programs are found by the name of their folder as well."""
    bucket = Bucket(folder_url)
    scratch = location.scratch(bucket)
    assert location.of(folder_url).caches == scratch / ".cache"
    assert location.Location(scratch, bucket).caches == scratch / ".cache"
    others = [Bucket(folder_url + end) for end in ("-", "/x", ".")]
    assert len({location.scratch(one) for one in (bucket, *others)}) == 4


def test_without_a_place_for_caches_a_run_has_a_temporary_folder(
    folder_url, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "file"))
    found = location.scratch(Bucket(folder_url))
    assert found.is_relative_to(places.temporary())


def test_a_scratch_folder_is_emptied_but_for_what_is_hidden(tmp_path):
    for name in (".cache/a", "events/a", "stats.jsonl"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    location.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".cache"]


def test_contents_reach_other_processes_as_they_are():
    contents = {"a.json": bytes(range(256)), "b.txt": "ä\n".encode()}
    assert mirror.from_text(mirror.as_text(contents)) == contents


@pytest.mark.parametrize("read", [flags.writable, flags.expanded])
def test_a_place_on_this_machine_is_not_in_a_bucket(read):
    with pytest.raises(ValueError, match="in a bucket; name a place on this machine"):
        read("gs://bucket/x")
    assert flags.workdir("gs://bucket/x") == "gs://bucket/x"
