"""A headless browser, where there is one, and text that tries to break out of a page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import PROGRAMS, Browser, find_browser

# Each would run a script, load something, or turn its surroundings around, if it were not shown as text.
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</script><script>document.title='owned'</script><!--",
    "it's &amp; 'quoted' \"twice\"",
    "line\u2028separator\u2029here",
    "\u202egpj.exe",
    "שלום עולם",
    "%{customdata} ${1} <b>bold</b> <a href=\"javascript:document.title='owned'\">link</a>",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A page of a headless Chromium."""
    program = find_browser()
    if program is None:
        pytest.skip(f"needs a Chromium (one of {', '.join(PROGRAMS)} on PATH, or $FEATZOO_TEST_BROWSER)")
    opened = Browser(program)
    yield opened
    opened.close()
