"""Rows of ws by name, mixing, directions, and images beyond the frame."""

import numpy as np
import pytest
import tiny

import afgan_jax
from afgan_jax import __main__, errors
from afgan_jax import model as models
from afgan_jax.edit import directions, mixing, mosaic, rows, w_files

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
def stylegan2():
    sizes = {"kind": "stylegan2", "resolution": 16, "channel_max": 8}
    return models.untrained(tiny.sections(**sizes, z_dim=8, w_dim=8))


def test_rows_are_named_by_what_they_feed(model, stylegan2):
    layers = [row["name"] for row in model.layers]
    assert rows.names(model) == ("input", *layers)
    fed = stylegan2.network.synthesis.layers_of_ws
    assert fed == (
        ("b4/conv1",),
        ("b8/conv0", "b4/torgb"),
        ("b8/conv1",),
        ("b16/conv0", "b8/torgb"),
        ("b16/conv1",),
        ("b16/torgb",),
    )
    assert len(fed) == stylegan2.num_ws and len(layers) + 1 == model.num_ws


def test_each_row_moves_only_the_layers_it_feeds(stylegan2):
    ws = np.array(stylegan2.ws([0]))
    images = stylegan2.synthesize(ws)
    for row in range(stylegan2.num_ws):
        other = ws.copy()
        other[:, row] += 1
        assert np.abs(stylegan2.synthesize(other) - images).max() > 1e-4, row


@pytest.mark.parametrize(
    "text, expected",
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("0", [0]),
        ("4,1-2", [1, 2, 4]),
        ("L1-L2,input", [0, 2, 3]),
        ("L4_16_3", [5]),
        ([1, 3], [1, 3]),
    ],
)
def test_rows_are_chosen_by_number_or_name(model, text, expected):
    assert rows.chosen(model, text) == expected


@pytest.mark.parametrize(
    "text, why",
    [
        ("L9", "at 'L9', which is unknown: use 0 to 5, or input, L0"),
        ("L", "at 'L', which is unknown"),
        ("6", "is unknown"),
        ("", "at '', which is unknown"),
        ("3-1", "falls at '3-1'"),
    ],
)
def test_rows_that_are_not_there_are_refused(model, text, why):
    with pytest.raises(errors.SettingError, match=why):
        rows.chosen(model, text)


def test_a_beginning_of_several_names_is_refused(stylegan2):
    assert rows.chosen(stylegan2, "b8/conv0-b16/conv0") == [1, 2, 3]
    with pytest.raises(errors.SettingError, match="at 'b8', which is several"):
        rows.chosen(stylegan2, "b8")


def test_mixed_ws_have_some_rows_of_the_fine(model):
    coarse, fine = (np.array(model.ws(s, label=0)) for s in ([0, 1], [2, 3, 4]))
    found = mixing.mixed(coarse, fine, [3, 4])
    assert found.shape == (2, 3, *coarse.shape[1:])
    np.testing.assert_array_equal(found[1, 2, :3], coarse[1, :3])
    np.testing.assert_array_equal(found[1, 2, 3:5], fine[2, 3:5])
    np.testing.assert_array_equal(found[1, 2, 5:], coarse[1, 5:])
    table = mixing.table(model, coarse, fine, [3, 4], squares=True)
    assert table.shape == (3 * 128, 4 * 128, 3) and (table[:128, :128] == 255).all()
    for (y, x), ws in (
        ((0, 2), fine[1]),
        ((2, 0), coarse[1]),
        ((2, 3), found[1, 2]),
    ):
        shown = table[128 * y :, 128 * x :][:128:8, :128:8].astype(int)
        assert np.abs(shown - model.images(ws=ws[None])[0]).max() <= 1  # rounding


def test_principal_components_are_those_of_w(model):
    found = directions.find(model, "pca", count=20, label=0)
    assert len(found.vectors) == model.w_dim and found.rows == (1, 2, 3, 4, 5)
    z = np.random.RandomState(0).randn(directions.SAMPLES, model.z_dim)
    w = np.array(model.ws(z=np.float32(z), label=0)[:, 0], float)
    deviations = np.linalg.svd(w - w.mean(0), compute_uv=False) / len(w) ** 0.5
    lengths = np.linalg.norm(found.vectors, axis=1)
    np.testing.assert_allclose(lengths, deviations, rtol=1e-3)
    np.testing.assert_allclose(
        found.strengths, deviations**2 / sum(deviations**2), 1e-3
    )
    along = (w - w.mean(0)) @ (found.vectors / lengths[:, None] ** 2).T
    np.testing.assert_allclose(along.std(axis=0), 1, rtol=1e-3)


