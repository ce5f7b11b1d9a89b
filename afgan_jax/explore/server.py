"""A page on this machine that shows models, for its own user alone.

It listens on the loopback device. A page of another site that the same browser shows
can send requests there, and a name of another site can lead there: so the Host must be
a name of this machine (whatever the port: a tunnel may change it), an Origin must be
the Host, and what says anything needs a token that only the printed URL has, in a
header.
"""

import hmac
import http.server
import json
import secrets
import socketserver
import sys
import urllib.parse
from collections.abc import Mapping
from importlib import resources

from afgan_jax import errors
from afgan_jax.explore import answers

HOST = "127.0.0.1"
NAMES = {"127.0.0.1", "localhost", "::1"}
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/explorer.js": ("explorer.js", "text/javascript; charset=utf-8"),
}
LONGEST = 4000  # characters of a request's path
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'",
}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves models; `url` has the token."""

    daemon_threads = True

    def __init__(
        self,
        shown: answers.Shown,
        port: int = 0,
        token: str | None = None,
    ):
        super().__init__((HOST, port), Handler)
        self.shown, self.token = shown, token or secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/#token={self.token}"

    def handle_error(self, request, client_address) -> None:
        """A browser that goes away while it is answered is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one browser; see the top of this file."""

    protocol_version, server_version, sys_version = "HTTP/1.1", "afgan_jax", ""
    disable_nagle_algorithm = True
    timeout = 600.0  # of a connection that says nothing
    server: Server

    def do_GET(self) -> None:
        if len(self.path) > LONGEST:
            return self._refuse(414, "the address is too long")
        if not self._is_of_this_machine():
            return self._refuse(403, "the Host or Origin is not this machine")
        url = urllib.parse.urlsplit(self.path)
        if url.path in FILES:  # says nothing that is not public
            name, kind = FILES[url.path]
            content = resources.files("afgan_jax.explore").joinpath(name).read_bytes()
            return self._answer(200, content, kind)
        if not self._knows_the_token():
            return self._refuse(
                403, "the token is wrong: open the URL that was printed"
            )
        asked = url.path.removeprefix("/")
        if asked not in answers.ASKED:
            return self._refuse(404, "there is nothing here")
        try:
            query = dict(
                urllib.parse.parse_qsl(url.query, strict_parsing=bool(url.query))
            )
            found = answers.answer(self.server.shown, asked, query)
        except (ValueError, OSError) as error:
            return self._refuse(400, errors.in_one_line(error))
        said = json.dumps(found.said)
        if not found.content:
            return self._answer(200, said.encode(), "application/json")
        kind = "application/octet-stream"
        self._answer(200, found.content, kind, {"X-Said": said})

    def _is_of_this_machine(self) -> bool:
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if _name_of(f"//{host}") not in NAMES:
            return False
        return origin is None or origin == f"http://{host}"

    def _knows_the_token(self) -> bool:
        # Bytes: compare_digest refuses text that is not ASCII.
        said = self.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(said, f"token {self.server.token}".encode())

    def _refuse(self, status: int, why: str) -> None:
        self._answer(status, json.dumps({"error": why}).encode(), "application/json")

    def _answer(
        self, status: int, content: bytes, kind: str, more: Mapping[str, str] = HEADERS
    ) -> None:
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(content))}
        for name, value in (own | HEADERS | dict(more)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Nothing: a line a frame helps nobody."""


def _name_of(address: str) -> str | None:
    try:
        return urllib.parse.urlsplit(address).hostname
    except ValueError:
        return None
