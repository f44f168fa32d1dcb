# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for tests of every resource, from the samples in its words and its declaration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from generate import words
from generate.declared import Field, Resource, Values
from tests.harness import Scope

MAX_INTEGER = 2**63 - 1
#: The options of a time that the samples are in.
DAYS = {"start_date": "2026-11-01", "end_date": "2026-11-30"}

#: In place of samples that are refused without another, optional field.
ALONE = {("query_template", "sql"): "SELECT id, total FROM orders WHERE total > 100"}


def sample(resource: Resource, field: Field, within: str = "") -> Any:
    """The sample of a field, or of the member of one at the path ``within``; of an object, those of its members."""
    if (field.elements or field).fields:
        below = f"{within}.{field.name}" if within else field.name
        one = {member.name: sample(resource, member, below) for member in (field.elements or field).fields}
        return [one] if field.elements else one
    if field.in_future:  # the sample of the words will be past one day
        return f"{date.today().year + 1}-01-31T12:00:00Z"
    return ALONE.get((resource.noun, field.name)) or words.read(resource.noun).sample(field, within)


def whole(resource: Resource) -> Values:
    """Return an object of the API as a server returns it, without write-only fields."""
    found = {field.name: sample(resource, field) for field in resource.fields if not field.secret}
    return {name: None if resource.is_deleted({name: value}) else value for name, value in found.items()}


def needed(resource: Resource, number: int = 0) -> Values:
    """What a task declares to find or create an object, without its parent and its secrets; each number has its own."""
    found = set(resource.needed_to_find)
    return {
        field.name: varied(field, sample(resource, field), number if field.name in found else 0)
        for field in resource.writable
        if (field.name in found or field.required) and not field.secret and field.name != resource.parent
    }


def complete(resource: Resource, secret: str, number: int = 0) -> Values:
    """What a task declares to create an object, without its parent, and with this value for each secret."""
    return {**needed(resource, number), **{field.name: secret for field in resource.writable if field.secret}}


def body(resource: Resource, secret: str, number: int = 0) -> Values:
    """The body of the smallest create, with this value for each secret."""
    initial = {field.name: field.identity_default for field in resource.writable if field.identity_default is not None}
    return {**complete(resource, secret, number), **initial}


def create(scope: Scope, resource: Resource, parent: str, secret: str, number: int = 0, **fields: Any) -> Values:
    """Create an object and its referenced objects as another client. Returns the answer."""
    given = {**body(resource, secret, number), **fields}
    for f in resource.references:
        if f.name in given and f.name not in fields:
            given[f.name] = found_or_created(scope, f, parent, secret, number)["id"]
    if not resource.creatable:
        key = resource.field(resource.id_field)
        own = {} if key.name == "id" else {key.name: varied(key, sample(resource, key), number)}
        return scope.put(resource.items_key, **{resource.parent: parent}, **own, **given)
    answer = scope.post(resource.path.format(**{resource.parent: parent}), given, resource.create_verb)
    made: Values = answer[resource.create_envelope] if resource.create_envelope else answer
    return made


def found_or_created(scope: Scope, reference: Field, parent: str, secret: str, number: int = 0) -> Values:
    """The first object that a field can refer to; a new one if there is none."""
    resource = reference.refers_to
    assert resource
    found = scope.pages(resource.path.format(**{resource.parent: parent}), resource.items_key)
    return found[0] if found else create(scope, resource, parent, secret, number)


def varied(field: Field, value: Any, number: int) -> Any:
    """Return the value for number 0, and different values for the next numbers, as far as the field has any."""
    if number == 0:
        return value
    if field.fields:
        return {member.name: varied(member, value[member.name], number) for member in field.fields}
    if field.elements:
        return [varied(field.elements, value[0], number)]
    if field.choices:
        return field.choices[(field.choices.index(value) + number) % len(field.choices)]
    if field.type == "bool":
        return value if number % 2 == 0 else not value
    if field.type == "int":
        low, high = field.minimum or 0, MAX_INTEGER if field.maximum is None else field.maximum
        return low + (value - low + number) % (high - low + 1)
    if field.type == "float":
        return value + number
    before, digit, after = re.fullmatch(r"(.*?)(\d?)(\D*)", value).groups()  # type: ignore[union-attr]  # any text
    return f"{before}{(int(digit) + number) % 10}{after}" if digit else f"{value}{number}"


def respelled(field: Field, value: Any) -> Any:
    """Return another spelling with the same meaning for the field, or None if case makes no difference."""
    if field.normalize and value != value.upper() and field.normalize(value) == field.normalize(value.upper()):
        return value.upper()
    return None


