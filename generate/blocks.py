# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated blocks in files that a person writes, each between two comments: "generated: NAME" and "end: NAME"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from generate.words import WordsError


def filled(path: Path, blocks: dict[str, str]) -> str:
    """The text of a file with the content of each block replaced."""
    text = path.read_text()
    for name, content in blocks.items():
        begin, end = f"generated: {name}", f"end: {name}"
        # Around its text, a comment in Markdown, RST or YAML has no letters.
        pattern = rf"^[^\w\n]*{begin}\b[^\w\n]*\n(.*?)^[^\w\n]*{end}\b"
        found = list(re.finditer(pattern, text, re.DOTALL | re.MULTILINE))
        if len(found) != 1:
            raise WordsError(f'{path.name}: {len(found)} blocks between the comments "{begin}" and "{end}"; write one')
        text = text[: found[0].start(1)] + content + text[found[0].end(1) :]
    return text


def table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table, between empty lines, since a comment right after it would be a row of it."""
    lines = [heading, tuple("---" for _column in heading), *rows]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + "\n"
