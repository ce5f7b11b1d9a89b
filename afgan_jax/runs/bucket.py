"""Objects of a bucket whose names begin alike, such as the files of a run.

Orbax writes arrays to gs:// alone, so this is Google Cloud Storage, by its own library:
it lists without a cache, and writes only if an object is still as it was. A URL is
gs://BUCKET/FOLDER. Every object is whole or not there; a write replaces all of it.
"""

import functools
from collections.abc import Sequence
from typing import Any

from afgan_jax import errors

TIMEOUT = 60.0  # seconds for a request, and for trying it again
INSTALL = "pip install 'afgan-jax[gcs]' (or gcsfs)"
ROLES = "roles/storage.objectAdmin and roles/storage.legacyBucketReader"
LOGIN = (
    "run gcloud auth application-default login, or give the machine a service account"
)


class Refused(ValueError):
    """A bucket that is not there, or not open to this user."""


class Bucket:
    """The objects in a folder of a bucket; names are relative to it.

    All methods raise Refused for a bucket that is not there or not open to this user,
    and errors.Stopped if it does not answer.
    """

    def __init__(self, url: str):
        """Raises ValueError for what is no URL of a folder in gs://."""
        scheme, _, rest = url.partition("://")
        self.name, *parts = rest.rstrip("/").split("/")
        if scheme != "gs":
            raise ValueError(
                f"{url} is not a folder on this machine, nor in a bucket in which"
                " checkpoints can be: name one in gs://, or mount it"
            )
        if not self.name or not parts or not {"", ".", ".."}.isdisjoint(parts):
            raise ValueError(f"{url} names no folder in a bucket: use gs://BUCKET/RUN")
        self._folder = "/".join(parts)
        self.url = f"gs://{self.name}/{self._folder}"

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "Bucket":
        """The folder of this name inside."""
        return Bucket(f"{self.url}/{name}")

    def check(self) -> "Bucket":
        """Itself; raises if the bucket is not there or cannot be read."""
        self._asked(lambda: self._client().get_bucket(self.name, **_patience()))
        return self

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with prefix, in order."""
        start = f"{self._folder}/{prefix}"

        def found():
            listed = self._client().list_blobs(self.name, prefix=start, **_patience())
            return [blob.name.removeprefix(f"{self._folder}/") for blob in listed]

        return self._asked(found)

    def read(self, name: str) -> tuple[bytes | None, int]:
        """(the content, its version); (None, 0) if there is no such object."""
        from google.api_core import exceptions

        blob = self._blob(name)

        def found():
            try:
                return blob.download_as_bytes(**_patience()), blob.generation
            except exceptions.NotFound:
                return None, 0

        return self._asked(found)

    def write(self, name: str, data: bytes, version: int | None = None) -> int | None:
        """Writes the object; its version.

        version: write only if it has this one (0: if there is none); None otherwise.
        """
        from google.api_core import exceptions

        blob = self._blob(name)

        def written():
            blob.upload_from_string(data, if_generation_match=version, **_patience())
            return blob.generation

        def attempt():
            try:
                return written()
            except exceptions.PreconditionFailed:
                return None

        found = self._asked(attempt)
        if found is None:  # the answer to an earlier try may have been lost
            there, found = self.read(name)
            return found if there == data else None
        return found

    def append(self, name: str, data: bytes) -> None:
        """Writes the object as it is then, with this at its end."""
        while True:
            there, version = self.read(name)
            if self.write(name, (there or b"") + data, version) is not None:
                return

    def remove(self, names: Sequence[str], version: int | None = None) -> None:
        """Removes these objects, in this order, if they are there (in that version)."""
        from google.api_core import exceptions

        def gone(name):
            try:
                self._blob(name).delete(if_generation_match=version, **_patience())
            except (exceptions.NotFound, exceptions.PreconditionFailed):
                pass

        for name in names:
            self._asked(functools.partial(gone, name))

    def copy(self, name: str, target: str) -> None:
        """Copies an object inside the bucket."""
        source, to = self._blob(name), self._blob(target)

        def copied():
            token, _, _ = to.rewrite(source, **_patience())
            while token is not None:
                token, _, _ = to.rewrite(source, token=token, **_patience())

        self._asked(copied)

    def _blob(self, name: str):
        return self._client().bucket(self.name).blob(f"{self._folder}/{name}")

    def _client(self):
        return self._asked(_client)

    def _asked(self, action) -> Any:
        """action(), whose errors say what helps."""
        try:
            return action()
        except (Refused, errors.Stopped):
            raise
        except Exception as error:  # of four libraries
            raise explained(self.url, error) from error


def read_file(url: str) -> bytes:
    """The content of gs://BUCKET/FOLDER/FILE; Refused if there is none."""
    folder, _, name = url.rpartition("/")
    data, _ = Bucket(folder).check().read(name)
    if data is None:
        raise Refused(f"there is no file {url}")
    return data


def explained(url: str, error: Exception) -> Refused | errors.Stopped:
    """What an error of the libraries of buckets means, in a line with what helps."""
    name = url.split("/")[2]
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ImportError):
        return Refused(f"{url} needs a library that is not installed: {INSTALL}")
    if kinds & {"GoogleAuthError", "Unauthorized"}:
        return Refused(f"{url}: there are no credentials that hold: {LOGIN}")
    if "Forbidden" in kinds:
        return Refused(
            f"{url}: these credentials do not suffice: give them {ROLES} on gs://{name}"
        )
    if "NotFound" in kinds:
        return Refused(
            f"there is no bucket gs://{name}: mend the name, or make it with gcloud"
            f" storage buckets create gs://{name}"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return errors.Stopped(
        f"{url} does not answer ({reason}): run the same command again"
    )


def _patience() -> dict[str, Any]:
    from google.cloud.storage import retry

    again = retry.DEFAULT_RETRY.with_timeout(TIMEOUT).with_delay(0.2, 10, 2)
    return {"timeout": TIMEOUT, "retry": again}


@functools.cache
def _client():
    import gcsfs  # noqa: F401  Orbax needs it
    from google.cloud import storage

    return storage.Client()
