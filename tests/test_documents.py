"""JSON files with a checksum: a changed byte is an error, and files from before checksums are read."""

from __future__ import annotations

import json

import pytest
import xxhash

from featzoo import documents
from featzoo.errors import DamagedFile

DOCUMENT = {"name": "größe", "spec": {"b": [1, 2.5, None], "a": True}}


@pytest.fixture
def place(tmp_path):
    documents.save(tmp_path / "x.json", DOCUMENT)
    return tmp_path / "x.json"


def test_a_document_is_read_as_it_was_saved(place):
    assert documents.read(place) == DOCUMENT


def test_the_checksum_is_the_xxh3_of_the_sorted_fields(place):
    text = '{"name":"gr\\u00f6\\u00dfe","spec":{"a":true,"b":[1,2.5,null]}}'
    assert json.loads(place.read_text())["check"] == xxhash.xxh3_64_hexdigest(text.encode())


def test_every_flipped_bit_is_an_error_or_changes_nothing(place):
    sound = place.read_bytes()
    for bit in range(8 * len(sound)):
        raw = bytearray(sound)
        raw[bit // 8] ^= 1 << bit % 8
        place.write_bytes(raw)
        try:
            read = documents.read(place, unchecked=("name", "spec"))
        except DamagedFile:
            continue
        assert read == DOCUMENT, bit


def test_a_document_without_a_checksum_is_read_if_its_fields_are_known(place):
    place.write_text('{"name": "x"}')
    assert documents.read(place, unchecked=("name", "spec")) == {"name": "x"}
    with pytest.raises(DamagedFile, match=r"x\.json is damaged: its checksum is missing"):
        documents.read(place)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, "\xff"])
def test_a_file_of_another_kind_is_damaged(place, text):
    place.write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedFile, match=r"x\.json is damaged"):
        documents.read(place, unchecked=("name",))
