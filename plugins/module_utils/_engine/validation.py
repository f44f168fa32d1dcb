# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate task options and server responses; every problem is one sentence.

Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import math
import re
import typing as t

from ansible.module_utils.common.validation import check_type_bool, check_type_dict, check_type_list
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import MASK
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    ID_PATTERN,
    ID_RULE,
    Field,
    Resource,
    Values,
)

#: The names of YAML's types for users; the first match counts.
KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "a boolean"),
    ((int, float), "a number"),
    ((str,), "text"),
    ((bytes, bytearray), "binary data"),
    ((datetime.date, datetime.time), "a date"),
    ((dict,), "a dictionary"),
    ((list, tuple, set), "a list"),
)
#: What core and this collection print instead of a secret.
MASKS = (MASK, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
MAX_PRUNED_SHOWN = 10
MAX_INTEGER = 2**63 - 1  # of an API with 64-bit integers, if it documents no other limit
MAX_VALUE_SHOWN = 60  # characters of a value in a message
MAX_TEXT_SHOWN = 5000  # those of a text that its own rule refuses


def kind(value: t.Any) -> str:
    """Return the name of a value's type for users."""
    return next((words for types, words in KINDS if isinstance(value, types)), "null")


def as_yaml(value: t.Any) -> str:
    """Return a value as YAML for a message; empty if it is long."""
    if value is None:
        return "null"
    if isinstance(value, (bool, datetime.date, datetime.time)):
        return str(value).lower()
    text = ""
    with contextlib.suppress(ValueError):  # too many digits for Python to convert to text
        text = repr(value)
    return text if len(text) <= MAX_VALUE_SHOWN else ""


def text_error(value: t.Any, secret: bool = False) -> str | None:
    """Return why a value cannot be used as text, or None. An integer is accepted, but not for a secret."""
    if isinstance(value, str):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not secret and as_yaml(value):
        return None
    shown = "" if secret else as_yaml(value)
    if isinstance(value, (dict, list, tuple, set)):
        return f"{shown or 'the value'} is {kind(value)}; it must be text"
    return f"{shown or 'the value'} is {kind(value)}, not text; put it in quotes" + (", even in a vault file" * secret)


def drop_nulls(values: Values) -> Values:
    """Return the values that the task sets, without the nulls that core adds for omitted options."""
    given = {k: _drop_nulls(v) for k, v in values.items() if v is not None}
    return {k: v for k, v in given.items() if v != {}}


def _drop_nulls(value: t.Any) -> t.Any:
    if isinstance(value, list):
        return [_drop_nulls(item) for item in value]
    return drop_nulls(value) if isinstance(value, dict) else value


def explicit_nulls(resource: Resource, given: Values) -> Values:
    """Return the nulls that a task sets explicitly, from its options before core adds nulls for omitted ones.

    An empty text counts as null.
    """
    return {f.name: None for f in resource.writable if f.nullable and f.name in given and given[f.name] in (None, "")}


def validate(resource: Resource, values: Values, where: str = "") -> list[str]:
    """Return a sentence for each invalid option of one object.

    ``where`` prefixes the names of the options. Values may still have the types that YAML gave them.
    """
    found = _field_errors((*resource.options, *resource.query), values, where)
    for f in resource.references:
        if values.get(f.name) is not None and values.get(f.name_option) is not None:
            found.append(f"{where}{f.name_option}: {f.name} is also set; keep one of them")
    problem = resource.check(values) if resource.check and not found else None
    found += [f"{where}{problem}"] if problem else []
    key = resource.id_field
    own = [f for f in resource.fields if f.name == key and f.pattern]
    return found + (_field_errors(own, values, where) if own else id_errors(values.get(key), f"{where}{key}"))


def id_errors(identifier: t.Any, place: str) -> list[str]:
    """Return a sentence if the value is not an id. ``place`` is the name of the option."""
    if identifier is None:
        return []
    reason = text_error(identifier)
    if not reason and not re.fullmatch(ID_PATTERN, str(identifier)):
        reason = f"{identifier!r} is not an id; it must consist of {ID_RULE}"
    return [f"{place}: {reason}"] if reason else []


def validate_entry(resource: Resource, entry: Values, where: str, *more: str) -> list[str]:
    """Return a sentence for each problem of a list entry; ``more`` are further allowed options."""
    states = ["state"] if resource.deletable else []
    known = {resource.id_field, *states, *more, *(f.name for f in resource.entry_options)}
    found = unknown_options(known, entry, where) + validate(resource, entry, where)
    state = entry.get("state", "present")
    if state not in ("present", "absent"):
        found.append(f"{where}state: {as_yaml(state) or 'the value'} is not allowed; it must be one of present, absent")
    return found


def limit_errors(limit: t.Any, place: str) -> list[str]:
    """Return a sentence if the value is not a limit for prune: a number of objects, or a percentage of all."""
    percentage = re.fullmatch(r"([0-9]{1,3})%", str(limit))
    if percentage and int(percentage.group(1)) <= 100:
        return []
    if re.fullmatch(r"[1-9][0-9]{0,8}", str(limit)):
        return []
    return [f"{place}: {limit!r} is not allowed; it must be a whole number of 1 or more, or a percentage such as 50%"]


def prune_error(pruned: list[str], existing: int, what: str, limit: str, prefix: str = "") -> str | None:
    """Return a sentence if pruning these, of ``existing`` objects, would exceed the limit; otherwise None.

    ``prefix`` prefixes the names of the options. Deleting one object is always allowed.
    """
    allowed = existing * int(limit[:-1]) // 100 if limit.endswith("%") else int(limit)
    if len(pruned) <= max(allowed, 1):
        return None
    more = len(pruned) - MAX_PRUNED_SHOWN
    listed = ", ".join([*pruned[:MAX_PRUNED_SHOWN], *([f"and {more} more"] if more > 0 else [])])
    return (
        f"{prefix}prune: {len(pruned)} of the {existing} {what} would be deleted, more than {prefix}prune_limit "
        f"({limit}) allows: {listed}; check that the list is complete, or set {prefix}prune_limit to {len(pruned)}"
    )


def entry_label(where: str, entry: Values) -> str:
    """Return the label of an entry: its position and its name, because lists may be merged from many hosts."""
    names = ("name", "host", "email")
    known = " on ".join(entry[key] for key in names if isinstance(entry.get(key), str) and entry[key])
    return f"{where} ({known})" if known else where


def unknown_options(known: set[str], values: Values, where: str) -> list[str]:
    """Return a sentence for each unknown option, with a similar option if there is one."""
    found = []
    for name in sorted(str(name) for name in values if name not in known):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}?" if close else f"valid options are {', '.join(sorted(known))}"
        found.append(f"{where}{name}: unknown option; {meant}")
    return found


