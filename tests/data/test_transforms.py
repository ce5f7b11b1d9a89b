"""Images of every mode to 8-bit grey or RGB, and of every shape to squares."""

import numpy as np
import pytest
from data.images import noise
from PIL import Image

from afgan_jax.data import sources, transforms


def shown(image, channels, background="white"):
    return np.asarray(transforms.to_eight_bits(image, channels, background))


def fitted(pixels, size, fit, filter="lanczos"):
    return np.asarray(transforms.fit_to(Image.fromarray(pixels), size, fit, filter))


def test_grey_and_rgb_stay_as_they_are():
    for channels in (1, 3):
        pixels = noise(channels=channels)
        np.testing.assert_array_equal(shown(Image.fromarray(pixels), channels), pixels)


def test_grey_among_rgb_is_repeated():
    pixels = noise(channels=1)
    rgb = shown(Image.fromarray(pixels), 3)
    np.testing.assert_array_equal(rgb, np.repeat(pixels[..., None], 3, axis=-1))


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0)])
def test_what_is_transparent_shows_the_background(background, level):
    pixels = noise(channels=4)
    pixels[..., 3] = np.where(np.arange(8) < 4, 0, 255)  # by columns
    rgb = shown(Image.fromarray(pixels), 3, background)
    assert (rgb[:, :4] == level).all()
    np.testing.assert_array_equal(rgb[:, 4:], pixels[:, 4:, :3])


def test_what_stays_transparent_hides_no_colours():
    pixels = noise(channels=4)
    pixels[..., 3] = np.where(np.arange(8) < 4, 0, 200)
    kept = transforms.to_eight_bits(Image.fromarray(pixels), 4, "white")
    np.testing.assert_array_equal(kept, pixels)
    hidden = np.asarray(transforms.hide(kept, "white"))
    np.testing.assert_array_equal(hidden[:, 4:], pixels[:, 4:])
    assert (hidden[:, :4] == (255, 255, 255, 0)).all()
    # Colours of what nobody sees do not bleed into the rest when sizes change.
    pixels[:, :4, :3] = (255, 0, 0)
    pixels[:, 4:, :3] = (0, 0, 255)
    small = transforms.fit_to(Image.fromarray(pixels), (4, 4), "stretch", "box")
    assert np.asarray(small)[..., 0][np.asarray(small)[..., 3] > 0].max() == 0


def test_half_transparent_is_mixed():
    pixels = np.full([1, 1, 4], (200, 100, 0, 128), np.uint8)
    rgb = shown(Image.fromarray(pixels), 3)
    mix = 128 / 255
    expected = mix * pixels[0, 0, :3] + (1 - mix) * 255
    np.testing.assert_allclose(rgb[0, 0], expected, atol=1)  # rounding


def test_grey_with_alpha_stays_exactly_grey():
    pixels = np.stack([noise(channels=1), np.full([8, 8], 255, np.uint8)], -1)
    grey = shown(Image.fromarray(pixels), 1)
    np.testing.assert_array_equal(grey, pixels[..., 0])


def test_palettes_show_their_colours_and_their_transparent_one():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(shown(image, 3), [[[10, 20, 30], [40, 50, 60]]])
    image.info["transparency"] = 0
    np.testing.assert_array_equal(shown(image, 3)[0, 0], [255, 255, 255])


def test_sixteen_bits_keep_the_higher_eight():
    levels = np.arange(256, dtype=np.uint16)[None]
    for scale in (257, 256):  # white at 65535, as it should be, or at 65280
        grey = shown(Image.fromarray(levels * scale), 1)
        np.testing.assert_array_equal(grey, levels)


@pytest.mark.parametrize("depth", [9, 10, 12, 14, 16])
def test_fewer_bits_in_use_become_all_eight(depth):
    values = np.arange(256, dtype=np.uint16)[None] << (depth - 8)
    grey = np.asarray(transforms.to_eight_bits(Image.fromarray(values), 1, "", depth))
    np.testing.assert_array_equal(grey, np.arange(256)[None])
    more = Image.fromarray(np.uint16([[65535]]))
    assert np.asarray(transforms.to_eight_bits(more, 1, "", depth)) == 255


