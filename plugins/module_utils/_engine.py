# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a resource's table of fields: options, checks, find, plan, predict and diff. No I/O.

``wanted`` is what the task names, without what it leaves out; ``current`` is the object as the server has it.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import difflib
import functools
import re
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.common.validation import check_type_bool, check_type_int

Values = dict[str, t.Any]
Identities = frozenset[tuple[t.Any, ...]]
ID_PATTERN = r"(?!\.{1,2}$)[a-zA-Z0-9_.-]+"
ID_RULE = "letters, digits, '_', '.' and '-'"
NOT_SHOWN = "(sent, not shown)"


class PlanError(Exception):
    """The task cannot be carried out as it stands; the text is one sentence for the user and holds no secret."""


@dataclass(frozen=True)
class Field:
    """One field of an API object and the option of the same name."""

    name: str
    type: str = "str"
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    #: A regular expression for the whole value, and what it allows in words.
    pattern: str | None = None
    rule: str = ""
    #: A create is refused without it.
    required: bool = False
    #: The value of an identity field that the task leaves out.
    initial: t.Any = None
    #: The documented value of a field that the server's answer leaves out.
    default: t.Any = None
    #: Never read back, so never compared; sent on create, later only when asked for; shown nowhere.
    secret: bool = False
    #: Set by the server alone.
    read_only: bool = False
    #: A read-only field that any write may change.
    recomputed: bool = False
    #: Compared without case.
    fold_case: bool = False
    #: The members of an object. Only named ones are compared; the object is sent whole.
    fields: tuple[Field, ...] = ()

    @property
    def members(self) -> Values:
        """The documented value of each member of an object."""
        return {member.name: member.default for member in self.fields}

    def same(self, left: t.Any, right: t.Any) -> bool:
        """Whether two values of this field mean the same to the server."""
        return bool(self._folded(left) == self._folded(right))

    def _folded(self, value: t.Any) -> t.Any:
        value = self.default if value is None else value
        if self.type == "int" and isinstance(value, str) and value.isdecimal():
            return int(value)  # a template gives text, and the role compares before core converts
        return value.lower() if self.fold_case and isinstance(value, str) else value


@dataclass(frozen=True)
class Resource:
    """One kind of API object: where it lives, what tells one from another, and its fields."""

    noun: str
    plural: str
    #: The collection's path; its placeholder is the option of the parent's id.
    path: str
    parent: str
    #: How an object is changed in place: only the fields of the body move.
    update_verb: str
    #: The fields that find an object where no id is given, and the one that narrows a tie.
    identity: tuple[str, ...]
    tie_breaker: str
    #: How one object is called in messages; filled from its fields.
    title: str
    #: The filters of the info module, ``id`` apart.
    filters: tuple[str, ...]
    #: What the list form tells of an object.
    summary: tuple[str, ...]
    #: The verb below an object's path that tests its connection.
    test: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        return self._by_name[name]

    @functools.cached_property
    def _by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    @property
    def writable(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if not f.read_only)

    def describe(self, values: Values) -> str:
        """The object in words, for messages and diff headers: by its identity where known, else by its id."""
        if all(values.get(name) is not None or self.field(name).initial is not None for name in self.identity):
            known = {name: _identity_value(self, values, name) for name in self.identity}
            return f"{self.noun} {self.title.format(**known)}"
        return f"{self.noun} {values.get('id') or '(unnamed)'}"


@dataclass
class Plan:
    """What one object needs: the action, the body to send, and what moves."""

    resource: Resource
    action: str
    wanted: Values
    current: Values | None = None
    body: Values = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.resource.describe(self.current or self.wanted)

    @property
    def id(self) -> str | None:
        return (self.current or {}).get("id")

    def done(self, register: Register) -> Values | None:
        """The object as this plan leaves it, where the register shows that it was carried out; else None."""
        if self.action == "deleted":
            return None if self.id and register.find({"id": self.id}) else {}
        try:
            # A create is looked for by the very body that was sent, username and all.
            looked_for = {"id": self.id} if self.id else self.body
            found = register.find(looked_for, shared=frozenset([identity(self.resource, self.body)]))
        except PlanError:
            return None
        if found is None or self.action == "created":
            return found
        hidden = any(f.secret and f.name in self.body for f in self.resource.fields)
        moved = plan(self.resource, self.body, found, "present", False).action != "unchanged"
        return None if hidden or moved else found

    def diff(self) -> dict[str, t.Any]:
        """Ansible's diff of this plan: only what moves, headed by the object it moves in."""
        header = f"{self.label} ({self.id})" if self.id else self.label
        return {"before_header": header, "after_header": header, "before": self.before, "after": self.after}

    def predict(self) -> Values:
        """The object after the plan, every API field named; null for what only the server knows."""
        if self.action == "deleted" or (self.action == "unchanged" and self.current is None):
            return {}
        known = {**(self.current or {}), **_shown(self.resource, self.body)}
        if self.action in ("created", "updated"):
            known.update((f.name, None) for f in self.resource.fields if f.recomputed)
        if self.resource.parent in {f.name for f in self.resource.fields}:
            known.setdefault(self.resource.parent, self.wanted.get(self.resource.parent))
        return whole(self.resource, known)