def _field_errors(fields: t.Iterable[Field], values: Values, where: str) -> list[str]:
    found: list[str] = []
    for f in fields:
        value = values.get(f.name)
        if value is not None:
            found += _errors_in(f, value, f"{where}{f.name}")
    return found


def _errors_in(f: Field, value: t.Any, place: str) -> list[str]:
    """Return a sentence for each problem of one value, at any depth. ``place`` is its name."""
    if value is None:
        return [f"{place}: null is not allowed; set a value, or omit it"]
    value = _coerce(f, value)
    if f.fields:
        if isinstance(value, dict):
            unknown = unknown_options({member.name for member in f.fields}, value, f"{place}.")
            return unknown + _field_errors(f.fields, value, f"{place}.")
        return [f"{place}: {kind(value)} was given; it must be a dictionary"]
    if not f.elements:
        reason = _value_error(f, value)
        return [f"{place}: {reason}"] if reason else []
    if not isinstance(value, list):
        return [f"{place}: {kind(value)} was given; it must be a list"]
    if f.maximum is not None and len(value) > f.maximum:
        return [f"{place}: {len(value)} elements are too many; the maximum is {f.maximum}"]
    found = [problem for n, item in enumerate(value) for problem in _errors_in(f.elements, item, f"{place}[{n}]")]
    items = [_coerce(f.elements, item) for item in value]
    return found or _missing_members(f, items, place) or _duplicate_items(f, items, place)


