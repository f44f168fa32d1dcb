# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a resource's table of fields: find, plan, predict and diff. No I/O.

``wanted`` is what the task names, without what it leaves out; ``current`` is the object as the server has it.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import ID_PATTERN, Field, Resource, Values

Identities = frozenset[tuple[t.Any, ...]]
NOT_SHOWN = "(sent, not shown)"


class PlanError(Exception):
    """The task cannot be carried out as it stands; the text is one sentence for the user and holds no secret."""


@dataclass
class Plan:
    """What one object needs: the action, the body to send, and what moves."""

    resource: Resource
    action: str
    wanted: Values
    current: Values | None = None
    body: Values = field(default_factory=dict)
    #: What a create does not take, to be sent after it where the object made has another value.
    late: Values = field(default_factory=dict)
    #: The objects in whose place this one is, to be deleted after it is made.
    replaces: list[Values] = field(default_factory=list)
    #: The first object that is made in the same call.
    first: Plan | None = None
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.resource.describe(self.current or self.wanted)

    @property
    def id(self) -> str | None:
        return (self.current or {}).get("id")

    @property
    def about(self) -> list[Values]:
        """The objects that are there and that this plan keeps, changes or removes."""
        return [item for item in (self.current, *self.replaces) if item]

    @property
    def moves_identity(self) -> bool:
        """Whether an object is found by other fields after this plan, or for the first time."""
        return self.action == "created" or not {*self.resource.identity, self.resource.tie_breaker}.isdisjoint(
            self.changes
        )

    @property
    def relocates(self) -> bool:
        """Whether an object that is there is found by other fields after this plan."""
        return self.action in ("updated", "replaced") and self.moves_identity

    @property
    def request(self) -> Values:
        """The body of the first write."""
        return {**self.body, self.first.resource.noun: self.first.body} if self.first else self.body

    def done(self, register: Register) -> Values | None:
        """The object after this plan's first write, where the register shows that it was made; else None."""
        if self.action == "deleted":
            return None if self.id and register.find({"id": self.id}) else {}
        if not self.body:
            return self.current
        try:
            # A create is looked for by the very body that was sent, username and all.
            looked_for = {"id": self.id} if self.action == "updated" else self.body
            register = register.without(self.replaces)
            shared = frozenset([identity(self.resource, self.body)])
            found = register.find(looked_for, shared=shared, replace=self.action == "replaced")
            if found is None or self.action == "created":
                return found
            moved = plan(self.resource, self.body, found, "present", False).action != "unchanged"
        except PlanError:
            return None
        hidden = any(f.secret and f.name in self.body for f in self.resource.fields)
        return None if hidden or moved else found

    def diff(self) -> dict[str, t.Any]:
        """Ansible's diff of this plan: only what moves, headed by the object it moves in."""
        header = f"{self.label} ({self.id})" if self.id else self.label
        return {"before_header": header, "after_header": header, "before": self.before, "after": self.after}

    def predict(self) -> Values:
        """The object after the plan, every API field named; null for what only the server knows."""
        if self.action == "deleted" or (self.action == "unchanged" and self.current is None):
            return {}
        known = {**(self.current or {}), **_shown(self.resource, self.body), **self.late}
        if self.action == "replaced" and self.body:
            known.update((f.name, None) for f in self.resource.fields if f.read_only and f.name != self.resource.parent)
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
    types = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
    for f in fields:
        value = values.get(f.name)
        if value is None or f.secret:
            continue
        if not isinstance(value, types[f.type]) or (f.type == "int" and isinstance(value, bool)):
            return f"an object whose {f.name} is no {f.type}"
        if isinstance(value, dict) and (wrong := _mistyped(f.fields, value)):
            return wrong
        if f.elements and isinstance(value, list):
            for item in value:
                if item is None:
                    return f"an object whose {f.elements.name} is no {f.elements.type}"
                if wrong := _mistyped([f.elements], {f.elements.name: item}):
                    return wrong
    return None


