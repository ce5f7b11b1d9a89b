"""Views of a model, the pictures of them, and who is answered by the page's server."""

import http.client
import json
import threading
import urllib.parse

import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax import __main__, errors
from afgan_jax import model as models
from afgan_jax.explore import answers, renderer, server, views
from afgan_jax.signal import pixels

R = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Conditional."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    return tiny.save_run(run, "nowhere.zip", resolution=R, num_layers=4)


@pytest.fixture(scope="module")
def model(run):
    return afgan_jax.load(run)


@pytest.fixture(scope="module")
def fixed():
    sizes = {"kind": "stylegan2", "resolution": R, "channel_max": 8}
    return models.untrained(tiny.sections(**sizes, z_dim=8, w_dim=8))


@pytest.fixture(scope="module")
def drawing(model):
    return renderer.Renderer(model)


def view(model, **given):
    return views.of(given, model)


def close(picture, expected):
    np.testing.assert_allclose(picture.astype(int), expected.astype(int), atol=1)


def test_a_place_on_the_lattice_is_a_seed(model, drawing):
    for x, y, seed in ((3, 0, 3), (5, 2, 205), (-1, 0, 2**32 - 1)):
        given = view(model, x=x, y=y, psi=0.5, label=1)
        expected = model.ws([seed], label=1, psi=0.5)
        np.testing.assert_allclose(drawing.ws(given), expected, atol=1e-6)
    between = drawing.ws(view(model, x=3.25, y=0.5, label=0))
    four = np.array(model.ws([3, 4, 103, 104], label=0, psi=0.7))
    weights = np.array([0.375, 0.125, 0.375, 0.125])
    expected = np.einsum("n,nlw->lw", weights, four)
    np.testing.assert_allclose(between[0], expected, atol=1e-6)


def test_some_rows_come_from_another_place(model, drawing):
    given = view(model, x=3, mix="3-4", mix_x="8", mix_y=0, label=0)
    here, there = np.array(model.ws([3, 8], label=0, psi=0.7))
    found = drawing.ws(given)[0]
    np.testing.assert_allclose(found[3:5], there[3:5], atol=1e-6)
    np.testing.assert_allclose(found[[0, 1, 2, 5]], here[[0, 1, 2, 5]], atol=1e-6)


def test_the_picture_is_the_models_image_moved(model, drawing):
    given = view(model, x=3, label=1, rotate=30, tx=0.1, ty="-0.2", zoom=1.5, psi=1)
    motion = {"rotate": np.pi / 6, "translate": (0.1, -0.2), "zoom": 1.5}
    close(drawing.draw(given), model.images([3], label=1, **motion)[0])
    off = view(model, x=3, label=1, filters="off", psi=1)
    plain = model.without_filters().images([3], label=1)[0]
    close(drawing.draw(off), plain)
    both = drawing.draw(view(model, x=3, label=1, filters="both", psi=1))
    assert both.shape == (R, 2 * R + 2, 3)
    close(both[:, R + 2 :], plain)


def test_a_motion_is_undone_but_for_its_error(model, drawing):
    still = drawing.draw(view(model, x=3, label=1))
    moved = {"x": 3, "label": 1, "tx": 0.25, "ty": -0.125}
    undone = drawing.draw(view(model, **moved, untransform="true"))
    inside = np.s_[2:, : R - 4]  # what did not move out of the picture
    away = np.abs(drawing.draw(view(model, **moved)).astype(int) - still)[inside]
    left = np.abs(undone.astype(int) - still)[inside]
    assert left.mean() < 0.2 * away.mean()
    turned = drawing.draw(view(model, x=3, label=1, rotate=90, untransform=True))
    left = np.abs(turned.astype(int) - still)
    assert left.shape == still.shape