@pytest.mark.parametrize("depth", [0, 8, 17])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=f"depth={depth} must be from 9 to 16"):
        transforms.check_depth(depth)


def test_cmyk_has_the_colours_of_ink():
    inks = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255)}
    inks |= {(0, 255, 255, 0): (255, 0, 0), (0, 0, 0, 255): (0, 0, 0)}
    for ink, colour in inks.items():
        pixel = shown(Image.new("CMYK", (1, 1), ink), 3)
        np.testing.assert_array_equal(pixel[0, 0], colour)


def test_one_bit_is_black_and_white():
    image = Image.fromarray(np.array([[False, True]]))
    np.testing.assert_array_equal(shown(image, 1), [[0, 255]])


@pytest.mark.parametrize("mode", ["F", "I"])
def test_modes_without_a_range_are_refused(mode):
    with pytest.raises(ValueError, match=f"mode {mode} has no defined black"):
        shown(Image.new(mode, (1, 1)), 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    pixels = noise((5, 3))
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    image.save(tmp_path / "0.png", exif=image.getexif())
    # The columns of EXIF's table: flip, then quarter turns against the clock.
    flip, turns = [(0, 0), (1, 0), (0, 2), (1, 2), (1, 1), (0, 3), (1, 3), (0, 1)][
        orientation - 1
    ]
    expected = np.rot90(pixels[:, ::-1] if flip else pixels, turns)
    found = sources.open_source(tmp_path).read(0)
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_crop_keeps_the_middle():
    pixels = noise((11, 6))
    np.testing.assert_array_equal(fitted(pixels, (6, 6), "crop"), pixels[:, 2:8])
    tall = noise((6, 11))
    np.testing.assert_array_equal(fitted(tall, (6, 6), "crop"), tall[2:8])


def test_letterbox_keeps_all_between_black_bars():
    pixels = noise((8, 4))
    boxed = fitted(pixels, (8, 8), "letterbox")
    np.testing.assert_array_equal(boxed[2:6], pixels)
    assert not boxed[:2].any() and not boxed[6:].any()
    np.testing.assert_array_equal(
        fitted(np.rot90(pixels), (8, 8), "letterbox")[:, 2:6], np.rot90(pixels)
    )


def test_box_is_the_mean_when_it_shrinks_by_a_whole_number():
    pixels = noise((8, 8))
    mean = pixels.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    half = fitted(pixels, (4, 4), "stretch", "box")
    np.testing.assert_allclose(half, mean, atol=1)  # rounded along rows, then columns


def test_lanczos_removes_what_the_smaller_size_cannot_show():
    fine = np.tile(np.uint8([[0, 255]]), [64, 32])  # at Nyquist
    half = fitted(fine, (32, 32), "stretch")[:, 4:-4]
    assert np.ptp(half.astype(int)) <= 2


@pytest.mark.parametrize(
    ("size", "new", "columns_first"),
    [
        ((37, 39), (32, 20), True),
        ((75, 24), (68, 12), False),
        ((8, 9), (20, 5), True),
        ((8, 9), (5, 20), False),
    ],
)
def test_resizing_does_not_depend_on_how_pillow_orders_its_passes(
    size, new, columns_first
):
    # What Pillow 13 gives in one call; whether it does in two, any version can show.
    pixels = noise(size)
    between = (size[0], new[1]) if columns_first else (new[0], size[1])
    image = Image.fromarray(pixels)
    for step in (between, new):
        image = image.resize(step, Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(fitted(pixels, new, "stretch"), np.asarray(image))


def test_only_sizes_that_can_be_trained_on_are_made():
    transforms.check_fit((8, 6), "crop")
    transforms.check_fit((8, 5), "wide")  # amid a square
    for size, fit, message in [
        ((8, 5), "crop", "size='8x5' must be even numbers of pixels"),
        ((6, 8), "wide", "size='6x8' must have a width >= height"),
        (None, "crop", "fit='crop' needs a size"),
    ]:
        with pytest.raises(ValueError, match=message):
            transforms.check_fit(size, fit)
