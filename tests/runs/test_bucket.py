"""Objects of a bucket, on a real server, whose network fails at times."""

import buckets
import pytest

from afgan_jax import errors
from afgan_jax.runs import bucket as objects

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)


@pytest.fixture
def bucket(folder_url, monkeypatch):
    monkeypatch.setattr(objects, "TIMEOUT", 3.0)
    return objects.Bucket(folder_url)


def test_objects_are_written_listed_copied_and_removed(bucket):
    assert bucket.check().names() == [] and bucket.read("a") == (None, 0)
    for name in ("b/2", "b/1", "a", "c"):
        bucket.write(name, name.encode())
    assert bucket.names() == ["a", "b/1", "b/2", "c"]
    assert (bucket / "b").names() == ["1", "2"]
    bucket.copy("a", "b/3")
    assert bucket.read("b/3")[0] == b"a"
    bucket.remove(["a", "absent", "b/1"])
    assert bucket.names() == ["b/2", "b/3", "c"]


def test_a_write_that_names_a_version_needs_it(bucket):
    first = bucket.write("x", b"1", 0)
    assert bucket.write("x", b"2", 0) is None and bucket.read("x") == (b"1", first)
    second = bucket.write("x", b"2", first)
    assert bucket.write("x", b"3", first) is None and bucket.read("x") == (b"2", second)


@pytest.mark.parametrize("fault", ["busy", "dropped"])
def test_no_write_is_lost_or_refused_for_a_bad_network(gcs, bucket, fault):
    """A write whose answer is lost is tried again, and then finds itself there."""
    with gcs.failing(**{fault: 0.3}):
        version = 0
        for count in range(12):
            version = bucket.write("x", b"%d" % count, version)
            assert version is not None
            bucket.append("lines", b"%d\n" % count)
    assert bucket.read("x") == (b"11", version)
    assert set(bucket.read("lines")[0].split()) == {b"%d" % i for i in range(12)}


@pytest.mark.parametrize(
    "status, told",
    [
        (401, "no credentials that hold: run gcloud auth application-default login"),
        (403, "give them roles/storage.objectAdmin and roles/storage.legacyBucketRead"),
        (404, "there is no bucket gs://bkt: mend the name, or make it with gcloud"),
    ],
)
def test_a_closed_bucket_is_one_line_with_what_helps(gcs, bucket, status, told):
    actions = bucket.check, bucket.names, lambda: bucket.write("x", b"")
    with gcs.failing(denied=status):
        for action in actions:
            with pytest.raises(objects.Refused, match=told) as refused:
                action()
            assert "\n" not in str(refused.value)


def test_a_bucket_that_does_not_answer_is_no_bad_input(gcs, bucket):
    with gcs.failing(down=True):
        with pytest.raises(errors.Stopped, match="does not answer .*run the same comm"):
            bucket.names()


def test_a_missing_library_is_named(bucket, monkeypatch):
    def missing():
        raise ImportError("no google.cloud")

    monkeypatch.setattr(objects, "_client", missing)
    with pytest.raises(objects.Refused, match=r"pip install 'afgan-jax\[gcs\]'"):
        bucket.check()


@pytest.mark.parametrize(
    "url, told",
    [
        ("s3://b/run", "name one in gs://, or mount it"),
        ("gs://b", "use gs://BUCKET/RUN"),
        ("gs:///run", "use gs://BUCKET/RUN"),
        ("gs://b/../run", "use gs://BUCKET/RUN"),
        ("gs://b//run", "use gs://BUCKET/RUN"),
    ],
)
def test_a_url_of_no_folder_is_refused(url, told):
    with pytest.raises(ValueError, match=told):
        objects.Bucket(url)