def test_maps_of_a_layer_fill_their_range_as_pictures(model, drawing):
    row = next(row for row in model.layers if row["name"].startswith("L1"))
    colours = drawing.draw(view(model, label=0, layer=row["name"]))
    assert colours.shape == (*row["size"], 3)
    assert max(255 - colours.min(), colours.max()) >= 254 and np.ptp(colours) > 50
    grey = drawing.draw(view(model, label=0, layer=row["name"], channel=1))
    assert (grey[..., 0] == grey[..., 2]).all() and (grey != colours).any()
    assert drawing.draw(view(model, label=0, layer="input")).shape[2] == 3


def test_a_wave_is_two_points_of_the_spectrum():
    x = np.arange(32)
    wave = np.cos(2 * np.pi * 4 * x / 32) + 0.001 * np.cos(2 * np.pi * 12 * x / 32)
    values = np.broadcast_to(wave[None, :, None], (32, 32, 3))
    found = renderer._spectrum(values, 0.0)[..., 0]
    assert found[16, 12] == found[16, 20] == 255
    assert found[16, 28] == round(255 * (1 - 60 / 80))  # a thousandth: -60 dB
    others = np.delete(found[16], [4, 12, 20, 28])
    assert not others.any() and not np.delete(found, 16, axis=0).any()
    wide = renderer._spectrum(values, 8.0)[16, :, 0]
    assert (wide[11:14] > 200).all() and wide[16] < 128  # a window: wide, without leaks


@pytest.mark.slow
def test_what_cannot_move_is_drawn_and_not_moved(fixed):
    drawing = renderer.Renderer(fixed)
    close(drawing.draw(view(fixed, x=2, psi=1)), fixed.images([2])[0])
    maps = drawing.draw(view(fixed, layer="b8/conv0"))
    assert maps.shape == (8, 8, 3)
    about = renderer.Renderer(fixed).about()
    assert about["can_move"] is False and "input" not in about["layers"]
    for given in ({"rotate": 1}, {"filters": "off"}):
        with pytest.raises(errors.SettingError, match="cannot be: StyleGAN2"):
            view(fixed, **given)


@pytest.mark.slow
def test_other_channels_are_shown_as_colours():
    for channels in (1, 4):
        sections = tiny.sections(
            resolution=R, num_layers=4, channel_max=8, img_channels=channels
        )
        model = models.untrained(sections)
        picture = renderer.Renderer(model).draw(view(model, psi=1))
        image = pixels.to_uint8(model.synthesize(model.ws([0])))[0]
        expected = np.repeat(image, 3, axis=2) if channels == 1 else image[..., :3]
        close(picture, expected)


@pytest.mark.parametrize(
    "given, why",
    [
        ({"speed": 1}, "speed=1 is unknown: use x, y, psi"),
        ({"psi": "a"}, "psi='a' must be a number from -4 to 4"),
        ({"rotate": "nan"}, "rotate='nan' must be a number"),
        ({"zoom": 0}, "zoom=0 must be a number from 0.05"),
        ({"x": 1e9}, "must be a number from"),
        ({"label": 2}, "label=2 must be a number from 0 to 1"),
        ({"cutoff": 99}, "must be a number from 0 to 6"),
        ({"layer": "L9"}, "layer='L9' must be one of input, L0"),
        ({"kind": "sound"}, "kind='sound' must be one of image, spectrum"),
        ({"filters": "none"}, "must be one of on, off, both"),
        ({"untransform": "maybe"}, "must be one of true, false"),
        ({"mix": "7"}, "is unknown"),
    ],
)
def test_what_no_view_can_be_is_refused(model, given, why):
    with pytest.raises(errors.SettingError, match=why):
        views.of(given, model)


@pytest.fixture(scope="module")
def served(drawing, fixed):
    kinds = {"moving": drawing, "../fixed": renderer.Renderer(fixed)}
    with server.Server(answers.Shown(kinds, kinds.__getitem__)) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()


def get(served, path, host="127.0.0.1", token=None, **headers):
    """(status, headers, content) of a request; token: None for the right one."""
    said = f"token {served.token if token is None else token}"
    headers = {"Host": f"{host}:{served.server_port}", "Authorization": said} | headers
    connection = http.client.HTTPConnection("127.0.0.1", served.server_port, timeout=60)
    try:
        connection.putrequest("GET", path, skip_host=True)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


