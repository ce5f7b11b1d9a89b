"""Small files are written in a folder and reach the bucket, be the network bad."""

import json
import time

import buckets
import pytest

from afgan_jax.runs import json_lines, mirror
from afgan_jax.runs.bucket import Bucket
from afgan_jax.runs.mirror import Mirror

pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)


@pytest.fixture
def pair(folder_url, tmp_path):
    folder = tmp_path / "scratch"
    (folder / ".cache").mkdir(parents=True)
    (folder / ".cache" / "program").write_text("local")
    return Mirror(folder, Bucket(folder_url))


def texts(bucket) -> dict[str, bytes]:
    return {name: bucket.read(name)[0] for name in bucket.names()}


class Recorded(Bucket):
    written: list[str] = []

    def write(self, name, *arguments):
        self.written.append(name)
        return super().write(name, *arguments)


def test_what_changed_is_copied_and_nothing_hidden(pair):
    pair.bucket = Recorded(pair.bucket.url)
    (pair.folder / "events").mkdir()
    for name in ("config.json", "stats.jsonl", "events/x", "fakes.png", ".x.tmp"):
        (pair.folder / name).write_text(name)
    pair.push()
    visible = {"config.json", "stats.jsonl", "events/x", "fakes.png"}
    assert texts(pair.bucket) == {name: name.encode() for name in visible}
    pair.push()
    assert len(Recorded.written) == 4
    with (pair.folder / "stats.jsonl").open("a") as file:
        file.write("more")
    (pair.folder / "fakes.png").unlink()
    pair.push()
    assert Recorded.written[4:] == ["stats.jsonl"]
    assert texts(pair.bucket)["stats.jsonl"] == b"stats.jsonlmore"
    assert "fakes.png" not in pair.bucket.names()


def test_a_folder_gets_what_a_run_is_read_from_and_keeps_nothing_else_of_it(pair):
    for name in ("config.json", "checkpoints/best.json", "transfer.txt", "s.jsonl"):
        pair.bucket.write(name, b"new")
    for name in ("a.png", "checkpoints/3/checksums/x.json", "profile/x.json", ".lock"):
        pair.bucket.write(name, b"other")
    (pair.folder / "old.json").write_text("of an earlier life")
    pair.pull(mirror.READ)
    found = {p.name: p.read_text() for p in pair.folder.rglob("*") if p.is_file()}
    new = dict.fromkeys(("config.json", "best.json", "transfer.txt"), "new")
    assert found == new | {"program": "local"}


def test_failures_are_told_once_and_tried_again(gcs, pair, monkeypatch, caplog):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.2)
    monkeypatch.setattr(mirror, "PAUSE", 0.1)
    with gcs.failing(down=True):
        for count in range(3):
            (pair.folder / "stats.jsonl").write_text(str(count))
            pair.wake()
            time.sleep(0.5)
    end = time.monotonic() + 20
    while "uploaded to" not in caplog.text and time.monotonic() < end:
        time.sleep(0.05)
    assert texts(pair.bucket) == {"stats.jsonl": b"2"}
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("files cannot be uploaded, trying on: gs://bkt/")
    assert second == f"files are uploaded to {pair.bucket} again"
    pair.close()


def test_what_cannot_be_uploaded_in_the_end_is_told(gcs, pair, monkeypatch, caplog):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.2)
    (pair.folder / "stats.jsonl").write_text("x")
    with gcs.failing(down=True):
        pair.close()
    assert f"{pair.folder} has files that {pair.bucket} lacks" in caplog.text


def test_metrics_of_two_processes_are_all_there(pair):
    def line(name):
        return json_lines.encoded({"results": {name: 1.0}})

    file = pair.folder / "metric-fid.jsonl"
    for count in range(4):
        with file.open("ab") as opened:
            opened.write(line(f"trainer {count}"))
        pair.push()
        pair.bucket.append(file.name, line(f"reader {count}"))
    pair.pull(mirror.ADDED_TO)
    lines = [json.loads(x)["results"] for x in file.read_text().splitlines()]
    names = {f"{who} {n}" for who in ("trainer", "reader") for n in range(4)}
    assert len(lines) == 8 and {name for one in lines for name in one} == names
