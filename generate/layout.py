# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as a person would write it: short lists in one line, long texts wrapped, quotes only where they are needed."""

from __future__ import annotations

import json
import textwrap

import yaml

WIDTH = 120
#: The lists whose items get a line each: texts and references do, values do not.
BLOCKS = (
    "description",
    "details",
    "notes",
    "requirements",
    "seealso",
    "author",
    "extends_documentation_fragment",
    "all",
)


def document(values: dict[str, object]) -> str:
    """The mapping as YAML, with a line break at the end."""
    return "\n".join(_mapping(values, "")) + "\n"


def _mapping(values: dict[str, object], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        begin = f"{indent}{key}:"
        if isinstance(value, dict) and value:
            lines += [begin, *_mapping(value, f"{indent}  ")]
        elif isinstance(value, list) and value and key in BLOCKS:
            lines += [begin, *(line for item in value for line in _item(item, f"{indent}  "))]
        else:
            lines += _wrapped(f"{begin} {_inline(value)}", f"{indent}  ")
    return lines


def _item(item: object, indent: str) -> list[str]:
    if isinstance(item, dict):
        first, *others = _mapping(item, f"{indent}  ")
        return [f"{indent}- {first.strip()}", *others]
    return _wrapped(f"{indent}- {_inline(item)}", f"{indent}  ")


def _inline(value: object, in_list: bool = False) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(item, True) for item in value)}]"
    if isinstance(value, str):
        return value if _is_plain(value, in_list) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _is_plain(text: str, in_list: bool) -> bool:
    """Whether YAML reads the text as it is without quotes."""
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text] if in_list else yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