@pytest.mark.parametrize("kind", ["alias_free", "stylegan2"])
def test_factors_change_the_styles_most(kind, model, stylegan2):
    model = {"alias_free": model, "stylegan2": stylegan2}[kind]
    first = model.network.synthesis.input_ws
    fed = model.network.synthesis.layers_of_ws[first : first + 2]
    label = 0 if model.c_dim else None
    found = directions.find(
        model, "sefa", count=8, rows=[first, first + 1], label=label
    )
    weights = []
    for name in (name for names in fed for name in names):
        leaf = model.variables["params"]["synthesis"]
        for part in name.split("/"):
            leaf = leaf[part]
        weight = np.array(leaf["affine"]["weight"], float)
        weights.append(weight / np.linalg.norm(weight, axis=0))
    A = np.concatenate(weights, axis=1)
    units = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    changes = np.linalg.norm(units @ A, axis=1)
    singular = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(changes, singular, rtol=1e-3)
    np.testing.assert_allclose(found.strengths, singular**2 / A.shape[1], rtol=1e-3)


def test_directions_push_their_rows_by_number_or_name(model):
    found = directions.find(model, "pca", rows=[2, 3], names=["sea"], label=0)
    assert found.names[:3] == ("sea", "pca1", "pca2")
    ws = np.array(model.ws([0, 1], label=0))
    moved = found.pushed(ws, {"sea": 2.0, 1: -1.0}) - ws
    expected = 2 * found.vectors[0] - found.vectors[1]
    np.testing.assert_allclose(
        moved[:, 2:4], np.broadcast_to(expected, (2, 2, 8)), atol=1e-6
    )
    assert not moved[:, [0, 1, 4, 5]].any()
    with pytest.raises(
        errors.SettingError, match="is unknown: use 0 to 7, or sea, pca1"
    ):
        found.number("land")


def test_a_file_of_directions_is_them(model, stylegan2, tmp_path):
    found = directions.find(model, "pca", count=3, names=["sea"], label=0)
    np.savez(tmp_path / "d.npz", **found.arrays)
    again = directions.read(tmp_path / "d.npz", model)
    assert (again.names, again.rows) == (found.names, found.rows)
    np.testing.assert_array_equal(again.vectors, found.vectors)
    np.savez(tmp_path / "e.npz", **found.arrays | {"vectors": np.zeros((3, 9))})
    with pytest.raises(ValueError, match="w has 8 numbers in this model"):
        directions.read(tmp_path / "e.npz", model)
    np.savez(tmp_path / "e.npz", **found.arrays | {"rows": np.array([6])})
    with pytest.raises(ValueError, match="ws have 6 rows"):
        directions.read(tmp_path / "e.npz", model)


@pytest.fixture(scope="module")
def wide():
    """Untrained R with the published margin, of high EQ-T, at a visible contrast."""
    sizes = {"resolution": 32, "num_layers": 6, "conv_kernel": 1, "radial": True}
    sections = tiny.sections(
        **sizes, channel_max=16, z_dim=8, w_dim=8, output_scale=1.0
    )
    return models.untrained(sections)


def test_tiles_continue_the_canvas(wide):
    """A tile is the image moved by a canvas; half a canvas shows that seams fit."""
    ws = np.array(wide.ws([0, 1]))
    found = mosaic.images(wide, ws, (1, 3)).astype(int)
    assert found.shape == (2, 32, 96, 3)
    assert np.abs(found[:, :, 32:64] - wide.images(ws=ws)).max() <= 1
    for shift, left in ((-0.5, 48), (0.5, 16), (-1.0, 64), (1.0, 0)):
        shown = found[:, :, left : left + 32]
        moved = wide.images(ws=ws, translate=(shift, 0.0)).astype(int)
        assert np.abs(shown - moved).max() <= 3, shift
        assert np.abs(shown - found[:, :, 32:64]).mean() > 10, shift
    both = mosaic.images(wide, ws, (3, 1), rotate=np.pi / 2).astype(int)
    turned = np.rot90(found, axes=(1, 2))
    assert np.abs(both - turned).max() <= 3


