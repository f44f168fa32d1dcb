# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation, block by block, as a reader meets them.

A YAML block that names a file is that file; a later block of the same name replaces it. In RST the block's caption is
the name, in Markdown its first line: ``# inventory/hosts.yml``. A block without a name is a play or a list of tasks.
The commands of a shell block run in the folder of the page's files. A text block is what the last of them prints.
"""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tree import ROOT

GUIDES = "docs/docsite/rst"
RST_BLOCK = re.compile(
    r"^(?P<indent> *)\.\. code-block:: (?P<language>[\w+]+)\n"
    r"(?P<options>(?:(?P=indent) +:\w+:.*\n)*)\n(?P<text>(?:(?P=indent) +\S.*\n|\n)+)",
    re.MULTILINE,
)
MARKDOWN_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
ANSIBLE = ("ansible", "ansible-doc", "ansible-inventory", "ansible-playbook", "ansible-vault")


@dataclass(frozen=True)
class Block:
    """One block. ``title`` is its caption or first line, ``name`` its file name, if it has one."""

    language: str
    title: str
    text: str

    @property
    def name(self) -> str | None:
        found = re.match(r"(?:# )?([\w./-]+\.ya?ml)\b", self.title)
        return found.group(1) if found else None


@dataclass(frozen=True)
class Command:
    words: list[str]
    status: int


def pages() -> list[str]:
    """Return every file with examples, as a path from the root."""
    documents = [
        "README.md",
        "docs/reliability.md",
        "roles/pgbeam/README.md",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / GUIDES).glob("*.rst"))),
    ]
    plugins = [path for kind in ("modules", "filter") for path in sorted((ROOT / "plugins" / kind).glob("*.py"))]
    return documents + [str(path.relative_to(ROOT)) for path in plugins]


def blocks(page: str, text: str) -> list[Block]:
    """Return the blocks of a page in order."""
    if page.endswith(".py"):
        return [Block("yaml", "EXAMPLES", _examples(text))]
    found = []
    for match in (RST_BLOCK if page.endswith(".rst") else MARKDOWN_BLOCK).finditer(text):
        block = textwrap.dedent(match["text"]).strip("\n") + "\n"
        if page.endswith(".rst"):
            caption = re.search(r":caption: (.+)", match["options"])
            title = caption.group(1) if caption else ""
        else:
            title = block.partition("\n")[0]
        found.append(Block(match["language"], title, block))
    return found


def commands(block: Block) -> Iterator[Command]:
    """Yield the Ansible commands of a shell block, each with the exit status from its comment."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        piped = words.index("|") + 1 if "|" in words else 0
        if words and words[piped] in ANSIBLE:
            status = re.search(r"# .*\bexits with (\d+)", line)
            yield Command(["sh", "-c", line] if piped else words, int(status.group(1)) if status else 0)


def _examples(source: str) -> str:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
            return str(ast.literal_eval(node.value))
    raise AssertionError("there is no EXAMPLES")


def read(page: str) -> str:
    return Path(ROOT / page).read_text()
