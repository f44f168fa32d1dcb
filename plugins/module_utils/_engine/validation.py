# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with values, in words: those of options, before any request, and those that a server answers.

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

#: What YAML makes of unquoted text, in users' words; the first that fits.
KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((bool,), "a boolean"),
    ((int, float), "a number"),
    ((str,), "text"),
    ((bytes, bytearray), "binary data"),
    ((datetime.date, datetime.time), "a date"),
    ((dict,), "a dictionary"),
    ((list, tuple, set), "a list"),
)
#: What core and this collection write in the place of a secret.
MASKS = (MASK, "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")
MAX_PRUNED_SHOWN = 10
MAX_INTEGER = 2**63 - 1  # of an API that keeps 64 bits, where it names no other limit
MAX_VALUE_SHOWN = 60  # characters of a value in a message


def kind(value: t.Any) -> str:
    """The type of a value, in users' words."""
    return next((words for types, words in KINDS if isinstance(value, types)), "null")


def as_yaml(value: t.Any) -> str:
    """A value as YAML has it, for a message; nothing if it is long."""
    if isinstance(value, (bool, datetime.date, datetime.time)):
        return str(value).lower()
    text = ""
    with contextlib.suppress(ValueError):  # a number of more digits than Python turns into text
        text = repr(value)
    return text if len(text) <= MAX_VALUE_SHOWN else ""


def text_error(value: t.Any, secret: bool = False) -> str | None:
    """Why a value cannot be used where text is wanted, or None. An integer is taken as its digits, a secret is not."""
    if isinstance(value, str):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not secret and as_yaml(value):
        return None
    said = "" if secret else as_yaml(value)
    return f"{said or 'the value'} is {kind(value)}, not text; put it in quotes"


def drop_nulls(values: Values) -> Values:
    """What the task names: the values without the nulls that core puts in for what it leaves out."""
    given = {k: _drop_nulls(v) for k, v in values.items() if v is not None}
    return {k: v for k, v in given.items() if v != {}}


def _drop_nulls(value: t.Any) -> t.Any:
    if isinstance(value, list):
        return [_drop_nulls(item) for item in value]
    return drop_nulls(value) if isinstance(value, dict) else value


def explicit_nulls(resource: Resource, given: Values) -> Values:
    """The nulls that a task gives on purpose, from its options before core adds one for each that was left out.

    An empty text is one, too.
    """
    return {f.name: None for f in resource.writable if f.nullable and f.name in given and given[f.name] in (None, "")}


def validate(resource: Resource, values: Values, where: str = "") -> list[str]:
    """Sentences on the values that the contract does not allow, for the options of one object.

    ``where`` goes before each option's name. Values may still be of the types that YAML gave them.
    """
    found = _field_errors(resource.options, values, where)
    for f in resource.references:
        if values.get(f.name) is not None and values.get(f.name_option) is not None:
            found.append(f"{where}{f.name_option}: {f.name} is given as well; keep one of them")
    problem = resource.check(values) if resource.check and not found else None
    found += [f"{where}{problem}"] if problem else []
    key = resource.id_field
    own = [f for f in resource.fields if f.name == key and f.pattern]
    return found + (_field_errors(own, values, where) if own else id_errors(values.get(key), f"{where}{key}"))


def id_errors(identifier: t.Any, place: str) -> list[str]:
    """Sentences on what cannot be an id. ``place`` is the option's name."""
    if identifier is None:
        return []
    reason = text_error(identifier)
    if not reason and not re.fullmatch(ID_PATTERN, str(identifier)):
        reason = f"{identifier!r} is not an id; allowed are {ID_RULE}"
    return [f"{place}: {reason}"] if reason else []


def validate_entry(resource: Resource, entry: Values, where: str, *more: str) -> list[str]:
    """Sentences on an entry of a list; ``more`` are options beside the resource's."""
    states = ["state"] if resource.deletable else []
    known = {resource.id_field, *states, *more, *(f.name for f in resource.entry_options)}
    found = unknown_options(known, entry, where) + validate(resource, entry, where)
    state = entry.get("state", "present")
    if state not in ("present", "absent"):
        found.append(f"{where}state: {state!r} is not allowed; it must be one of present, absent")
    return found


