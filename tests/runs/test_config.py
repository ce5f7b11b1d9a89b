import pytest

from afgan_jax import errors
from afgan_jax.runs import config

FILE = """
from ml_collections import ConfigDict

def get_config(arg=None):
    c = ConfigDict()
    c.generator = dict(resolution=64, sizes=[1, 2])
    c.train = dict(total_kimg=100.0, metrics=None, name=arg or "plain")
    return c
"""


def make_generator(resolution, *, margin=10, sizes=(), labels=None):
    pass


def train(state, *, total_kimg, metrics, name="", evaluate):
    pass


SCHEMA = {"generator": make_generator, "train": (train, "state", "evaluate")}


def make_round(*, radius=1.0, size):
    pass


def make_square(*, side=2.0, size: int):
    pass


NESTED = {
    "net": {
        "mapping": make_generator,
        "shape": config.Kinds({"round": make_round, "square": make_square}, "round"),
    }
}
NET = {"net": {"mapping": {"resolution": 8}, "shape": {"size": 1}}}


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "small.py").write_text(FILE)
    return str(tmp_path / "small.py")


def test_load_returns_plain_nested_dicts(spec):
    loaded = config.load(spec)
    assert loaded == {
        "generator": {"resolution": 64, "sizes": (1, 2)},
        "train": {"total_kimg": 100.0, "metrics": None, "name": "plain"},
    }
    assert type(loaded) is dict and type(loaded["generator"]) is dict


def test_argument_reaches_get_config(spec):
    assert config.load(f"{spec}:r")["train"]["name"] == "r"


def test_schema_fills_in_the_defaults_of_the_signatures(spec):
    loaded = config.load(spec, schema=SCHEMA)
    assert loaded["generator"] == {
        "resolution": 64,
        "margin": 10,
        "sizes": (1, 2),
        "labels": None,
    }


@pytest.mark.parametrize(
    "name, given, read",
    [
        ("generator.resolution", 32, 32),
        ("generator.resolution", "32", 32),
        ("generator.margin", "4", 4),
        ("generator.sizes", "3,4", (3, 4)),
        ("generator.labels", "7", 7),
        ("train.total_kimg", "5", 5.0),
        ("train.metrics", "fid50k", "fid50k"),
        ("train.name", "1e3", "1e3"),
    ],
)
def test_an_override_takes_the_type_of_what_it_replaces(spec, name, given, read):
    section, key = name.split(".")
    value = config.load(spec, {name: given}, SCHEMA)[section][key]
    assert value == read and type(value) is type(read)


def test_none_switches_a_setting_off_only_where_none_is_its_default(spec):
    assert config.load(spec, {"generator.labels": "none"}, SCHEMA)
    with pytest.raises(ValueError, match="resolution=None must be int"):
        config.load(spec, {"generator.resolution": "none"}, SCHEMA)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"generator.resolution": "8.5"}, "generator.resolution=8.5 must be int"),
        ({"generator.resolution": True}, "generator.resolution=True must be int"),
        ({"train.total_kimg": "many"}, "train.total_kimg='many' must be float"),
        ({"generator.resolutoin": 8}, "did you mean generator.resolution?"),
        ({"train.resolution": 8}, "did you mean generator.resolution?"),
        ({"genrator.resolution": 8}, "did you mean generator.resolution?"),
        ({"genrator.foo": 8}, "section 'genrator'; did you mean generator?"),
        ({"train.evaluate": 1}, "unknown setting train.evaluate"),
        ({"generator": 8}, "generator is a section"),
    ],
)
def test_a_wrong_override_is_one_line_that_says_what_to_write(spec, overrides, message):
    with pytest.raises(ValueError) as error:
        config.load(spec, overrides, SCHEMA)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "broken, message",
    [
        ({"generator": {"resolution": 8, "margn": 1}}, "did you mean generator.margin"),
        ({"generator": {"resolution": 8}, "trian": {}}, "did you mean train?"),
        ({"generator": {}}, "the config does not set generator.resolution"),
        ({}, "the config does not set generator.resolution"),
        ({"generator": 3}, "config section 'generator' is not a section"),
    ],
)
def test_check_names_unknown_and_missing_keys(broken, message):
    broken = {"train": {"total_kimg": 1, "metrics": None}} | broken
    with pytest.raises(ValueError) as error:
        config.check(broken, SCHEMA)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_check_accepts_what_the_functions_accept(spec):
    config.check(config.load(spec), SCHEMA)