@pytest.mark.parametrize(
    "settings, why",
    [
        ({"kind": "stylegan2", "channel_max": 8}, "input cannot be moved"),
        ({"margin": 0, "num_layers": 4, "channel_max": 8}, "no margin"),
        ({"lowpass": "none", "num_layers": 4, "channel_max": 8}, "tiles do not fit"),
    ],
)
def test_what_ends_at_the_frame_is_refused(settings, why):
    sections = tiny.sections(resolution=16, z_dim=8, w_dim=8, **settings)
    model = models.untrained(sections)
    with pytest.raises(errors.SettingError, match=f"tiles='2x2' cannot be: .*{why}"):
        mosaic.images(model, np.zeros((1, model.num_ws, 8), np.float32), (2, 2))


@pytest.mark.slow
def test_verbs_give_their_ws_to_each_other(run, model, tmp_path, capsys):
    def done(*command):
        assert __main__.main([*command, f"--run={run}", "--class=1"]) == 0

    out = tmp_path / "out"
    done("mix", "--rows=0-1", "--columns=2", "--layers=L2-L4", f"--outdir={out}")
    said = capsys.readouterr().out
    assert "of --columns: L2" in said and (out / "mix.png").exists()
    ws = w_files.read(out / "mix.npz", model)
    expected = mixing.mixed(
        *(np.array(model.ws(s, label=1)) for s in ([0, 1], [2])), [3, 4, 5]
    )
    np.testing.assert_allclose(ws, expected[:, 0], atol=1e-6)
    done("directions", "--method=pca", "--names=sea", "--count=2", f"--outdir={out}")
    assert "sea: " in capsys.readouterr().out and (out / "directions.png").exists()
    pushed = [f"--directions={out / 'directions.npz'}", "--push=sea=2,1=-1"]
    flags = ["generate", f"--run={run}", f"--ws={out / 'mix.npz'}", f"--outdir={out}"]
    assert __main__.main([*flags, *pushed, "--zoom=1.5", "--translate=0.1,0"]) == 0
    moved = w_files.read(out / "ws.npz", model)
    along = directions.read(out / "directions.npz", model)
    np.testing.assert_allclose(moved, along.pushed(ws, {0: 2, 1: -1}), atol=1e-6)
    assert {"w0000.png", "w0001.png", "grid.png"} <= {p.name for p in out.iterdir()}
    again = [*flags[:2], f"--ws={out / 'ws.npz'}", flags[3], *pushed]
    assert __main__.main(again) == 2  # and does not push twice
    assert "ws.npz would be replaced" in capsys.readouterr().err
    film = ["video", f"--run={run}", f"--ws={out / 'mix.npz'}", "--fps=4", *pushed]
    film += [f"--out={out / 'a.webp'}", f"--frames={out / 'frames'}", "--turns=1"]
    assert __main__.main(film) == 0
    assert "wrote 16 frames, 4 s" in capsys.readouterr().out
    assert len(list((out / "frames").iterdir())) == 16


@pytest.mark.parametrize(
    "command, why",
    [
        (["generate", "--push=sea=1"], "--push goes along --directions=FILE"),
        (["generate", "--push=sea"], "--push=sea must be NAME=NUMBER"),
        (["generate", "--tiles=2"], "--tiles=2 must be ROWSxCOLUMNS"),
        (["generate", "--ws=no.npz"], "no.npz: No such file"),
        (["mix", "--layers=L9"], "--layers=L9 at 'L9', which is unknown"),
        (
            ["directions", "--method=ica"],
            "--method=ica is unknown: use one of sefa, pca",
        ),
        (["video", "--ws=a.npz", "--seeds=1"], "--seeds does not go with --ws"),
        (
            ["video", "--track=a.yaml", "--no-loop"],
            "--no-loop does not go with --track",
        ),
        (["generate", "--ws=a.npz", "--psi=0.5"], "--psi does not go with --ws"),
        (["directions", "--names=1,0"], "--names=1,0 must be other than numbers"),
        (["directions", "--names=a,a"], "and different from each other"),
        (["video", "--out=a.avi"], "a.avi is no video's name: it must end in .mp4"),
        (["video", "--fps=300", "--out=a.webp"], "--fps=300.0 must be above 0 and at"),
        (["video", "--walk=run"], "--walk=run must be one of spline"),
        (["video", "--track=no.yaml"], "no.yaml: No such file"),
    ],
)
def test_what_verbs_cannot_do_is_one_line(
    run, tmp_path, monkeypatch, capsys, command, why
):
    monkeypatch.chdir(tmp_path)
    is_labelled = not any(word.startswith(("--ws", "--track")) for word in command)
    labelled = ["--class=0"] if is_labelled else []
    assert __main__.main([*command, f"--run={run}", *labelled]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and why in line
    assert not list(tmp_path.rglob("*.*"))