def _coerce(f: Field, value: t.Any) -> t.Any:
    """Return the value as core converts it: text may represent a dictionary or a list, unless it contains secrets."""
    if isinstance(value, str) and not any(member.secret for member in f.fields):
        with contextlib.suppress(TypeError, ValueError):
            if f.fields:
                return check_type_dict(value)
            if f.elements and not f.elements.fields:
                return check_type_list(value)
    return value


def _missing_members(f: Field, items: list[t.Any], place: str) -> list[str]:
    """Return a sentence for each object of a list that lacks a member."""
    members = [m for m in t.cast(Field, f.elements).fields if m.required or m.name in f.key]
    found = []
    for n, item in enumerate(items):
        for m in members:
            if item.get(m.name) is None:
                reason = "null is not allowed" if m.name in item else "missing"
                remedy = 'put "null" in quotes' if "null" in m.choices and m.name in item else "set a value"
                found.append(f"{place}[{n}].{m.name}: {reason}; {remedy}")
    return found


def _duplicate_items(f: Field, items: list[t.Any], place: str) -> list[str]:
    """Return a sentence for each duplicate object of a list."""
    seen: dict[t.Any, int] = {}
    found = []
    for n, item in enumerate(items if f.key else []):
        earlier = seen.setdefault(f.element_key(item), n)
        if earlier != n:
            values = ", ".join(str(item[name]) for name in f.key)
            found.append(
                f"{place}[{earlier}] and {place}[{n}] have the same {listed(f.key)} ({values}); keep one of them"
            )
    return found


def _value_error(f: Field, value: t.Any) -> str | None:
    """Return why a value is not allowed, or None. The text never contains the value of a secret."""
    if f.type == "int":
        number = whole_number(value)
        minimum, maximum = f.minimum or 0, MAX_INTEGER if f.maximum is None else f.maximum
        if number is not None and minimum <= number <= maximum:
            return None
        given = as_yaml(value) or "the value"
        unlimited = f.maximum is None and not (number and number > maximum)
        allowed = f"of {minimum} or more" if unlimited else f"from {minimum} to {maximum}"
        return f"{given} is not allowed; it must be a whole number {allowed}"
    if f.type == "float":
        above = float("-inf" if f.exclusive_minimum is None else f.exclusive_minimum)
        least = float("-inf" if f.minimum is None else f.minimum)
        if _is_number(value) and float(value) > above and float(value) >= least:
            return None
        allowed = "" if f.exclusive_minimum is None else f" greater than {f.exclusive_minimum}"
        allowed += "" if f.minimum is None else f" of {f.minimum} or more"
        return f"{as_yaml(value) or 'the value'} is not allowed; it must be a number{allowed}"
    if f.type == "bool":
        try:
            check_type_bool(value)
        except TypeError:
            return f"{as_yaml(value) or 'the value'} is not allowed; it must be true or false"
        return None
    reason = text_error(value, f.secret)
    if reason:
        return reason
    text = str(value)
    if f.secret:
        if not text:
            return "empty; check that its variable or lookup is set"
        if text in MASKS:
            return "the value is the mask of a secret; set the secret itself"
        return None if re.fullmatch(f.pattern or ".*", text) else f"the value is not allowed; it must be {f.must_be}"
    if any(mask in text for mask in MASKS):
        return f"{text!r} contains the mask of a secret; set the value itself"
    if f.choices and text not in f.choices:
        return f"{value!r} is not allowed; it must be one of {', '.join(f.choices)}"
    if not _matches(f, text):
        shown = repr(value) if len(text) <= MAX_TEXT_SHOWN else f"text of {len(text)} characters"
        return f"{shown} is not allowed; it must be {f.must_be}"
    return None