def incomplete(resource: Resource, wanted: Values, where: str = "", or_id: str = ", or the id,") -> str | None:
    """A sentence where the task names too little to find an object by, else None."""
    missing = [n for n in resource.identity if n not in wanted and resource.field(n).initial is None]
    if missing and "id" not in wanted:
        known = _listed(resource.identity)
        return f"{where}{missing[0]}: it is missing; give {known}{or_id} to say which {resource.noun}"
    if resource.first and resource.first.noun in wanted:
        return incomplete(resource.first, wanted[resource.first.noun], f"{where}{resource.first.noun}.", or_id="")
    return None


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


def collisions(plans: list[Plan], name: t.Callable[[int], str]) -> list[str]:
    """Sentences on plans of one list that are about one object, or would make two that only their ids tell apart.

    Two that are so already, and that the list names by their ids, may stay. ``name`` tells an entry's place in words.
    """
    found = []
    about: dict[str, int] = {}
    remaining: Claims | None = None
    for index, plan in enumerate(plans):
        for item in plan.about:
            earlier = about.setdefault(item["id"], index)
            if earlier != index:
                what = f"{plan.resource.noun} {item['id']}"
                found.append(f"{name(earlier)} and {name(index)} are both {what}; keep one of them")
        if plan.action == "created" or (plan.current and plan.action != "deleted"):
            values = {key: value for key, value in {**(plan.current or {}), **plan.wanted}.items() if key != "id"}
            remaining = remaining or Claims(plan.resource)
            place = remaining.find(values)
            if place is not None and (plan.moves_identity or plans[place].moves_identity):
                what = plan.resource.describe(values)
                found.append(f"{name(place)} and {name(index)} would both be {what}; keep one of them")
            remaining.add(values, index)
    return found


def crowded(plan: Plan, others: Register) -> str | None:
    """A sentence where an object would move to the place of another one that stays, else None."""
    values = {**(plan.current or {}), **plan.wanted}
    breaker = plan.resource.tie_breaker
    alike = [item["id"] for item in others.like({**values, "id": plan.id}) if item.get(breaker) == values.get(breaker)]
    if not alike:
        return None
    return (
        f"{plan.resource.describe(values)} is in PgBeam already ({', '.join(alike)}), and only their ids would tell it "
        f"from {plan.id}; remove it first, or leave {plan.id} where it is"
    )


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
    return tuple(resource.field(n).folded(resource.identifying(values, n)) for n in resource.identity)