FRAME = "/frame?model=moving&seq=7&x=3&label=1&psi=1"


def test_a_frame_is_the_picture_and_what_is_said_of_it(served, model):
    status, headers, content = get(served, FRAME)
    assert status == 200
    said = json.loads(headers["X-Said"])
    assert (said["seq"], said["w"], said["h"]) == (7, R, R) and said["ms"] > 0
    picture = np.frombuffer(content, np.uint8).reshape(R, R, 3)
    close(picture, model.images([3], label=1)[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_names_of_this_machine_are_answered_at_any_port(served, host):
    """A tunnel may have another."""
    headers = {"Host": f"{host}:9999", "Origin": f"http://{host}:9999"}
    assert get(served, FRAME, **headers)[0] == 200


@pytest.mark.parametrize(
    "options",
    [
        {"host": "evil.example"},  # a name that leads here
        {"host": "127.0.0.1.evil.example"},
        {"host": "evil.example@127.0.0.1.x"},
        {"Host": ""},
        {"Host": None},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},  # another page of the same browser
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"token": ""},
        {"token": "wrong"},
        {"token": "wröng".encode().decode("latin-1")},
        {"Authorization": None},
    ],
)
def test_nobody_else_is_answered(served, options):
    for path in (FRAME, "/models", "/about?model=moving", "/nowhere"):
        status, headers, content = get(served, path, **options)
        assert status == 403
        assert set(json.loads(content)) == {"error"}
        assert "Access-Control-Allow-Origin" not in headers


def test_a_foreign_host_gets_not_even_the_page(served):
    assert get(served, "/", host="evil.example")[0] == 403
    status, headers, content = get(served, "/", Authorization=None)
    assert status == 200 and b"explorer.js" in content
    assert served.token.encode() not in content
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    kind = get(served, "/explorer.js", Authorization=None)[1]["Content-Type"]
    assert kind.startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/../server.py", "/server.py", "/%2e%2e/page.html", "//etc/passwd", "/page.html"],
)
def test_no_other_file_is_there(served, path):
    assert get(served, path)[0] == 404


@pytest.mark.parametrize(
    "query, why",
    [
        ("model=moving&psi=x", "psi='x' must be a number"),
        ("model=other", "model='other' is unknown: use one of moving, ../fixed"),
        ("", "model='' is unknown"),
        ("model=moving&seq=-1", "seq='-1' must be a whole number"),
        ("model=moving&a", "bad query field"),
        ("model=..%2Ffixed&rotate=3", "StyleGAN2 stays"),
    ],
)
def test_a_bad_request_is_told_in_a_line(served, query, why):
    status, _, content = get(served, f"/frame?{query}")
    assert status == 400 and why in json.loads(content)["error"]
    assert get(served, "/frame?" + "x" * 5000)[0] == 414


def test_models_are_listed_and_described(served, model):
    assert json.loads(get(served, "/models")[2]) == {"models": ["moving", "../fixed"]}
    about = json.loads(get(served, "/about?model=moving")[2])
    assert about["classes"] == ["0", "1"] and about["size"] == [R, R]
    assert about["layers"] == ["input", *(row["name"] for row in model.layers)]
    assert about["rows"] == about["layers"]


def test_the_token_is_in_the_part_of_the_url_that_is_not_sent(served):
    url = urllib.parse.urlsplit(served.url)
    assert url.hostname == "127.0.0.1" and url.path == "/" and not url.query
    assert url.fragment == f"token={served.token}" and len(served.token) >= 32


def test_view_needs_a_model(run, capsys):
    for command, why in (
        (["view"], "name a run, a model file or a snapshot"),
        (["view", "nowhere"], "nowhere"),
        (["view", str(run), "--port=0"], "--port=0 must be a whole number from 1"),
    ):
        assert __main__.main(command) == 2
        assert why in capsys.readouterr().err.splitlines()[-1]
