"""Record a terminal session as an animated picture: the real commands, and what they really print.

    python docs/site/recording.py [docs/images/commands.svg]

The commands run in an empty folder. Lines appear one after another by CSS alone, which browsers also play inside a
README's picture; for readers who asked their system for less motion, all are there at once.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

COMMANDS = (
    "feat example clips -o videos",
    "feat extract videos -x egemaps,bert.minilm,motion-energy",
    "feat ls",
    "zoo train lf-dnn --epochs 3",
    "zoo predict emotion videos/clip01.mp4",
)
COLUMNS, LINE, LEFT, TOP = 100, 18, 16, 34
# Lines of one command that are shown, at its beginning and at its end.
HEAD, TAIL = 7, 6
# Seconds until the next line appears, and before and after a command.
PER_LINE, PAUSE = 0.12, 0.9
STYLE = """text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d6deeb; }
text { white-space: pre; }
.typed { fill: #addb67; font-weight: bold; }
.left-out { fill: #7f8c98; }
g { opacity: 0; animation: appear 0.01s forwards; }
@keyframes appear { to { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { g { opacity: 1; animation: none; } }"""


def session(commands: tuple[str, ...]) -> list[tuple[str, str]]:
    """Lines with their class: the commands as they are typed, and what each prints."""
    lines = []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            done = subprocess.run(
                shlex.split(command), cwd=folder, env={**os.environ, "PATH": path}, check=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            printed = [line[:COLUMNS].rstrip() for line in done.stdout.splitlines() if line.strip()]
            lines.append((f"$ {command}", "typed"))
            if len(printed) > HEAD + TAIL + 1:
                left_out = (f"... {len(printed) - HEAD - TAIL} more lines", "left-out")
                lines += [*((line, "") for line in printed[:HEAD]), left_out]
                printed = printed[-TAIL:]
            lines += [(line, "") for line in printed]
    return lines


def picture(lines: list[tuple[str, str]]) -> str:
    """The lines as an SVG."""
    width, height = LEFT * 2 + round(COLUMNS * 7.9), TOP + LINE * len(lines) + LEFT
    dots = "".join(
        f'<circle cx="{20 + 18 * i}" cy="16" r="5" fill="{colour}"/>'
        for i, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    rows, at = [], 0.3
    for number, (line, kind) in enumerate(lines):
        at += PAUSE if kind == "typed" else PER_LINE
        y = TOP + LINE * (number + 1)
        rows.append(
            f'<g style="animation-delay:{at:.2f}s"><text x="{LEFT}" y="{y}" class="{kind}">{escape(line)}</text></g>'
        )
        at += PAUSE / 2 if kind == "typed" else 0
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="A terminal session with featzoo">\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" rx="8" fill="#0b1521"/>{dots}\n' + "\n".join(rows) + "\n</svg>\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "images" / "commands.svg")
    target.write_text(picture(session(COMMANDS)), encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")