class Register:
    """The server's objects of one parent, to find the one that a task means."""

    def __init__(self, resource: Resource, existing: list[Values]) -> None:
        self._resource = resource
        self._by_id = {item.get("id"): item for item in existing}
        self._by_identity: dict[tuple[t.Any, ...], list[Values]] = {}
        for item in self._by_id.values():  # a page that shifts while it is read can hold an object again
            self._by_identity.setdefault(identity(resource, item), []).append(item)

    def without(self, items: t.Sequence[Values]) -> Register:
        ids = {item["id"] for item in items}
        return Register(self._resource, [item for key, item in self._by_id.items() if key not in ids]) if ids else self

    def like(self, values: Values) -> list[Values]:
        """The other objects of the same identity."""
        return [m for m in self._by_identity.get(identity(self._resource, values), []) if m["id"] != values["id"]]

    def find(
        self, wanted: Values, state: str = "present", shared: Identities = frozenset(), replace: bool = False
    ) -> Values | None:
        """The object that ``wanted`` means, None where there is none.

        By id where that is named, else by identity, where the tie breaker narrows a tie. It has to agree even without
        a tie where ``shared`` holds the identity, as the list names it twice, and where a deletion names it: the second
        run must not delete the other one. Where objects may be replaced, one that is as wanted already is meant: the
        others are what a replacement that was interrupted has left. Raises PlanError where it is not clear which object
        is meant.
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
        if len(matches) > 1 and replace and state == "present":
            fitting = [m for m in matches if not any(_moves(f, wanted, m) for f in self._resource.writable)]
            matches = fitting if len(fitting) == 1 else matches
        if len(matches) > 1:
            raise PlanError(self._told(wanted, matches))
        return matches[0] if matches else None

    def twins(self) -> list[str]:
        """Sentences on the objects that nothing but their ids tells apart."""
        if not self._resource.identity:
            return []
        alike: dict[tuple[t.Any, ...], list[Values]] = {}
        for key, items in self._by_identity.items():
            for item in items:
                alike.setdefault((*key, item.get(self._resource.tie_breaker)), []).append(item)
        return [self._told(items[0], items) for items in alike.values() if len(items) > 1]

    def _told(self, wanted: Values, matches: list[Values]) -> str:
        ids = ", ".join(sorted(m["id"] for m in matches))
        return (
            f"{self._resource.describe(wanted)} is in PgBeam {len(matches)} times ({ids}); "
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


def plan(
    resource: Resource,
    wanted: Values,
    current: Values | None,
    state: str,
    resend_secrets: bool,
    twins: list[Values] | None = None,
) -> Plan:
    """What has to be done so that the object is as the task says. Raises PlanError where it cannot be done.

    ``twins`` are the others of the identity that it is to have, where the task allows to replace it; else None.
    """
    if current:
        _refuse_drift(resource, wanted, current)
    if state == "absent":
        return plan_delete(resource, wanted, current)
    if current is None:
        return _plan_create(resource, wanted)
    if not resource.update_verb:
        return _plan_replace(resource, wanted, current, twins)
    return _plan_update(resource, wanted, current, resend_secrets)


def _refuse_drift(resource: Resource, wanted: Values, current: Values) -> None:
    """Raise PlanError where the task has another value of what never changes: it may mean another object."""
    for f in resource.writable:
        if f.immutable and _moves(f, wanted, current):
            old = f.default if current.get(f.name) is None else current[f.name]
            raise PlanError(
                f"{resource.describe(current)}: {f.name} is {old!r} and cannot be changed to {wanted[f.name]!r}; "
                f"name what it is, leave it out, or make another {resource.noun}"
            )


def plan_delete(resource: Resource, wanted: Values, current: Values | None) -> Plan:
    """The plan for an object that has to be absent."""
    if current is None:
        return Plan(resource, "unchanged", wanted)
    return Plan(resource, "deleted", wanted, current, before=dict(current))


def refuse_surplus(plan: Plan, items: list[Values], expected: t.Sequence[str]) -> None:
    """Raise PlanError where a deletion takes first objects with it that the task does not name or expect.

    ``items`` are those that are there. One is expected by its id, or by a name that no other one has.
    """
    first = t.cast(Resource, plan.resource.first)
    wanted = plan.wanted.get(first.noun)
    meant = None
    with contextlib.suppress(PlanError):  # of several that the task may mean, it expects none
        meant = Register(first, items).find(wanted, "absent") if wanted else None
    names = [item.get("name") for item in items]
    surplus = [
        item
        for item in items
        if item["id"] not in expected
        and not (item.get("name") in expected and names.count(item.get("name")) == 1)
        and item is not meant
    ]
    if surplus:
        told = ", ".join(f"{first.describe(item)} ({item['id']})" for item in surplus[:5])
        more = f" and {len(surplus) - 5} more" if len(surplus) > 5 else ""
        raise PlanError(
            f"{plan.label} ({plan.id}) would go with {len(items)} {first.plural}, {len(surplus)} of them not expected: "
            f"{told}{more}; list them in expected_{first.plural}, or set force: true"
        )


def _plan_create(resource: Resource, wanted: Values) -> Plan:
    if "id" in wanted:
        parent = wanted.get(resource.parent)
        place = f"in {resource.parent_noun} {parent}" if parent else "in PgBeam"
        raise PlanError(
            f"{resource.noun} {wanted['id']} is not {place}, or this key may not see it; "
            f"check the id, or leave it out to add a new {resource.noun}"
        )
    result = Plan(resource, "created", wanted)
    for f in resource.writable:
        value = wanted.get(f.name, f.initial)
        if value is None:
            if f.required:
                raise PlanError(_too_little(resource, wanted, f.name))
        elif f.late:
            result.late[f.name] = f.over(value, None)
        else:
            result.body[f.name] = f.over(value, None)
    sent = {**result.body, **{n: v for n, v in result.late.items() if not resource.field(n).same(v, None)}}
    result.changes = [name for f in resource.writable if f.name in sent for name in _names(f, wanted.get(f.name))]
    result.after = _shown(resource, sent, NOT_SHOWN)
    if resource.first:
        if resource.first.noun not in wanted:
            raise PlanError(_too_little(resource, wanted, resource.first.noun))
        result.first = _plan_create(resource.first, wanted[resource.first.noun])
    return result


def _too_little(resource: Resource, wanted: Values, missing: str) -> str:
    return f"{resource.describe(wanted)} is not in PgBeam yet; give {missing} to add it"


def _plan_update(resource: Resource, wanted: Values, current: Values, resend_secrets: bool) -> Plan:
    result = Plan(resource, "unchanged", wanted, current)
    for f in resource.writable:
        if f.secret and resend_secrets and f.name in wanted:
            result.body[f.name] = wanted[f.name]
            result.changes.append(f.name)
            result.after[f.name] = NOT_SHOWN
        elif _moves(f, wanted, current):
            result.body[f.name] = f.over(wanted[f.name], current.get(f.name))
            _tell_move(result, f)
    if result.body:
        result.action = "updated"
    return result


def _plan_replace(resource: Resource, wanted: Values, current: Values, twins: list[Values] | None) -> Plan:
    """The plan for an object that the API cannot change. What comes in its place is made before it is removed.

    It may be there already, where a replacement was interrupted.
    """
    result = Plan(resource, "unchanged", wanted, current, replaces=[] if "id" in wanted else list(twins or []))
    moved = [f for f in resource.writable if _moves(f, wanted, current)]
    if moved and twins is None:
        old, new = current.get(moved[0].name), wanted[moved[0].name]
        raise PlanError(
            f"{result.label} ({result.id}): {moved[0].name} is {old!r} and PgBeam cannot change it to {new!r}; "
            "set replace: true to add it anew and then remove this one"
        )
    for f in moved:
        _tell_move(result, f)
    if moved:
        values = {**current, **wanted}
        body = {f.name: values[f.name] for f in resource.writable if values.get(f.name) is not None}
        made = [item for item in twins or [] if not any(_moves(f, body, item) for f in resource.writable)]
        result.current, result.body = (made[0], {}) if made else (current, body)
        result.replaces.insert(0, current)
    elif result.replaces:  # nothing moves but that it is there once
        result.changes = ["id"]
        result.before = {"id": [current["id"], *(item["id"] for item in result.replaces)]}
        result.after = {"id": [current["id"]]}
    if result.replaces:
        result.action = "replaced"
    return result


def _moves(f: Field, wanted: Values, current: Values) -> bool:
    """Whether the task wants a field otherwise than the server has it, as far as that can be seen."""
    return f.name in wanted and not f.secret and not f.same(wanted[f.name], current.get(f.name))


def _tell_move(result: Plan, f: Field) -> None:
    """Note what moves, of an object member by member."""
    value, old = result.wanted[f.name], (result.current or {}).get(f.name)
    if f.fields:
        old = f.over({}, old)
        moved = [m for m in f.fields if m.name in value and not m.same(value[m.name], old[m.name])]
        result.changes += [f"{f.name}.{m.name}" for m in moved]
        result.before[f.name] = {m.name: old[m.name] for m in moved}
        result.after[f.name] = {m.name: value[m.name] for m in moved}
    else:
        result.changes.append(f.name)
        result.before[f.name] = f.default if old is None else old
        result.after[f.name] = f.over(value, old)


def _names(f: Field, value: t.Any) -> list[str]:
    return [f"{f.name}.{m.name}" for m in f.fields if m.name in value] if f.fields else [f.name]


def _shown(resource: Resource, body: Values, marker: str | None = None) -> Values:
    """A body without its secrets, or with a marker in their place."""
    hidden = {f.name for f in resource.fields if f.secret}
    return {k: marker if k in hidden else v for k, v in body.items() if marker or k not in hidden}


def names(resource: Resource) -> set[str]:
    """The names that a plan's changes are told with."""
    inner = {f"{resource.first.noun}.{name}" for name in names(resource.first)} if resource.first else set()
    return inner.union(*({f.name, *(f"{f.name}.{m.name}" for m in f.fields)} for f in resource.writable))


def _listed(names: t.Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
