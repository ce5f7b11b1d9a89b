"""Of all processes that would train a run in a bucket, one does."""

import json
import signal
import threading
import time

import buckets
import pytest
from processes import python

from afgan_jax import errors
from afgan_jax.runs import bucket_lock
from afgan_jax.runs.bucket import Bucket
from afgan_jax.runs.bucket_lock import BucketLock

HOLD = """
import sys, time
from afgan_jax.runs import bucket_lock
from afgan_jax.runs.bucket import Bucket
bucket_lock.RENEWAL = 0.2
assert bucket_lock.BucketLock(Bucket(sys.argv[1])).attempt()
print("held", flush=True)
time.sleep(100)
"""


pytestmark = pytest.mark.filterwarnings(buckets.LEFT_OPEN)


@pytest.fixture
def bucket(folder_url, monkeypatch):
    monkeypatch.setattr(bucket_lock, "RENEWAL", 0.2)
    return Bucket(folder_url)


def take(lock: BucketLock) -> BucketLock:
    while not lock.attempt():
        pass
    return lock


def leave(bucket, **changes) -> None:
    """What a process of another machine left that ended without giving it back."""
    now = time.time()
    holder = {"pid": 7, "host": "far", "since": now - 5000, "renewed": now} | changes
    bucket.write(bucket_lock.NAME, json.dumps(holder).encode())


def test_a_lock_goes_from_hand_to_hand(bucket):
    take(BucketLock(bucket)).close()
    assert bucket.names() == []
    take(BucketLock(bucket)).close()


def test_the_second_is_told_who_holds_it(bucket):
    child = python(HOLD, bucket)
    assert child.stdout.readline() == "held\n"
    told = (
        rf"process {child.pid} on [\w.-]+ \(since 20.* UTC\) is training the run in gs"
    )
    with pytest.raises(ValueError, match=told):
        take(BucketLock(bucket))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    take(BucketLock(bucket)).close()  # at once: its process has ended


def test_the_lock_of_a_lost_machine_is_taken_over_when_it_is_old(bucket, monkeypatch):
    monkeypatch.setattr(bucket_lock, "STALE", 1.0)
    for age in (0, 100):
        leave(bucket, renewed=time.time() - age)
        begun = time.monotonic()
        take(BucketLock(bucket)).close()
        assert (time.monotonic() - begun > 0.9) == (age == 0)
    bucket.write(bucket_lock.NAME, b"{damaged")
    take(BucketLock(bucket)).close()


def test_of_two_that_take_it_over_one_does(bucket):
    leave(bucket, renewed=0)
    found, all_read = [], threading.Barrier(2)

    class Raced(Bucket):
        def read(self, name):
            there = super().read(name)
            if len(found) < 2 and there[0] and b"far" in there[0]:
                all_read.wait(20)
            return there

    def attempt():
        found.append(BucketLock(Raced(bucket.url)).attempt())

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(found) == [False, True]


def test_a_holder_that_was_silent_for_too_long_learns_who_has_it(bucket, monkeypatch):
    lock = take(BucketLock(bucket))
    lock.check()
    leave(bucket)
    time.sleep(1)
    with pytest.raises(errors.Stopped, match="process 7 on far .* has taken over"):
        lock.check()
    lock.close()
    assert bucket.names() == [bucket_lock.NAME]  # that of the other process


def test_an_outage_does_not_lose_the_lock(gcs, bucket, monkeypatch):
    monkeypatch.setattr("afgan_jax.runs.bucket.TIMEOUT", 0.5)
    lock = take(BucketLock(bucket))
    with gcs.failing(down=True):
        time.sleep(1.5)
    time.sleep(1.5)
    lock.check()
    lock.close()
    assert bucket.names() == []
