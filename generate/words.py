# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words for people, from the YAML files of ``words/``."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generate.declared import SPECS, Field, Resource, Values, resource

FOLDER = Path(__file__).parent / "words"
TEXTS = {"version_added", "object", "meaning", "create", "delete", "kept", "rotated"}
KEYS = {*TEXTS, "seealso", "changes", "fields", "issued", "action", *SPECS}
FORM_KEYS = {"short_description", "description", "returned", "examples"}
ACTION_KEYS = {"option", "timeout", "result", "error"}
FIELD_KEYS = {
    "like", "description", "option", "compared", "filter", "returned", "sample", "fields", "fields_of", "by_name",
}  # fmt: skip


class WordsError(Exception):
    """The words do not match the declaration; the message specifies the resource and the field."""


@dataclass(frozen=True)
class Words:
    """The words for one resource, by the name of its file."""

    name: str
    resource: Resource
    content: Values

    def __post_init__(self) -> None:
        resource = self.resource
        declared = {*(f.name for f in (*resource.fields, *resource.query)), *resource.ancestors, *resource.parents}
        declared |= {self.resource.nested.noun} if self.resource.nested else set()
        self._refuse_others("", self.content, KEYS)
        self._refuse_others("fields.", self.content["fields"], declared)
        self._refuse_others("action.", self.content.get("action", {}), ACTION_KEYS if self.resource.action else set())
        for form in SPECS.keys() & self.content.keys():
            self._refuse_others(f"{form}.", self.content[form], FORM_KEYS)
            self._refuse_others(f"{form}.returned.", self.content[form].get("returned", {}), {*declared, "action"})

    def __getitem__(self, key: str) -> object:
        return self.content[key] if key in self.content else self.missing(key)

    def text(self, key: str) -> str:
        return str(self[key])

    def form(self, form: str, key: str) -> object:
        """The value of a key in the section of one form."""
        found = self.content[form]
        return found[key] if key in found else self.missing(f"{form}.{key}")

    def field(self, field: Field | str, within: str = "") -> Values:
        """The words for a field, or for a member of one."""
        name = field if isinstance(field, str) else field.name
        fields = self.content["fields"]
        for outer in filter(None, within.split(".")):
            fields = _members(outer, fields[outer])
        path = self._path(name, within)
        words: Values = fields.get(name) or {}
        self._refuse_others(f"{path}.", words, FIELD_KEYS)
        if "like" in words:
            words = {**read(words["like"]).field(name), **words}
        if "description" not in words:
            self.missing(f"{path}.description")
        if isinstance(field, Field):
            members = {m.name for m in (field.elements or field).fields}
            self._refuse_others(f"{path}.fields.", words.get("fields", {}), members)
        return words

    def action(self, key: str) -> Any:
        """The texts of a key for the action of the resource."""
        found = self.content.get("action", {})
        return found[key] if key in found else self.missing(f"action.{key}")

    def sample(self, field: Field, within: str = "") -> object:
        words = self.field(field, within)
        return words["sample"] if "sample" in words else self.missing(f"{self._path(field.name, within)}.sample")

    @staticmethod
    def _path(name: str, within: str) -> str:
        """The path of a field's words in the file."""
        return "".join(f"fields.{outer}." for outer in within.split(".") if outer) + f"fields.{name}"

    def missing(self, path: str) -> object:
        raise WordsError(f"resource {self.name}: {path} is missing; write it in generate/words/{self.name}.yml")

    def _refuse_others(self, place: str, given: Values, known: set[str]) -> None:
        for name in given.keys() - known:
            raise WordsError(
                f"resource {self.name}: {place}{name} describes nothing that is declared; "
                f"correct it in generate/words/{self.name}.yml"
            )


def _members(name: str, words: Values) -> Values:
    """The words for the members of a field: its own, or those for the fields of another resource or of a field there.

    ``fields_of`` has the name of the resource, and that of the field after a dot.
    """
    if "like" in words:
        words = {**read(words["like"]).content["fields"][name], **words}
    found: Values = words.get("fields", {})
    if "fields_of" in words:
        other, *path = words["fields_of"].split(".")
        found = read(other).content["fields"]
        for each in path:
            found = found[each]["fields"]
    return found


def load(name: str) -> Values:
    """The content of one file."""
    path = FOLDER / f"{name}.yml"
    if not path.exists():
        raise WordsError(f"resource {name}: it has no words; write them in generate/words/{name}.yml")
    content: Values = yaml.safe_load(path.read_text())
    return content


@functools.cache
def read(name: str) -> Words:
    """The words for the resource of this name."""
    return Words(name, resource(name), load(name))


@functools.cache
def shared(path: str) -> list[str]:
    """The texts that all resources share under this path, such as ``field.range``."""
    found = everything()
    for key in path.split("."):
        if key not in found:
            raise WordsError(f"{path} is missing; write it in generate/words/shared.yml")
        found = found[key]
    return texts(found)


@functools.cache
def everything() -> Values:
    """All that the resources share."""
    return load("shared")


def texts(value: object) -> list[str]:
    """One text or several as a list."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