def test_an_error_about_a_setting_names_its_section():
    with pytest.raises(ValueError, match="^net.size=3 is odd: make it even$"):
        with errors.naming("net"):
            raise ValueError("size=3 is odd: make it even")
    with pytest.raises(errors.SettingError, match="^net.size=3 is odd: make it even$"):
        with errors.naming("net"):
            raise errors.SettingError("size", 3, "is odd: make it even")
    with pytest.raises(ValueError, match="^the disk is full$"):
        with errors.naming("net"):
            raise ValueError("the disk is full")


def test_missing_file_names_the_nearest(spec):
    with pytest.raises(ValueError, match=r"file .*smal\.py; did you mean .*small\.py"):
        config.load(spec.replace("small", "smal"))


def test_json_round_trip_is_exact_and_sorted(spec):
    loaded = config.load(spec)
    text = config.to_json(loaded)
    assert config.from_json(text) == loaded
    assert text.index("generator") < text.index("train") and text.count("\n") > 5


def test_difference_lists_each_changed_setting():
    old = {"a": {"x": 1, "y": (1, 2), "gone": 0}}
    new = {"a": {"x": 2, "y": [1, 2], "new": "s"}}
    assert config.difference(old, new) == [
        "a.gone: 0 -> unset",
        "a.new: unset -> 's'",
        "a.x: 1 -> 2",
    ]
    assert config.difference(old, old) == []


def nested(tmp_path, overrides=None, **shape):
    net = {"net": {**NET["net"], "shape": NET["net"]["shape"] | shape}}
    (tmp_path / "net.py").write_text(f"def get_config():\n    return {net}\n")
    return config.load(str(tmp_path / "net.py"), overrides, NESTED)


def test_inner_sections_are_completed_by_the_functions_of_their_kind(tmp_path):
    found = nested(tmp_path)
    mapping = {"resolution": 8, "margin": 10, "sizes": (), "labels": None}
    assert found["net"]["mapping"] == mapping
    assert found["net"]["shape"] == {"kind": "round", "radius": 1.0, "size": 1}
    found = nested(tmp_path, kind="square")
    assert found["net"]["shape"] == {"kind": "square", "side": 2.0, "size": 1}


def test_another_kind_leaves_out_what_the_file_says_for_its_own(tmp_path):
    changes = {"net.shape.kind": "square"}
    found = nested(tmp_path, changes, kind="round", radius=3.0, size=2)
    assert found["net"]["shape"] == {"kind": "square", "side": 2.0, "size": 2}


def test_an_override_reaches_inner_sections_and_their_kind(tmp_path):
    changes = {"net.shape.side": "3", "net.shape.kind": "square"}
    found = nested(tmp_path, changes | {"net.mapping.margin": "4"})
    assert found["net"]["shape"] == {"kind": "square", "side": 3.0, "size": 1}
    assert config.value(found, "net.mapping.margin") == 4
    assert config.difference(NET, found)[0] == "net.mapping.labels: unset -> None"


@pytest.mark.parametrize(
    "overrides, message",
    [
        (
            {"net.shape.kind": "oval"},
            "net.shape.kind='oval' is unknown: use one of rou",
        ),
        ({"net.shape.side": 3}, "net.shape.side does not apply to net.shape.kind='rou"),
        ({"net.shape.side": 3}, "but to square: remove it"),
        ({"net.shape.raduis": 3}, "net.shape.raduis; did you mean net.shape.radius?"),
        ({"net.margin": 3}, "net.margin; did you mean net.mapping.margin?"),
        ({"net.shape": 3}, "net.shape is a section; name one of its settings"),
        ({"net": 3}, "net is a section; name one of its settings"),
    ],
)
def test_a_wrong_override_of_an_inner_section_is_one_line(tmp_path, overrides, message):
    with pytest.raises(ValueError) as error:
        nested(tmp_path, overrides)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_flat_sections_of_an_older_version_are_told_so():
    old = {"net": {"resolution": 8, "shape": "round"}}
    with pytest.raises(ValueError, match="^a.json is of another version .* wrote it"):
        config.check_saved(old, NESTED, "a.json")
    old = {"net": {"resolution": 8}}
    with pytest.raises(ValueError, match="net.resolution; did you mean net.mapping.r"):
        config.check_saved(old, NESTED, "a.json")