def whole_number(value: t.Any) -> int | None:
    """Return the value as an integer, or None. Independent of core, whose releases treat ``5432.0`` differently."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,30}\s*", value) else None


def _is_number(value: t.Any) -> bool:
    """Whether a value or a text is a number that JSON can represent."""
    try:
        return not isinstance(value, bool) and isinstance(value, (int, float, str)) and math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def _matches(f: Field, value: str) -> bool:
    try:
        return not (f.pattern and not re.fullmatch(f.pattern, value)) and (not f.normalize or bool(f.normalize(value)))
    except ValueError:
        return False


def shape_errors(name: str, listed: t.Any) -> list[str]:
    """Return a sentence for each entry that is not a dictionary. Core would parse text and misread passwords."""
    if listed is None:
        return []
    if not isinstance(listed, list):
        return [f"{name}: {kind(listed)} was given; it must be a list of dictionaries"]
    others = [(n, kind(entry)) for n, entry in enumerate(listed) if not isinstance(entry, dict)]
    return [f"{name}[{n}]: {what} was given; it must be a dictionary" for n, what in others]


def missing_identity(resource: Resource, wanted: Values, where: str = "", by_id: bool = True) -> str | None:
    """Return a sentence if the task does not identify an object, otherwise None.

    For a singleton, the required fields must be set.
    """
    if resource.is_singleton:
        unset = [f for f in resource.writable if f.required and f.name not in wanted]
        clearing = ", or null to clear it" if unset and unset[0].nullable else ""
        return f"{unset[0].name}: missing; set a value{clearing}" if unset else None
    missing = [n for n in resource.needed_to_find if n not in wanted]
    if missing and resource.id_field not in wanted:
        known = listed(resource.needed_to_find) + (f", or {resource.id_field}," if by_id else "")
        return f"{where}{missing[0]}: missing; set {known} to identify the {resource.noun}"
    if resource.nested and resource.nested.noun in wanted:
        return missing_identity(
            resource.nested, wanted[resource.nested.noun], f"{where}{resource.nested.noun}.", by_id=False
        )
    return None


def listed(names: t.Sequence[str]) -> str:
    """Return the names as words: ``a, b and c``."""
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def computed_error(fields: t.Iterable[Field], values: Values) -> str | None:
    """Return what is wrong with a result that the server computed, or None if it has these fields."""
    missing = next((f.name for f in fields if f.required and values.get(f.name) is None), None)
    return f"no {missing}" if missing else _type_error(fields, values)


def response_error(resource: Resource, values: Values) -> str | None:
    """Return what is wrong with an object in an answer, or None if it is a valid object of this resource.

    Its id is used in paths and its fields are compared, so their types must match the contract.
    """
    name = resource.answer_key
    identifier = values.get(name)
    if name and not (isinstance(identifier, str) and re.fullmatch(ID_PATTERN, identifier)):
        # Shown whole or not at all: masking does not find a secret in a part of it.
        shown = repr(identifier)
        return f"an object without a usable {name}" + (f" ({name}: {shown})" if len(shown) <= 60 else "")
    return _type_error(resource.fields, values)


def _type_error(fields: t.Iterable[Field], values: Values) -> str | None:
    types: dict[str, type | tuple[type, ...]] = {
        "str": str,
        "int": int,
        "float": (int, float),
        "bool": bool,
        "dict": dict,
        "list": list,
    }
    for f in fields:
        value = values.get(f.name)
        if value is None or f.secret:
            continue
        if not isinstance(value, types[f.type]) or (f.type in ("int", "float") and isinstance(value, bool)):
            return f"an object in which the type of {f.name} is not {f.type}"
        if isinstance(value, dict) and (wrong := _type_error(f.fields, value)):
            return wrong
        if f.elements and isinstance(value, list):
            for item in value:
                if item is None:
                    return f"an object in which the type of {f.elements.name} is not {f.elements.type}"
                if wrong := _type_error([f.elements], {f.elements.name: item}):
                    return wrong
    return None