def limit_errors(limit: t.Any, place: str) -> list[str]:
    """Sentences on what is no limit of how many objects may be deleted: a number, or a percentage of all."""
    percentage = re.fullmatch(r"([0-9]{1,3})%", str(limit))
    if percentage and int(percentage.group(1)) <= 100:
        return []
    if re.fullmatch(r"[1-9][0-9]{0,8}", str(limit)):
        return []
    return [f"{place}: {limit!r} is not allowed; it must be a whole number of 1 or more, or a percentage such as 50%"]


def prune_error(pruned: list[str], existing: int, what: str, limit: str, prefix: str = "") -> str | None:
    """A sentence if pruning these, of so many that are there, would pass the limit; else None.

    ``prefix`` begins the names of the options. One may always go: it is a slip of one entry at most.
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
    """The place of an entry with what identifies it: many hosts may have made the list, so an index says little."""
    names = ("name", "host", "email")
    known = " on ".join(entry[key] for key in names if isinstance(entry.get(key), str) and entry[key])
    return f"{where} ({known})" if known else where


def unknown_options(known: set[str], values: Values, where: str) -> list[str]:
    """Sentences on the names that are no options, with the option that may have been meant."""
    found = []
    for name in sorted(str(name) for name in values if name not in known):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
        found.append(f"{where}{name}: there is no such option; {meant}")
    return found


def _field_errors(fields: t.Iterable[Field], values: Values, where: str) -> list[str]:
    found: list[str] = []
    for f in fields:
        value = values.get(f.name)
        if value is not None:
            found += _errors_in(f, value, f"{where}{f.name}")
    return found


def _errors_in(f: Field, value: t.Any, place: str) -> list[str]:
    """Sentences on one value, whatever it is made of. ``place`` is its name."""
    if value is None:
        return [f"{place}: it is null; give a value, or leave it out"]
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
        return [f"{place}: {len(value)} elements were given; it must be {f.maximum} at most"]
    found = [told for n, item in enumerate(value) for told in _errors_in(f.elements, item, f"{place}[{n}]")]
    items = [_coerce(f.elements, item) for item in value]
    return found or _missing_members(f, items, place) or _duplicate_items(f, items, place)


def _coerce(f: Field, value: t.Any) -> t.Any:
    """The value as core reads it: a text may stand for a dictionary, or for a list. One with a secret in it may not."""
    if isinstance(value, str) and not any(member.secret for member in f.fields):
        with contextlib.suppress(TypeError, ValueError):
            if f.fields:
                return check_type_dict(value)
            if f.elements and not f.elements.fields:
                return check_type_list(value)
    return value


def _missing_members(f: Field, items: list[t.Any], place: str) -> list[str]:
    """Sentences on the objects of a list that lack a member."""
    members = [m for m in t.cast(Field, f.elements).fields if m.required or m.name in f.key]
    found = []
    for n, item in enumerate(items):
        for m in members:
            if item.get(m.name) is None:
                quoted = '; put "null" in quotes' if "null" in m.choices and m.name in item else ""
                found.append(f"{place}[{n}].{m.name}: it is {'null' if m.name in item else 'missing'}{quoted}")
    return found


def _duplicate_items(f: Field, items: list[t.Any], place: str) -> list[str]:
    """Sentences on the objects of a list that are one, and may say different things of it."""
    seen: dict[t.Any, int] = {}
    found = []
    for n, item in enumerate(items if f.key else []):
        earlier = seen.setdefault(f.element_key(item), n)
        if earlier != n:
            both = ", ".join(f"{name} {item[name]}" for name in f.key)
            found.append(f"{place}[{earlier}] and {place}[{n}] are both {both}; keep one of them")
    return found


def _value_error(f: Field, value: t.Any) -> str | None:
    """Why a value is not allowed, or None. A secret's value is never part of the answer."""
    if f.type == "int":
        number = whole_number(value)
        least, most = f.minimum or 0, MAX_INTEGER if f.maximum is None else f.maximum
        if number is not None and least <= number <= most:
            return None
        given = as_yaml(value) or "the value"
        allowed = f"of {least} or more" if f.maximum is None else f"from {least} to {most}"
        return f"{given} is not allowed; it must be a whole number {allowed}"
    if f.type == "float":
        if _is_number(value) and float(value) > float("-inf" if f.exclusive_minimum is None else f.exclusive_minimum):
            return None
        allowed = "" if f.exclusive_minimum is None else f" greater than {f.exclusive_minimum}"
        return f"{as_yaml(value) or 'the value'} is not allowed; it must be a number{allowed}"
    if f.type == "bool":
        try:
            check_type_bool(value)
        except TypeError:
            return f"{as_yaml(value) or 'the value'} is not allowed; it must be true or false"
        return None
    reason = text_error(value, f.secret)
    if reason:
        return f"{reason}, in a vault file too" if f.secret else reason
    text = str(value)
    if f.secret:
        if not text:
            return "it is empty; check that the variable or the lookup that it comes from is set"
        if text in MASKS:
            return "the value is a mask that stands for a secret; give the secret itself"
        return (
            None if re.fullmatch(f.pattern or ".*", text) else f"the value given is not allowed; it must be {f.must_be}"
        )
    if any(mask in text for mask in MASKS):
        return f"{text!r} contains the mask of a secret, as in a result that was masked; give the value itself"
    if f.choices and text not in f.choices:
        return f"{value!r} is not allowed; it must be one of {', '.join(f.choices)}"
    if not _matches(f, text):
        return f"{value!r} is not allowed; it must be {f.must_be}"
    return None


