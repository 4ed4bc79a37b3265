"""One HTML file that needs nothing else: its styles, scripts, pictures and numbers are inside it."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from featzoo import __version__
from featzoo.durable import write
from featzoo.reports.figures import Figure
from featzoo.reports.html import Html, element, escape, join, script_json


@dataclass
class Page:
    """A report in the making: sections of text, tables and figures.

    Attributes:
        title: Title of the page.
        subtitle: What it reports on.

    Raises:
        ModuleNotFoundError: If plotly is not installed.
    """

    title: str
    subtitle: str = ""
    _body: list[Html] = field(default_factory=list)
    _sections: list[str] = field(default_factory=list)
    _figures: list[Figure] = field(default_factory=list)

    def __post_init__(self) -> None:
        _package("plotly")  # raises now, not after everything has been computed

    def section(self, title: str, *content: object) -> None:
        """Begin a section, which the table of contents lists."""
        self._sections.append(title)
        self._body.append(Html(f'<h2 id="section-{len(self._sections)}">{escape(title)}</h2>'))
        self.add(*content)

    def add(self, *content: object) -> None:
        """Add HTML, or text as a paragraph."""
        self._body += [part if isinstance(part, Html) else element("p", part) for part in content]

    def figure(self, figure: Figure, caption: str) -> Html:
        """HTML of a figure, which is drawn when it comes into view."""
        self._figures.append(figure)
        number, height = len(self._figures) - 1, int(figure["layout"]["height"])
        place = (
            f'<div class="plot" data-figure="{number}" style="min-height:{height}px" role="img" '
            f'aria-label="{escape(caption)}"></div>'
        )
        return Html(f"<figure><figcaption>{escape(caption)}</figcaption>{place}</figure>")

    def html(self) -> str:
        """The whole file."""
        style = _asset("page.css")
        scripts = [_plotly(), _asset("page.js")] if self._figures else []
        allowed = " ".join(map(_hash, scripts)) or "'none'"
        policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src {allowed}"
        made = f"Made by featzoo {__version__} on {time.strftime('%Y-%m-%d %H:%M')}."
        body = [
            element("header", element("h1", self.title), element("p", self.subtitle), self._contents()),
            element("main", *self._body),
            element("footer", element("p", made)),
        ]
        if self._figures:
            data = script_json(self._figures)
            body.append(Html(f'<script type="application/json" id="figures">{data}</script>'))
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{style}</style>\n</head>\n"
            f"<body>\n{join(body)}\n{''.join(f'<script>{script}</script>' for script in scripts)}\n</body>\n</html>\n"
        )

    def save(self, place: Path) -> None:
        """Write the file.

        Raises:
            StoreError: If it cannot be written.
        """
        write(place, self.html())

    def _contents(self) -> Html:
        links = (
            Html(f'<a href="#section-{number}">{escape(title)}</a>') for number, title in enumerate(self._sections, 1)
        )
        return element("nav", *links)


def _asset(name: str) -> str:
    return (_package("featzoo.reports") / "assets" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's script, from its Python package."""
    script = (_package("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return script.replace("</script", "<\\/script")


def _package(name: str) -> Path:
    """The folder of a package, which is not imported: importing plotly takes long."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)
    return Path(found.origin).parent


def _hash(script: str) -> str:
    """The name of a script in the page's policy: no other script runs."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
