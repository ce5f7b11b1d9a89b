"""As much of Hugging Face's server as one model needs, for its own library."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator

REVISION = "0" * 40


class Server(http.server.ThreadingHTTPServer):
    """`files` of one repository by name; requests without TOKEN are refused."""

    token = "hf_secret"

    def __init__(self):
        self.files: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            name = json.loads(body)["name"]
            return self._answer(200, {"url": f"{self.server.url}/somebody/{name}"})
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            kinds = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in files
            ]
            return self._answer(200, {"files": kinds})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.server.files[line["value"]["path"]] = content
        url = f"{self.server.url}/somebody/model/commit/{REVISION}"
        answer = {"success": True, "commitOid": REVISION, "commitUrl": url}
        return self._answer(200, answer)

    def do_GET(self):
        content = self.server.files.get(self.path.rpartition("/")[2])
        if self.path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.server.files]
            about = {"id": "somebody/model", "sha": REVISION, "siblings": siblings}
            return self._answer(200, about | {"private": False, "tags": []})
        if not self.path.startswith("/somebody/model/resolve/") or content is None:
            return self._answer(404, {}, {"X-Error-Code": "RepoNotFound"})
        digest = hashlib.sha256(content).hexdigest()
        return self._answer(
            200, content, {"ETag": f'"{digest}"', "X-Repo-Commit": REVISION}
        )

    do_HEAD = do_GET

    def _answer(self, code: int, content, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass
