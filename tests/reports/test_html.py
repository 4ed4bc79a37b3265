"""Text in pages stays text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.reports.html import Html, element, escape, isolated, join, script_json, table

from .conftest import HOSTILE


class Reader(HTMLParser):
    """The elements and the text of HTML, as the standard library reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_read_back_as_text(text: str) -> None:
    read = Reader(element("p", isolated(text)))
    assert read.tags == ["p", "bdi"]
    assert read.text == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\u2028\u2029é中")))
def test_any_printable_text_is_read_back_as_text(text: str) -> None:
    assert Reader(escape(text)).text == text


def test_characters_that_html_cannot_hold_are_replaced() -> None:
    shown = escape("a\x00b\ud800c\x1bd\uffff")
    assert shown == "a\ufffdb\ufffdc\ufffdd\ufffd"
    shown.encode("utf-8")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_keeps_its_value_and_cannot_end_the_script(value: object) -> None:
    written = script_json(value)
    assert json.loads(written) == value
    assert not set(written) & set("<>&\u2028\u2029")


def test_html_is_not_escaped_twice() -> None:
    assert join([element("b", "<"), Html("<br>"), "&"]) == "<b>&lt;</b><br>&amp;"


def test_a_table_has_a_cell_for_each_value() -> None:
    read = Reader(table(["clip", "n"], [["<td>", 1], ["b", 2]]))
    assert (read.tags.count("th"), read.tags.count("td"), read.tags.count("tr")) == (2, 4, 3)
    assert "<td>" in read.text
