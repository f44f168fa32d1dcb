# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated files are what the generator writes from the declarations and the words."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from generate import blocks, fragments, layout, options, results, role, words
from generate.declared import VARIABLES, resources
from generate.files import files
from generate.modules import modules, source
from generate.scope import Module
from generate.words import Words, WordsError
from tests.tree import ROOT

pytestmark = pytest.mark.once
each_module = pytest.mark.parametrize("name", modules())


@pytest.mark.parametrize("name", files())
def test_a_file_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == files()[name], "run make generate"


@pytest.mark.parametrize("folder", ["plugins/modules", "plugins/doc_fragments"])
def test_every_file_of_a_folder_is_generated(folder: str) -> None:
    assert {f"{folder}/{file.name}" for file in (ROOT / folder).glob("*.py")} <= set(files())


def test_the_words_are_those_of_the_resources() -> None:
    assert {file.stem for file in words.FOLDER.glob("*.yml")} == {"role", "shared", *resources()}


@each_module
def test_what_is_laid_out_reads_back(name: str) -> None:
    for values in (options.documentation(modules()[name]), results.results(modules()[name])):
        assert yaml.safe_load(layout.document(values)) == values


@pytest.mark.parametrize("name", fragments.PURPOSES)
def test_what_is_laid_out_of_a_fragment_reads_back(name: str) -> None:
    values = fragments.documentation(name)
    assert yaml.safe_load(layout.document(values)) == values


def sentences(value: Any) -> Iterator[str]:
    """The texts that end as sentences do, at any depth."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from sentences(item)
    if isinstance(value, str) and value.endswith("."):
        yield value


def test_no_sentence_is_written_twice() -> None:
    written = [text for name in ("role", "shared", *resources()) for text in sentences(words.load(name))]
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
    lines = [line for name, text in files().items() if not name.endswith(".md") for line in text.splitlines()]
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


#: A change, and the message of the generator.
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


def test_a_resource_without_words() -> None:
    with pytest.raises(WordsError) as caught:
        words.load("branch")
    assert str(caught.value) == "resource branch: it has no words; write them in generate/words/branch.yml"


@pytest.mark.parametrize(
    "written, problem",
    [
        ({name: {} for name in (*VARIABLES, "databse")}, "options differ from its variables in databse"),
        ({name: {} for name in VARIABLES if name != "parallel"}, "options differ from its variables in parallel"),
        ({name: {"like": "databases.paralel"} for name in VARIABLES}, "no module has the option databases.paralel"),
        ({name: {"like": "database"} for name in VARIABLES}, "no module has the option database"),
    ],
)
def test_words_that_do_not_fit_the_role(written: dict[str, Any], problem: str) -> None:
    with pytest.raises(WordsError) as caught:
        role.options({"kind": "", "options": written})
    assert str(caught.value) == f"role: {problem}; correct generate/words/role.yml"


@pytest.mark.parametrize("begin, end", [("<!-- ", " -->"), (".. ", ""), ("  # ", "")])
def test_a_block_is_filled(tmp_path: Path, begin: str, end: str) -> None:
    first, last = f"one\n\n{begin}generated: a{end}\n", f"{begin}end: a{end}\n\n{begin}generated: ab{end}\n"
    page = tmp_path / "page"
    page.write_text(f"{first}old\n\n{last}")
    for content in ("", "\nnew \\1\n\n", "new\n"):
        page.write_text(blocks.filled(page, {"a": content}))
        assert page.read_text() == f"{first}{content}{last}"


@pytest.mark.parametrize(
    "text", ["no comments", "# generated: a\n", "# end: a\n# generated: a\n", "# generated: b\n# end: b\n"]
)
def test_a_block_without_its_comments(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(WordsError) as caught:
        blocks.filled(tmp_path / "page.md", {"a": "content\n"})
    assert str(caught.value) == 'page.md: 0 blocks between the comments "generated: a" and "end: a"; write one'