def whole_number(value: t.Any) -> int | None:
    """The integer that a value stands for, None if it is none. The same on all cores, which differ over ``5432.0``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,30}\s*", value) else None


def _is_number(value: t.Any) -> bool:
    """Whether a value, or the number that a text stands for, can be sent as a number of JSON."""
    try:
        return not isinstance(value, bool) and isinstance(value, (int, float, str)) and math.isfinite(float(value))
    except (ValueError, OverflowError):
        return False


def _matches(f: Field, value: str) -> bool:
    try:
        return not (f.pattern and not re.fullmatch(f.pattern, value)) and (not f.normalize or bool(f.normalize(value)))
    except ValueError:
        return False


def missing_identity(resource: Resource, wanted: Values, where: str = "", by_id: bool = True) -> str | None:
    """A sentence where the task names too little to find an object by, else None.

    Of an object that always exists, that is also what is required of it.
    """
    if resource.is_singleton:
        unset = [f for f in resource.writable if f.required and f.name not in wanted]
        clearing = ", or null to clear it" if unset and unset[0].nullable else ""
        return f"{unset[0].name}: it is missing; give a value{clearing}" if unset else None
    missing = [n for n in resource.needed_to_find if n not in wanted]
    if missing and resource.id_field not in wanted:
        known = _join(resource.identity) + (f", or the {resource.id_field}," if by_id else "")
        return f"{where}{missing[0]}: it is missing; give {known} to say which {resource.noun}"
    if resource.nested and resource.nested.noun in wanted:
        return missing_identity(
            resource.nested, wanted[resource.nested.noun], f"{where}{resource.nested.noun}.", by_id=False
        )
    return None


def _join(names: t.Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def response_error(resource: Resource, values: Values) -> str | None:
    """What is wrong with an object that the server answered, None where it is one of this resource.

    Its id goes into paths, and its fields are compared, so each has to be what the contract says.
    """
    name = resource.answer_key
    identifier = values.get(name)
    if not isinstance(identifier, str) or not re.fullmatch(ID_PATTERN, identifier):
        # Whole or not at all: in a part of it, masking would not find a secret.
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
            return f"an object whose {f.name} is no {f.type}"
        if isinstance(value, dict) and (wrong := _type_error(f.fields, value)):
            return wrong
        if f.elements and isinstance(value, list):
            for item in value:
                if item is None:
                    return f"an object whose {f.elements.name} is no {f.elements.type}"
                if wrong := _type_error([f.elements], {f.elements.name: item}):
                    return wrong
    return None
