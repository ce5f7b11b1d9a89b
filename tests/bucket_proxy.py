"""A proxy before the server of buckets, which fails as networks and servers do.

Run as a script: PORT BACKEND. PUT /faults sets a JSON object of what happens to the
requests that follow:
  busy     the share that gets 503 instead of being passed on
  dropped  the share whose connection ends instead of an answer, after it was done
  down     true: connections end before anything is done
  denied   a status such as 403 for all
  held     seconds before an answer to a request that writes
"""

import http.client
import json
import random
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

faults = {}
draws = random.Random(0)
uploaded = {}  # answers to uploads that are done, which the server forgets


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True  # an answer is one packet, at once

    def answer(self):
        body = self.body()
        if self.path == "/faults":
            faults.clear()
            faults.update(json.loads(body))
            return self.reply(200, b"{}")
        if faults.get("down"):
            return self.drop()
        if faults.get("denied"):
            return self.reply(faults["denied"], b"{}")
        if draws.random() < faults.get("busy", 0):
            return self.reply(503, b"{}")
        status, headers, content = self.passed_on(body)
        if self.command != "GET":
            time.sleep(faults.get("held", 0))
        if draws.random() < faults.get("dropped", 0):
            return self.drop()
        self.reply(status, content, headers)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def passed_on(self, body: bytes) -> tuple:
        backend = http.client.HTTPConnection(sys.argv[2])
        headers = dict(self.headers.items())
        headers.pop("Transfer-Encoding", None)
        backend.request(self.command, self.path, body, headers)
        found = backend.getresponse()
        content = found.read()
        backend.close()
        answer = found.status, found.getheaders(), content
        upload = parse_qs(urlsplit(self.path).query).get("upload_id", [None])[0]
        if upload is None:
            return answer
        if found.status == 200:
            uploaded[upload] = answer
        return uploaded.get(upload, answer)

    def reply(self, status: int, content: bytes, headers=()) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def drop(self) -> None:
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_) -> None:
        """Clients are killed."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