def whole(resource: Resource, values: Values) -> Values:
    """The server's object with every readable field named, null where the server leaves it out.

    A server never answers a secret; if one ever did, it would go no further than this.
    """
    return {**{f.name: None for f in resource.fields if not f.secret}, **_shown(resource, values)}


def misfit(resource: Resource, values: Values) -> str | None:
    """What is wrong with an object that the server answered, None where it is one of this resource.

    Its id goes into paths, and its fields are compared, so each has to be what the contract says.
    """
    identifier = values.get("id")
    if not isinstance(identifier, str) or not re.fullmatch(ID_PATTERN, identifier):
        # Whole or not at all: in a part of it, masking would not find a secret.
        shown = repr(identifier)
        return "an object without a usable id" + (f" (id: {shown})" if len(shown) <= 60 else "")
    return _mistyped(resource.fields, values)


def _mistyped(fields: t.Iterable[Field], values: Values) -> str | None:
    types = {"str": str, "int": int, "bool": bool, "dict": dict}
    for f in fields:
        value = values.get(f.name)
        if value is None or f.secret:
            continue
        if not isinstance(value, types[f.type]) or (f.type == "int" and isinstance(value, bool)):
            return f"an object whose {f.name} is no {f.type}"
        if isinstance(value, dict) and (wrong := _mistyped(f.fields, value)):
            return wrong
    return None


def argument_spec(fields: t.Iterable[Field]) -> dict[str, dict[str, t.Any]]:
    """The options of an argument spec for these fields. Nothing has a default: what is not named is not managed."""
    spec: dict[str, dict[str, t.Any]] = {}
    for f in fields:
        option: dict[str, t.Any] = {"type": f.type}
        if f.choices:
            option["choices"] = list(f.choices)
        if f.secret:
            # raw, because core turns a number given for a str into text, and the password it makes is another one.
            option.update(type="raw", no_log=True)
        if f.fields:
            option["options"] = argument_spec(f.fields)
        spec[f.name] = option
    return spec


def named(values: Values) -> Values:
    """What the task names: the values without the nulls that core puts in for what it leaves out."""
    given = {k: named(v) if isinstance(v, dict) else v for k, v in values.items() if v is not None}
    return {k: v for k, v in given.items() if v != {}}


def problems(resource: Resource, values: Values, where: str = "") -> list[str]:
    """Sentences on the values that the contract does not allow, for the options of one object.

    ``where`` goes before each option's name. Values may still be of the types that YAML gave them.
    """
    found = _bad_values(resource.writable, values, where)
    identifier = values.get("id")
    if identifier is not None and not re.fullmatch(ID_PATTERN, str(identifier)):
        found.append(f"{where}id: {identifier!r} is not an id; allowed are {ID_RULE}")
    return found


def unknown_options(known: set[str], values: Values, where: str) -> list[str]:
    """Sentences on the names that are no options, with the option that may have been meant."""
    found = []
    for name in sorted(str(name) for name in values if name not in known):
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
        found.append(f"{where}{name}: there is no such option; {meant}")
    return found


def _bad_values(fields: t.Iterable[Field], values: Values, where: str) -> list[str]:
    found: list[str] = []
    for f in fields:
        value = values.get(f.name)
        if value is None:
            continue
        if f.fields:
            if isinstance(value, dict):
                found += unknown_options({member.name for member in f.fields}, value, f"{where}{f.name}.")
                found += _bad_values(f.fields, value, f"{where}{f.name}.")
            elif not isinstance(value, str):  # core reads a text as a dictionary
                found.append(
                    f"{where}{f.name}: a value of type {type(value).__name__} was given; it must be a dictionary"
                )
        else:
            reason = _bad_value(f, value)
            if reason:
                found.append(f"{where}{f.name}: {reason}")
    return found


