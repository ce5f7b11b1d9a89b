"""A run that is being trained: locked against others, its files on their way."""

import contextlib
from pathlib import Path

import jax

from afgan_jax import locks, places
from afgan_jax.runs import atomic, broadcast, location, mirror
from afgan_jax.runs.bucket_lock import BucketLock
from afgan_jax.runs.mirror import Mirror


class Held:
    """A run that this process, or the job it belongs to, alone may write.

    `location.folder` is where process 0 writes the small files from now on.
    """

    def __init__(self, place: location.Location, config: str):
        """Gives a run that has no files yet this config.

        Raises ValueError if another process trains the run.
        """
        self.location = place
        self._mirror: Mirror | None = None
        self._lock: BucketLock | None = None
        with contextlib.ExitStack() as stack:
            if place.bucket is None:
                broadcast.from_first(lambda: self._begin_here(stack, config))
            else:
                self._begin_in_bucket(stack, config)
            self._close = stack.pop_all().close

    def check(self) -> None:
        """Raises errors.Stopped if another process has taken the run over."""
        if self._mirror is not None:
            self._lock.check()

    def upload(self) -> None:
        """Copies what changed, in the background; raises as `check`."""
        self.check()
        if self._mirror is not None:
            self._mirror.wake()

    def flush(self) -> None:
        """Copies what changed now; a failure is told. Raises as `check`."""
        self.check()
        if self._mirror is not None:
            self._mirror.flush()

    def close(self) -> None:
        self._close()

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _begin_here(self, stack: contextlib.ExitStack, config: str) -> None:
        folder = self.location.folder
        self._lock_folder(stack, folder)
        if self.location.is_empty():
            atomic.write(folder / "config.json", config)

    def _begin_in_bucket(self, stack: contextlib.ExitStack, config: str) -> None:
        bucket, folder = self.location.bucket, location.scratch(self.location.bucket)
        self._lock = BucketLock(bucket)
        broadcast.from_first(lambda: self._lock_folder(stack, folder))
        while not broadcast.from_first(self._lock.attempt):
            pass
        stack.callback(self._lock.close)

        def begin():
            location.clear(folder)
            self._mirror = Mirror(folder, bucket, self._lock.check)
            self._mirror.pull(mirror.READ, mirror.ADDED_TO)
            if self.location.is_empty():
                atomic.write(folder / "config.json", config)
            self._mirror.push()
            places.tell(f"{bucket}: small files are written in {folder} and uploaded")
            stack.callback(self._mirror.close)

        broadcast.from_first(begin)
        self.location = location.view(
            bucket, lambda: mirror.read(bucket, mirror.READ)[0]
        )
        if jax.process_index() == 0:
            self.location = location.Location(folder, bucket)

    def _lock_folder(self, stack: contextlib.ExitStack, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(locks.Lock(folder / ".lock"))
        except BlockingIOError:
            raise ValueError(
                f"another process is training the run in {self.location}"
            ) from None