def wrong(resource: Resource, field: Field, place: str = "", within: str = "") -> Iterator[tuple[Any, str]]:
    """Yield invalid values of the field, each with part of its message: its place, the value, what is allowed.

    ``place`` is the value's name in messages, ``within`` the path of the field that it is a member of.
    """
    place = place or field.name
    below = f"{within}.{field.name}" if within else field.name
    if field.fields:
        yield 5, f"{place}: a number was given; it must be a dictionary"
        yield {"no_such": 1}, f"{place}.no_such: unknown option"
        for member in field.fields:
            for value, reported in wrong(resource, member, f"{place}.{member.name}", below):
                yield {member.name: value}, reported
    elif field.elements:
        yield from _wrong_lists(resource, field, place, within, below)
    elif field.type == "int":
        low, high = field.minimum or 0, MAX_INTEGER if field.maximum is None else field.maximum
        for value in (low - 1, high + 1, low + 0.5, "many", [low]):
            unlimited = field.maximum is None and value != high + 1
            limits = f"of {low} or more" if unlimited else f"from {low} to {high}"
            yield value, f"{place}: {value!r} is not allowed; it must be a whole number {limits}"
    elif field.type == "float":
        limit, small = "", [float("nan")]
        if field.exclusive_minimum is not None:
            limit, small = f" greater than {field.exclusive_minimum}", [field.exclusive_minimum]
        elif field.minimum is not None:
            limit, small = f" of {field.minimum} or more", [field.minimum - 0.5]
        for value in (*small, "many", [1.5], True):
            shown = "true" if value is True else repr(value)
            yield value, f"{place}: {shown} is not allowed; it must be a number{limit}"
    elif field.type == "bool":
        for value in ("no-such", 7):
            yield value, f"{place}: {value!r} is not allowed; it must be true or false"
    else:
        number = 8154711 if field.secret else 1.5  # a text that is not a secret may be an integer
        for value, shown, problem in (
            (True, "true", "a boolean, not text; put it in quotes"),
            (number, repr(number), "a number, not text; put it in quotes"),
            (["no-such"], "['no-such']", "a list; it must be text"),
        ):
            given = "the value" if field.secret else shown
            yield value, f"{place}: {given} is {problem}"
        if field.secret:
            yield "", f"{place}: empty; check that its variable or lookup is set"
        if field.choices:
            yield "no-such", f"{place}: 'no-such' is not allowed; it must be one of {', '.join(field.choices)}"
        for text in _wrong_texts(field):
            given = "the value" if field.secret else repr(text)
            yield text, f"{place}: {given} is not allowed; it must be {field.must_be}"


def _wrong_lists(resource: Resource, field: Field, place: str, within: str, below: str) -> Iterator[tuple[Any, str]]:
    element = field.elements
    assert element
    one = sample(resource, field, within)[0]
    yield {"a": 1}, f"{place}: a dictionary was given; it must be a list"
    if field.maximum is not None:
        many = [varied(element, one, number) for number in range(field.maximum + 1)]
        yield many, f"{place}: {len(many)} elements are too many; the maximum is {field.maximum}"
    if not element.fields:
        for value, reported in wrong(resource, element, f"{place}[0]", within):
            yield [value], reported
        return
    yield [7], f"{place}[0]: a number was given; it must be a dictionary"
    for member in element.fields:
        for value, reported in wrong(resource, member, f"{place}[0].{member.name}", below):
            yield [{**one, member.name: value}], reported
        if member.required or member.name in field.key:
            lacking = {name: value for name, value in one.items() if name != member.name}
            yield [lacking], f"{place}[0].{member.name}: missing"
    if field.key:
        yield [one, one], f"{place}[0] and {place}[1] have the same "


def _wrong_texts(field: Field) -> Iterator[str]:
    """Yield invalid texts of the field: empty, with a blank, with a null character, and one character too long."""
    longest = re.search(r"\{\d+,(\d+)\}$", field.pattern or "")
    for text in ("", "a b", "a\0b", *(["x" * (int(longest.group(1)) + 1)] if longest else [])):
        if not allowed(field, text) and not (field.secret and not text):
            yield text


def allowed(field: Field, text: str) -> bool:
    """Whether the field accepts a text."""
    try:
        return bool(
            re.fullmatch(field.pattern or ".*", text, re.DOTALL) and (not field.normalize or field.normalize(text))
        )
    except ValueError:
        return False
