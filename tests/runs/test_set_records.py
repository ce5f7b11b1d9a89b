"""The record of the sets that a run was trained on."""

import pytest

from afgan_jax.runs import set_records


def test_sets_are_recorded_from_the_step_on_at_which_they_begin(tmp_path):
    for step, name in ((0, "never used"), (0, "a"), (5, "not yet used"), (5, "b")):
        set_records.add(tmp_path, step, {"name": name})
    expected = [{"step": 0, "name": "a"}, {"step": 5, "name": "b"}]
    assert set_records.read(tmp_path) == expected


def test_a_class_is_empty_if_it_is_in_every_set(tmp_path):
    assert set_records.empty_classes(tmp_path) == frozenset()
    set_records.add(tmp_path, 0, {"empty_classes": [1, 2]})
    set_records.add(tmp_path, 5, {"empty_classes": [2, 3]})
    assert set_records.empty_classes(tmp_path) == {2}
    set_records.add(tmp_path, 7, {})
    assert set_records.empty_classes(tmp_path) == frozenset()


@pytest.mark.parametrize(
    "content", [b"", b"3", b"[3]", b"{", b"\xff", b'{"sets": [1]}']
)
def test_a_record_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / set_records.NAME).write_bytes(content)
    assert set_records.read(tmp_path) == []
    set_records.add(tmp_path, 3, {"images": 9})
    assert set_records.read(tmp_path) == [{"step": 3, "images": 9}]


def test_a_record_in_which_a_byte_changed_is_none(tmp_path):
    set_records.add(tmp_path, 0, {"images": 9})
    file = tmp_path / set_records.NAME
    file.write_text(file.read_text().replace("9", "8", 1))
    assert set_records.read(tmp_path) == []
