"""JSON that was changed or is malformed is named in one line."""

import json

import pytest

from afgan_jax import json_files

CONTENT = {"names": ["a", "ü"], "lr": 0.0025, "inner": {"n": None}}


def test_sealed_content_comes_back_and_any_changed_bit_is_found():
    text = json.dumps(json_files.seal(CONTENT)).encode()
    assert json_files.parse(text, "file") == CONTENT
    for at in range(len(text)):
        for bit in range(8):
            changed = text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]
            try:
                found = json_files.parse(changed, "file")
            except ValueError as error:
                assert str(error).startswith("file ") and "\n" not in str(error)
            else:  # the name of the seal, or what JSON takes for the same
                others = {k: v for k, v in found.items() if k in CONTENT}
                assert others == CONTENT


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"a": ' + "9" * 10_000 + "}", b"\xff\xfe\x00", "nul"],
)
def test_malformed_text_is_named_in_one_line(text):
    with pytest.raises(
        ValueError, match=r"^set/dataset\.json is not valid JSON \(.*\)$"
    ):
        json_files.parse(text, "set/dataset.json")


def test_content_without_a_seal_is_taken_as_it_is():
    assert json_files.parse('{"a": 1}', "file") == {"a": 1}
    assert json_files.parse("[1]", "file") == [1]
