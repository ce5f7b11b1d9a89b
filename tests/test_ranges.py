"""Every number among the settings of a config has a range, or a check of its own."""

import inspect
import math
import typing

import pytest

from afgan_jax import errors, ranges
from afgan_jax.assembly import settings
from afgan_jax.runs import config

# Depend on other settings, on the images or on the devices.
CHECKED_ELSEWHERE = {"resolution", "num_critical", "freeze_d", "batch_size"}
CHECKED_ELSEWHERE |= {"microbatch", "max_images", "keep", "keep_every_kimg", "minutes"}


def functions(entry):
    if isinstance(entry, dict):
        return [f for inner in entry.values() for f in functions(inner)]
    if isinstance(entry, config.Kinds):
        return [(f, ()) for f in entry.functions.values()]
    function, *given = entry if isinstance(entry, tuple) else (entry,)
    return [(function, given)]


def numbers() -> set[str]:
    found = set()
    for function, given in functions(settings.SCHEMA):
        for name, parameter in inspect.signature(function).parameters.items():
            kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
            if name not in given and {int, float} & set(kinds):
                found.add(name)
    return found


def test_every_number_of_a_config_has_a_range():
    listed = [name for names in ranges.RANGES.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert numbers() == {*listed, *CHECKED_ELSEWHERE}


@pytest.mark.parametrize(("least", "end", "words"), ranges.RANGES)
def test_ranges_end_where_they_say(least, end, words):
    name = ranges.RANGES[least, end, words].split()[0]
    ranges.check("", **{name: None})
    ranges.check("a", **{name: least})
    ranges.check("a", **{name: math.nextafter(end, least)})
    for value in (math.nextafter(least, -math.inf), end, math.nan):
        with pytest.raises(
            errors.SettingError, match=f"^a.{name}=.* must be {words[:9]}"
        ):
            ranges.check("a", **{name: value})


def test_settings_without_a_range_pass():
    ranges.check("a", lowpass="kaiser", resolution=-1)
