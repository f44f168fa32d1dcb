# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules, and the context that a text needs: what its object's options and results are called there."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable
from dataclasses import dataclass

from generate import words
from generate.declared import CONNECTION, SPECS, Resource, Values
from generate.words import Words, WordsError, texts

FORMATTER = string.Formatter()
REFERENCE = re.compile(r"\b(O|RV)\(([a-z][a-z_]*)((?:[\[.][^()=#]*)?(?:=[^()]*)?)\)")

#: The parents whose option has a shorter name.
ABBREVIATIONS = {"org": "organization"}
#: The results about one object beside the object, and those of a module beside its objects, by form.
OUTCOME = ("action", "changes", "secrets", "error")
RESULTS = {
    "item": OUTCOME,
    "list": ("summary", "msg"),
    "info": ("error",),
    "evaluation": ("summary", "msg", "error"),
    "replay": ("error",),
}


@dataclass(frozen=True)
class Module:
    """One module: a form of a resource."""

    form: str
    words: Words

    @property
    def resource(self) -> Resource:
        return self.words.resource

    @property
    def name(self) -> str:
        resource = self.resource
        if self.form == "list":
            return resource.plural
        return resource.noun if self.form in ("item", "evaluation") else f"{resource.noun}_info"

    @functools.cached_property
    def spec(self) -> Values:
        """The argument spec, without the connection options, which a fragment documents."""
        return {name: option for name, option in SPECS[self.form](self.resource).items() if name not in CONNECTION}

    @property
    def writes(self) -> bool:
        return self.form in ("item", "list")

    @property
    def asked_for(self) -> set[str]:
        """The result of the action that a task can ask for."""
        action = self.resource.offered_action
        return {action.result} if action and self.writes else set()

    @functools.cached_property
    def scope(self) -> Scope:
        """The object that the options of the module, or of an entry of its list, describe."""
        plural, resource = self.resource.plural, self.resource
        if self.form == "list":
            entry = {*self.spec[plural]["options"]}
            shown = {*OUTCOME, *self.asked_for, *resource.summary}
            return Scope(self, resource, f"{plural}[].", entry, f"{plural}[].", shown)
        if self.form == "item" or resource.is_singleton:
            below = f"{resource.noun}."
        else:
            below = f"{plural}[]." if self.form == "info" else ""
        return Scope(self, resource, "", {*self.spec}, below, {f.name for f in resource.fields})

    @functools.cached_property
    def nested(self) -> Scope | None:
        """The object that is created with this one, in the module that writes."""
        first = self.resource.nested
        if not first or self.form != "item":
            return None
        shown = {f.name for f in first.fields}
        return Scope(self, first, f"{first.noun}.", {f.name for f in first.writable}, f"{first.noun}.", shown)


def forms(words: Words) -> list[Module]:
    """The modules of a resource: a form for each that its words describe."""
    return [Module(form, words) for form in SPECS if form in words.content]


@dataclass(frozen=True)
class Scope:
    """The context of a text: an object, and the paths of its options and results in the module."""

    module: Module
    resource: Resource
    options_below: str
    options: set[str]
    results_below: str
    results: set[str]

    @property
    def words(self) -> Words:
        return self.module.words if self.resource is self.module.resource else words.read(self.resource.noun)

    @property
    def is_first(self) -> bool:
        return self is self.module.nested

    def shared(self, path: str, **more: object) -> list[str]:
        """Texts that all resources share, filled in for this object."""
        return [self.fill(text, **more) for text in words.shared(path)]

    def sentence(self, path: str, **more: object) -> str:
        return " ".join(self.shared(path, **more))

    def own(self, words: Values, key: str = "description") -> list[str]:
        """Texts from the words for a field; none if they have no such key."""
        return [self.fill(text) for text in texts(words.get(key, []))]

    def fill(self, text: str, **more: object) -> str:
        """The text with its placeholders filled in and its references as full paths."""
        names = {**self._names, **more}
        found = {
            name: names[name] if name in names else self.words.text(name)
            for _text, name, *_rest in FORMATTER.parse(text)
            if name
        }
        return REFERENCE.sub(self._reference, text.format(**found))

    @functools.cached_property
    def _names(self) -> Values:
        outer, inner = self.module.resource, self.resource
        first = outer.nested
        called = self.words.content.get("object")
        # "invitation" for org_invitation, but "database" for a database that is called a registration.
        short = called if called and inner.noun.endswith(f"_{called}") else None
        plural = f"{short}s" if short else in_words(inner.plural)
        delete = self.words.content.get("delete", "delete")
        return {
            "noun": short or in_words(inner.noun),
            "plural": plural,
            "Plural": plural.capitalize(),
            "entries": inner.plural,
            "object": called or in_words(inner.noun),
            "objects": f"{called}s" if called else in_words(inner.plural),
            "delete": delete,
            "deletes": f"{delete}s",
            "Delete": delete.capitalize(),
            "parent": inner.parent_noun,
            "container": outer.noun,
            "first": first.noun if first else "",
            "firsts": first.plural if first else "",
            "task": "entry" if self.module.form == "list" else "task",
        }

    def _reference(self, match: re.Match[str]) -> str:
        kind, name, rest = match.groups()
        if kind == "O":
            own, outer, below = self.options, {*self.module.spec, *CONNECTION}, self.options_below
        else:
            outer = {*RESULTS[self.module.form], *(self.module.asked_for if self.module.form == "item" else ())}
            own, below = self.results, self.results_below
            if name in outer and self.module.form != "list":
                own = set()
        if name not in own | outer:
            raise WordsError(f"module {self.module.name}: {match.group()} refers to what the module does not have")
        return f"{kind}({below if name in own else ''}{name}{rest})"


def acting(scope: Scope) -> Scope:
    """The object that the action of a module is about."""
    return scope if scope.resource.action else scope.module.nested or scope


def in_words(name: str) -> str:
    """A name of the API as text: ``query template`` for ``query_template``."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in name.split("_"))


def listed(items: Iterable[str], last: str = "and") -> str:
    """The items as words: ``a, b and c``."""
    *others, end = items
    return f"{', '.join(others)} {last} {end}" if others else end


def options(names: Iterable[str], last: str = "and") -> str:
    """References to the options of these names: ``O(a), O(b) and O(c)``."""
    return listed((f"O({name})" for name in names), last)
