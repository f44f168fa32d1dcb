# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of plugins/modules are what the generator writes from the declarations and the words."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from generate import layout, options, results, words
from generate.modules import FOLDER, modules, path, source
from generate.scope import Module
from generate.words import Words, WordsError

pytestmark = pytest.mark.once
each_module = pytest.mark.parametrize("name", modules())


@each_module
def test_a_module_is_up_to_date(name: str) -> None:
    assert path(name).read_text() == source(modules()[name]), "run make generate"


def test_every_module_is_generated() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == set(modules())


@each_module
def test_what_is_laid_out_reads_back(name: str) -> None:
    for values in (options.documentation(modules()[name]), results.results(modules()[name])):
        assert yaml.safe_load(layout.document(values)) == values


def sentences(value: Any) -> Iterator[str]:
    """The texts that end as sentences do, at any depth."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from sentences(item)
    if isinstance(value, str) and value.endswith("."):
        yield value


def test_no_sentence_is_written_twice() -> None:
    written = [text for name in ("shared", *words.names()) for text in sentences(words.load(name))]
    assert [text for text, count in Counter(written).items() if count > 1] == []


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "a #b",
        "- a",
        "%a",
        "'a'",
        '"a"',
        "true",
        "1.5",
        "",
        "a, b",
        "O(a[].b)",
        "10:30",
        "*a",
        "[a]",
        "a\\b",
        "50%",
    ],
)
def test_any_text_reads_back(text: str) -> None:
    values: dict[str, Any] = {"description": [text, f"{text} {'word ' * 60}{text}"], "sample": [text], "default": text}
    assert yaml.safe_load(layout.document(values)) == values


def test_lines_are_short() -> None:
    lines = [line for module in modules().values() for line in source(module).splitlines()]
    assert max(map(len, lines)) <= layout.WIDTH


@each_module
def test_every_module_that_is_mentioned_exists(name: str) -> None:
    mentioned = set(re.findall(r"(?:M\(|module: )pgbeam\.cloud\.(\w+)", source(modules()[name])))
    assert mentioned and mentioned <= set(modules())


def changed(name: str, *keys: str, to: object = None) -> Words:
    """The words for a resource with one text changed, or without it."""
    content = copy.deepcopy(words.load(name))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if to is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return Words(name, words.read(name).resource, content)


#: What is changed, and what the generator says to that.
WRONG = {
    "a field without a description": (
        ("fields", "port", "description"), None,
        "resource database: fields.port.description is missing; write it in generate/words/database.yml",
    ),
    "a field without words": (
        ("fields", "port"), None,
        "resource database: fields.port.description is missing; write it in generate/words/database.yml",
    ),
    "a member without a description": (
        ("fields", "pool_config", "fields", "pool_mode"), None,
        "resource database: fields.pool_config.fields.pool_mode.description is missing; "
        "write it in generate/words/database.yml",
    ),
    "a field without a sample": (
        ("fields", "port", "sample"), None,
        "resource database: fields.port.sample is missing; write it in generate/words/database.yml",
    ),
    "a form without examples": (
        ("item", "examples"), None,
        "resource database: item.examples is missing; write it in generate/words/database.yml",
    ),
    "a name for shared texts": (
        ("kept",), None,
        "resource database: kept is missing; write it in generate/words/database.yml",
    ),
    "a field that is not declared": (
        ("fields", "prot"), {"description": "The port."},
        "resource database: fields.prot describes nothing that is declared; "
        "correct it in generate/words/database.yml",
    ),
    "a member that is not declared": (
        ("fields", "pool_config", "fields", "size"), {"description": "The size."},
        "resource database: fields.pool_config.fields.size describes nothing that is declared; "
        "correct it in generate/words/database.yml",
    ),
    "a key that nothing reads": (
        ("fields", "port", "text"), "The port.",
        "resource database: fields.port.text describes nothing that is declared; "
        "correct it in generate/words/database.yml",
    ),
    "a result of one form that is not declared": (
        ("item", "returned"), {"prot": "Null if unknown."},
        "resource database: item.returned.prot describes nothing that is declared; "
        "correct it in generate/words/database.yml",
    ),
    "an option that does not exist": (
        ("fields", "password", "description"), "The password of O(user).",
        "module database: O(user) refers to what the module does not have",
    ),
    "a result that does not exist": (
        ("fields", "port", "description"), "Follows RV(hostname).",
        "module database: RV(hostname) refers to what the module does not have",
    ),
    "a change that cannot happen": (
        ("changes",), ["created_at"],
        "resource database: changes: created_at is no field that can change; correct it in generate/words/database.yml",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_words_that_do_not_fit(case: str) -> None:
    keys, to, message = WRONG[case]
    with pytest.raises(WordsError) as caught:
        source(Module("item", changed("database", *keys, to=to)))
    assert str(caught.value) == message