def _bad_value(f: Field, value: t.Any) -> str | None:
    """Why a value is not allowed, or None. A secret's value is never part of the answer."""
    if f.secret:
        if not isinstance(value, str):
            return f"a value of type {type(value).__name__} was given; write it as a quoted string"
        if not value:
            return "it is empty; check that the variable or the lookup that it comes from is set"
        fits = re.fullmatch(f.pattern or ".*", value)
        return None if fits else f"the value given is not allowed; it must be {f.rule}"
    if f.type == "int":
        allowed = f"a whole number from {f.minimum} to {f.maximum}"
        try:
            number = None if isinstance(value, bool) else check_type_int(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        low, high = f.minimum or 0, f.maximum or 0
        return (
            None if number is not None and low <= number <= high else f"{value!r} is not allowed; it must be {allowed}"
        )
    if f.type == "bool":
        try:
            check_type_bool(value)
        except TypeError:
            return f"{value!r} is not allowed; it must be true or false"
        return None
    if f.choices and str(value) not in f.choices:
        return f"{value!r} is not allowed; it must be one of {', '.join(f.choices)}"
    if f.pattern and not re.fullmatch(f.pattern, str(value)):
        return f"{value!r} is not allowed; it must be {f.rule}"
    return None


def incomplete(resource: Resource, wanted: Values, where: str = "") -> str | None:
    """A sentence where the task names too little to find an object by, else None."""
    missing = [n for n in resource.identity if n not in wanted and resource.field(n).initial is None]
    if "id" in wanted or not missing:
        return None
    known = _listed(resource.identity)
    return f"{where}{missing[0]}: it is missing; give {known}, or the id, to say which {resource.noun}"


def clashes(resource: Resource, entries: list[Values], name: t.Callable[[int], str]) -> list[str]:
    """Sentences on entries of one list that mean one object. ``name`` tells an entry's place in words."""
    found = []
    claims = Claims(resource)
    for index, entry in enumerate(entries):
        earlier = claims.find(entry)
        if earlier is not None:
            what = f"{resource.noun} {entry['id']}" if "id" in entry else resource.describe(entry)
            found.append(f"{name(earlier)} and {name(index)} are both {what}; keep one of them")
        claims.add(entry, index)
    return found


class Claims:
    """Entries of a list by the object that each means: its id, or its identity and, where it names one, tie breaker."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._seen: dict[tuple[t.Any, ...], list[tuple[int, t.Any]]] = {}

    def add(self, entry: Values, place: int) -> None:
        self._seen.setdefault(self._key(entry), []).append((place, entry.get(self._resource.tie_breaker)))

    def find(self, entry: Values) -> int | None:
        """The place of an added entry that means the same object, None where there is none."""
        breaker = entry.get(self._resource.tie_breaker)
        added = self._seen.get(self._key(entry), [])
        return next((p for p, other in added if "id" in entry or None in (breaker, other) or breaker == other), None)

    def _key(self, entry: Values) -> tuple[t.Any, ...]:
        return ("id", entry["id"]) if "id" in entry else identity(self._resource, entry)


def identity(resource: Resource, values: Values) -> tuple[t.Any, ...]:
    """What two objects must share to be the same registration, ready to compare."""
    return tuple(resource.field(n)._folded(_identity_value(resource, values, n)) for n in resource.identity)


def _identity_value(resource: Resource, values: Values, name: str) -> t.Any:
    value = values.get(name)
    return resource.field(name).initial if value is None else value


class Register:
    """The server's objects of one parent, to find the one that a task means."""

    def __init__(self, resource: Resource, existing: list[Values]) -> None:
        self._resource = resource
        self._by_id = {item.get("id"): item for item in existing}
        self._by_identity: dict[tuple[t.Any, ...], list[Values]] = {}
        for item in self._by_id.values():  # a page that shifts while it is read can hold an object again
            self._by_identity.setdefault(identity(resource, item), []).append(item)

    def find(self, wanted: Values, state: str = "present", shared: Identities = frozenset()) -> Values | None:
        """The object that ``wanted`` means, None where there is none.

        By id where that is named, else by identity, where the tie breaker narrows a tie. It has to agree even without
        a tie where ``shared`` holds the identity, as the list names it twice, and where a deletion names it: the second
        run must not delete the other one. Raises PlanError where it is not clear which object is meant.
        """
        if "id" in wanted:
            return self._by_id.get(wanted["id"])
        key = identity(self._resource, wanted)
        matches = self._by_identity.get(key, [])
        breaker = self._resource.tie_breaker
        if breaker in wanted:
            agreeing = [m for m in matches if m.get(breaker) == wanted[breaker]]
            if agreeing or state == "absent" or key in shared:
                matches = agreeing
        if len(matches) > 1:
            raise PlanError(self._told(wanted, matches))
        return matches[0] if matches else None

    def twins(self) -> list[str]:
        """Sentences on the objects that nothing but their ids tells apart."""
        alike: dict[tuple[t.Any, ...], list[Values]] = {}
        for key, items in self._by_identity.items():
            for item in items:
                alike.setdefault((*key, item.get(self._resource.tie_breaker)), []).append(item)
        return [self._told(items[0], items) for items in alike.values() if len(items) > 1]

    def _told(self, wanted: Values, matches: list[Values]) -> str:
        ids = ", ".join(sorted(m["id"] for m in matches))
        return (
            f"{self._resource.describe(wanted)} is registered {len(matches)} times ({ids}); "
            "name the one you mean by id, or remove each that is too many with its id and state=absent"
        )

    def unclaimed(self, claimed: t.Iterable[Values]) -> list[Values]:
        """The objects that no entry claims, in the server's order."""
        ids = {item["id"] for item in claimed}
        return [item for key, item in self._by_id.items() if key not in ids]


def shared_identities(resource: Resource, entries: list[Values]) -> Identities:
    """The identities that several entries of one list share, told apart by the tie breaker alone."""
    counts: dict[tuple[t.Any, ...], int] = {}
    for entry in entries:
        if "id" not in entry:
            key = identity(resource, entry)
            counts[key] = counts.get(key, 0) + 1
    return frozenset(key for key, count in counts.items() if count > 1)


def plan(resource: Resource, wanted: Values, current: Values | None, state: str, resend_secrets: bool) -> Plan:
    """What has to be done so that the object is as the task says. Raises PlanError where it cannot be done."""
    if state == "absent":
        return plan_delete(resource, wanted, current)
    if current is None:
        return _plan_create(resource, wanted)
    return _plan_update(resource, wanted, current, resend_secrets)


def plan_delete(resource: Resource, wanted: Values, current: Values | None) -> Plan:
    """The plan for an object that has to be absent."""
    if current is None:
        return Plan(resource, "unchanged", wanted)
    return Plan(resource, "deleted", wanted, current, before=dict(current))


def _plan_create(resource: Resource, wanted: Values) -> Plan:
    if "id" in wanted:
        raise PlanError(
            f"{resource.noun} {wanted['id']} is not in {resource.parent.removesuffix('_id')} "
            f"{wanted.get(resource.parent)}, or this key may not see it; "
            f"check the id, or leave it out to register a new {resource.noun}"
        )
    body: Values = {}
    for f in resource.writable:
        value = wanted.get(f.name, f.initial)
        if value is None:
            if f.required:
                raise PlanError(f"{resource.describe(wanted)} is not registered yet; give {f.name} to register it")
        else:
            body[f.name] = {**f.members, **value} if f.fields else value
    changes = [name for f in resource.writable if f.name in body for name in _names(f, wanted.get(f.name))]
    return Plan(resource, "created", wanted, body=body, changes=changes, after=_shown(resource, body, NOT_SHOWN))


def _plan_update(resource: Resource, wanted: Values, current: Values, resend_secrets: bool) -> Plan:
    result = Plan(resource, "unchanged", wanted, current)
    for f in resource.writable:
        if f.name not in wanted:
            continue
        value, old = wanted[f.name], current.get(f.name)
        if f.secret:
            if resend_secrets:
                result.body[f.name] = value
                result.changes.append(f.name)
                result.after[f.name] = NOT_SHOWN
        elif f.fields:
            server = {**f.members, **{k: v for k, v in (old or {}).items() if v is not None}}
            moved = [m for m in f.fields if m.name in value and not m.same(value[m.name], server[m.name])]
            if moved:
                result.body[f.name] = {**server, **value}
                result.changes += [f"{f.name}.{m.name}" for m in moved]
                result.before[f.name] = {m.name: server[m.name] for m in moved}
                result.after[f.name] = {m.name: value[m.name] for m in moved}
        elif not f.same(value, old):
            result.body[f.name] = value
            result.changes.append(f.name)
            result.before[f.name] = f.default if old is None else old
            result.after[f.name] = value
    if result.body:
        result.action = "updated"
    return result


def _names(f: Field, value: t.Any) -> list[str]:
    return [f"{f.name}.{m.name}" for m in f.fields if m.name in value] if f.fields else [f.name]


def _shown(resource: Resource, body: Values, marker: str | None = None) -> Values:
    """A body without its secrets, or with a marker in their place."""
    hidden = {f.name for f in resource.fields if f.secret}
    return {k: marker if k in hidden else v for k, v in body.items() if marker or k not in hidden}


def names(resource: Resource) -> set[str]:
    """The names that a plan's changes are told with."""
    return {name for f in resource.writable for name in (f.name, *(f"{f.name}.{m.name}" for m in f.fields))}


def _listed(names: t.Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
