"""Cells of Excel workbooks (.xlsx), read with the standard library: a zip archive of XML."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from featzoo.errors import InvalidClips

Sheet = list[dict[str, str]]
NAMESPACE = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
# Questionnaires have some hundred kilobytes; a part that declares more than this is not one.
MOST_BYTES = 64_000_000


def read_xlsx(path: Path) -> dict[str, Sheet]:
    """Sheet name to its rows; a row maps the letters of its columns (`A`, `AB`) to cells as text.

    Empty cells are left out. Phonetic readings beside Japanese text are left out too. A number is the text that the
    file holds, such as `5` or `0.25`.

    Raises:
        InvalidClips: If it cannot be read as a workbook.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {each.filename for each in archive.infolist()}
            shared = "xl/sharedStrings.xml"
            strings = [_text(item) for item in _xml(archive, shared)] if shared in names else []
            targets = {each.get("Id"): each.get("Target", "") for each in _xml(archive, "xl/_rels/workbook.xml.rels")}
            sheets = {}
            for each in _xml(archive, "xl/workbook.xml").iterfind("x:sheets/x:sheet", NAMESPACE):
                target = targets[each.get(RELATION)]
                part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
                sheets[each.get("name", "")] = _rows(_xml(archive, part), strings)
            return sheets
    except (OSError, KeyError, IndexError, ValueError, zipfile.BadZipFile, zlib.error, ElementTree.ParseError) as error:
        raise InvalidClips(f"{path} cannot be read as an Excel workbook (.xlsx): {error}") from error


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES} bytes")
    content = archive.read(name)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{name} has a document type or defines entities, which workbooks do not")
    return ElementTree.fromstring(content)  # noqa: S314  (the attacks are made of entities)


def _rows(sheet: ElementTree.Element, strings: list[str]) -> Sheet:
    rows = []
    for row in sheet.iterfind("x:sheetData/x:row", NAMESPACE):
        cells = {}
        for cell in row.iterfind("x:c", NAMESPACE):
            value = cell.findtext("x:v", None, NAMESPACE)
            inline = cell.find("x:is", NAMESPACE)
            if cell.get("t") == "s" and value is not None:
                value = strings[int(value)]
            elif inline is not None:
                value = _text(inline)
            if value:
                cells[re.sub(r"\d", "", cell.get("r", ""))] = value
        rows.append(cells)
    return rows


def _text(item: ElementTree.Element) -> str:
    """The text of a string, in one piece or in runs of one format, without its phonetic readings."""
    found = [
        item.findtext("x:t", "", NAMESPACE),
        *(run.findtext("x:t", "", NAMESPACE) for run in item.iterfind("x:r", NAMESPACE)),
    ]
    return "".join(found)
