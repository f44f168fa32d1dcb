# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from a resource's table of fields: plan, predict and diff, and what the plans of a list make. No I/O.

``wanted`` is what the task names, without what it leaves out; ``current`` is the object as the server has it.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import timestamp
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import EntryIndex, Index, identity
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import (
    Field,
    Resource,
    UnresolvedName,
    Values,
)

NOT_SHOWN = "(sent, not shown)"
NEWLY_ISSUED = "(new, not shown)"


@dataclass
class Plan:
    """What one object needs: the action, the body to send, and what moves."""

    resource: Resource
    action: str
    wanted: Values
    current: Values | None = None
    body: Values = field(default_factory=dict)
    #: The objects in whose place this one is, to be deleted after it is made.
    replaces: list[Values] = field(default_factory=list)
    #: The first object that is made in the same call.
    nested: Plan | None = None
    #: Whether new secrets are issued for an object that exists.
    rotates: bool = False
    #: What the action that the task asks for is to make of the object.
    achieves: Values = field(default_factory=dict)
    #: What an object of the identity has become: one of another resource, so that there is nothing to create.
    became: Values = field(default_factory=dict)
    #: What the user should know before the plan is carried out.
    warnings: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.resource.describe(self.current or self.wanted)

    @property
    def id(self) -> str | None:
        return (self.current or {}).get(self.resource.id_field)

    @property
    def affected(self) -> list[Values]:
        """The objects that are there and that this plan keeps, changes or removes."""
        return [item for item in (self.current, *self.replaces) if item]

    @property
    def changes_identity(self) -> bool:
        """Whether an object is found by other fields after this plan, or for the first time."""
        return not {*self.resource.identity, self.resource.tie_breaker}.isdisjoint(self.changes)

    @property
    def moves_existing(self) -> bool:
        """Whether an object that is there is found by other fields after this plan."""
        return bool(self.current) and self.changes_identity

    @property
    def deferred(self) -> Values:
        """What the task names and the create does not carry, to be sent after it if the object made differs.

        That is what a create does not take, and an object of which the task leaves members out: PgBeam alone knows what
        those begin with.
        """
        if self.action != "created":
            return {}
        return {
            f.name: self.wanted[f.name]
            for f in self.resource.writable
            if _known(self.wanted.get(f.name)) is not None and f.name not in self.body
        }

    def follow_up(self, made: Values) -> Plan:
        """The plan for the write after a create. Raises TaskError if it cannot be made from the object made."""
        return _plan_update(self.resource, self.deferred, made, False)

    def complete(self, defaults: Values) -> None:
        """Put into a create the objects that the task names in part, with what other new objects begin with."""
        for name, value in self.deferred.items():
            f = self.resource.field(name)
            whole = f.merged_onto(value, defaults.get(name))
            if f.fields and not f.missing_members(whole):
                self.body[name] = whole

    @property
    def issues_secrets(self) -> bool:
        """Whether the API shows secrets when this plan is carried out."""
        return self.rotates or (self.action == "created" and bool(self.resource.issued))

    @property
    def conditional(self) -> bool:
        """Whether the body would undo what another writer has changed since the object was read.

        An object that cannot be read by itself has no tag that could show this.
        """
        if self.action != "updated" or not self.body or not self.resource.get_by_id:
            return False
        fields = (f for f in self.resource.writable if f.name in self.body)
        return self.resource.sends_whole or any(
            f.keeps_server_values(self.wanted[f.name], self.body[f.name]) for f in fields
        )

    def again(self, current: Values, lost: Plan | None = None) -> Plan:
        """The same task's plan for the object as it is now. Raises TaskError if that is not the one that was meant.

        ``lost`` is the plan of a write whose answer was lost and that may have been applied: what it changes and the
        object shows was changed by this run, and stays part of the report.
        """
        resource, before = self.resource, self.current or {}
        if resource.id_field not in self.wanted and identity(resource, current) != identity(resource, before):
            raise TaskError(f"somebody has changed it to {resource.describe(current)}; run again to see what is needed")
        _refuse_immutable_change(resource, self.wanted, current)
        resend = any(f.secret and f.name in self.changes for f in resource.fields)
        result = _plan_update(resource, self.wanted, current, resend)
        if lost:
            _report_lost(result, lost)
        return result

    @property
    def create_body(self) -> Values:
        """The body of the first write."""
        return {**self.body, self.nested.resource.noun: self.nested.body} if self.nested else self.body

    def confirmed_by(self, register: Index) -> Values | None:
        """The object after this plan's first write, where the register shows that it was made; else None."""
        if self.action == "deleted":
            return None if self.id and register.with_id(self.id) else {}
        if not self.body:
            return self.current
        try:
            # A create is looked for by the very body that was sent, username and all.
            by_identity = self.resource.put_by_identity
            updated = self.action == "updated" and not by_identity
            looked_for = {self.resource.id_field: self.id} if updated else self.body
            register = register.without(self.replaces)
            shared = frozenset([identity(self.resource, self.body)])
            found = register.find(looked_for, shared=shared, replace=self.action == "replaced")
            if found is None or (self.action == "created" and not by_identity):
                return found
        except TaskError:
            return None
        hidden = any(f.secret and f.name in self.changes for f in self.resource.fields)
        sent = {name: self.wanted.get(name, value) for name, value in self.body.items()}
        return None if hidden or self.resource.changed_fields(sent, found) else found

    def diff(self) -> dict[str, t.Any]:
        """Ansible's diff of this plan: only what moves, headed by the object it moves in."""
        header = f"{self.label} ({self.id})" if self.id else self.label
        return {"before_header": header, "after_header": header, "before": self.before, "after": self.after}

    def predict(self) -> Values:
        """The object after the plan, every API field named; null for what only the server knows."""
        if self.action == "deleted" or (self.action == "unchanged" and self.current is None):
            return {}
        body = {name: _known(value) for name, value in self.body.items()}
        sent = {**self.resource.without_secrets(body), **self.deferred}
        known = {**(self.current or {}), **self.resource.with_all_members(sent)}
        if self.action == "replaced" and self.body:
            known.update((f.name, None) for f in self.resource.fields if f.read_only and f.name != self.resource.parent)
        if self.action in ("created", "updated"):
            known.update((f.name, None) for f in self.resource.fields if f.changes_on_write)
        known.update(self.achieves)
        if self.resource.parent in {f.name for f in self.resource.fields}:
            known.setdefault(self.resource.parent, self.wanted.get(self.resource.parent))
        return self.resource.with_all_fields(known)


def conflicts(plans: list[Plan], name: t.Callable[[int], str]) -> list[str]:
    """Sentences on plans of one list that are about one object, or would make two that only their ids tell apart.

    Two that are so already, and that the list names by their ids, may stay. ``name`` tells an entry's place in words.
    """
    found = []
    about: dict[str, int] = {}
    remaining: EntryIndex | None = None
    for index, plan in enumerate(plans):
        key = plan.resource.id_field
        for item in plan.affected:
            earlier = about.setdefault(item[key], index)
            if earlier != index:
                what = f"{plan.resource.noun} {item[key]}"
                found.append(f"{name(earlier)} and {name(index)} are both {what}; keep one of them")
        if plan.action == "created" or (plan.current and plan.action != "deleted"):
            values = {name: value for name, value in {**(plan.current or {}), **plan.wanted}.items() if name != key}
            remaining = remaining or EntryIndex(plan.resource)
            place = remaining.find(values)
            if place is not None and (plan.changes_identity or plans[place].changes_identity):
                what = plan.resource.describe(values)
                found.append(f"{name(place)} and {name(index)} would both be {what}; keep one of them")
            remaining.add(values, index)
    return found


def occupants(plan: Plan, others: Index) -> list[Values]:
    """The others in the place that an object would move to, from which only the ids would tell it."""
    if not plan.moves_existing:
        return []
    values = {**(plan.current or {}), **plan.wanted, plan.resource.id_field: plan.id}
    breaker = plan.resource.tie_breaker
    return [item for item in others.duplicates_of(values) if item.get(breaker) == values.get(breaker)]


def identity_taken(plan: Plan, others: Index) -> str | None:
    """A sentence where an object would move to the place of another one, else None."""
    found = occupants(plan, others)
    if not found:
        return None
    place = plan.resource.describe({**(plan.current or {}), **plan.wanted})
    ids = ", ".join(item[plan.resource.id_field] for item in found)
    return (
        f"{place} is in PgBeam already ({ids}), and only their ids would tell it from {plan.id}; "
        f"remove one of the two, or leave {plan.id} where it is"
    )


def make_plan(
    resource: Resource,
    wanted: Values,
    current: Values | None,
    state: str,
    resend_secrets: bool,
    replace: bool = False,
    duplicates: t.Sequence[Values] = (),
) -> Plan:
    """What has to be done so that the object is as the task says. Raises TaskError where it cannot be done.

    ``replace`` says whether the task allows to replace it; ``duplicates`` are the other objects of the identity that it
    is to have.
    """
    if current:
        _refuse_immutable_change(resource, wanted, current)
    if state == "absent":
        return plan_delete(resource, wanted, current)
    if current is None:
        return _plan_create(resource, wanted)
    if resource.replaceable:
        return _plan_replace(resource, wanted, current, replace, duplicates)
    return _plan_update(resource, wanted, current, resend_secrets)


def expect_action(plan: Plan) -> None:
    """Add to a plan what the resource's action changes: the task fails if it does not."""
    action = plan.resource.action
    is_gone = plan.action == "deleted" or (plan.action == "unchanged" and not plan.current)
    if not action or not action.changes or is_gone:
        return
    name, value = action.success
    current = (plan.current or {}).get(name)
    if current != value:
        plan.achieves = {name: value}
        plan.changes.append(name)
        plan.after[name] = value
        if plan.current:
            plan.before[name] = current
        if plan.action == "unchanged":
            plan.action = "updated"


def plan_nothing(resource: Resource, wanted: Values, became: Values) -> Plan:
    """The plan for an object that has become one of another resource, which may differ from what the task wants."""
    result = Plan(resource, "unchanged", wanted, became=became)
    other = t.cast(Resource, resource.becomes)
    for f in resource.changed_fields(wanted, became):
        result.warnings.append(
            f"{result.label}: {other.describe(became)} exists with the {f.name} {became.get(f.name)!r}, not "
            f"{wanted[f.name]!r}; change it with the module {other.noun}"
        )
    return result


def _refuse_immutable_change(resource: Resource, wanted: Values, current: Values) -> None:
    """Raise TaskError where the task has another value of what never changes: it may mean another object."""
    for f in resource.changed_fields(wanted, current):
        if f.immutable:
            old = f.zero if current.get(f.name) is None else current[f.name]
            if old is None and not f.nullable:
                raise TaskError(
                    f"{resource.describe(current)}: PgBeam does not show its {f.name}, so it cannot be compared with "
                    f"{wanted[f.name]!r}; leave {f.name} out"
                )
            alike = f.name not in resource.identity and all(resource.field(n).immutable for n in resource.identity)
            other = "remove it with state=absent and add it anew" if alike else f"make another {resource.noun}"
            way_out = f"leave it out, or {other}" if resource.creatable else "or leave it out"
            raise TaskError(
                f"{resource.describe(current)}: {f.name} is {_shown(old)} and cannot be changed to "
                f"{_shown(wanted[f.name])}; name what it is, {way_out}"
            )


def _shown(value: t.Any) -> str:
    return "null" if value is None else repr(value)


def plan_delete(resource: Resource, wanted: Values, current: Values | None) -> Plan:
    """The plan for an object that has to be absent."""
    if current is None:
        return Plan(resource, "unchanged", wanted)
    return Plan(resource, "deleted", wanted, current, before=dict(current))


def _plan_create(resource: Resource, wanted: Values) -> Plan:
    key = resource.id_field
    if key in wanted or not resource.creatable:
        parent = wanted.get(resource.parent)
        place = f"in {resource.parent_noun} {parent}" if parent else "in PgBeam"
        what = f"{resource.noun} {wanted[key]}" if key in wanted else resource.describe(wanted)
        advice = resource.if_missing or f"check the {key}, or leave it out to add a new {resource.noun}"
        raise TaskError(f"{what} is not {place}, or this key may not see it; {advice}")
    result = Plan(resource, "created", wanted)
    for f in resource.writable:
        value = wanted.get(f.name, f.identity_default)
        if value is None:
            if f.required:
                raise TaskError(_missing_for_create(resource, wanted, f.name))
        elif isinstance(value, UnresolvedName):
            continue
        elif f.in_future and f.normalized(value) <= timestamp.now():
            raise TaskError(
                f"{resource.describe(wanted)}: {f.name} {value} is in the past; "
                "give a moment in the future, or leave it out"
            )
        elif not f.update_only and not (f.fields and f.missing_members(value)):
            result.body[f.name] = f.merged_onto(value, None)
    unknown = {f.name: None for f in resource.references if isinstance(wanted.get(f.name), UnresolvedName)}
    sent = {**result.body, **result.deferred, **unknown}
    result.changes = [name for f in resource.writable if f.name in sent for name in _names(f, wanted.get(f.name))]
    result.after = resource.without_secrets(sent, NOT_SHOWN)
    if resource.nested:
        if resource.nested.noun not in wanted:
            raise TaskError(_missing_for_create(resource, wanted, resource.nested.noun))
        result.nested = _plan_create(resource.nested, wanted[resource.nested.noun])
    return result


def _known(value: t.Any) -> t.Any:
    """The value, null for an id that is not known yet."""
    return None if isinstance(value, UnresolvedName) else value


def _missing_for_create(resource: Resource, wanted: Values, missing: str) -> str:
    return f"{resource.describe(wanted)} is not in PgBeam yet; give {missing} to add it"


def _plan_update(resource: Resource, wanted: Values, current: Values, resend_secrets: bool) -> Plan:
    result = Plan(resource, "unchanged", wanted, current)
    for f in resource.writable:
        if f.secret and resend_secrets and f.name in wanted:
            result.body[f.name] = wanted[f.name]
            result.changes.append(f.name)
            result.after[f.name] = NOT_SHOWN
        elif f.differs(wanted, current):
            result.body[f.name] = f.merged_onto(wanted[f.name], current.get(f.name))
            unknown = f.missing_members(result.body[f.name])
            if unknown:
                raise TaskError(
                    f"{result.label}: PgBeam does not show {', '.join(unknown)} of its {f.name}, so they cannot be "
                    f"kept; name them in {f.name} as well"
                )
            _record_change(result, f)
        if f.when_empty and wanted.get(f.name) == [] and current.get(f.name):
            result.warnings.append(f"{result.label}: {f.name} becomes empty, so {f.when_empty}")
    problem = resource.check({**current, **wanted}) if resource.check and result.body else None
    if problem:
        raise TaskError(f"{result.label}: {problem}")
    if result.body and resource.sends_whole:
        secrets = {f.name: wanted[f.name] for f in resource.writable if f.secret and f.name in wanted}
        result.body = {**resource.whole_body(current), **secrets, **result.body}
    if resource.rotate_action and wanted.get("rotate"):
        result.rotates = True
        result.changes += resource.issued
        result.after.update((name, NEWLY_ISSUED) for name in resource.issued)
    if result.body or result.rotates:
        result.action = "updated"
    return result


def _report_lost(result: Plan, lost: Plan) -> None:
    """Add to a plan what a write whose answer was lost has changed."""
    result.action = "updated"
    result.changes = list(dict.fromkeys([*lost.changes, *result.changes]))
    for told, earlier in ((result.before, lost.before), (result.after, lost.after)):
        for name, value in earlier.items():
            both = isinstance(value, dict) and isinstance(told.get(name), dict)
            told[name] = {**told[name], **value} if both else value


def _plan_replace(
    resource: Resource, wanted: Values, current: Values, replace: bool, duplicates: t.Sequence[Values]
) -> Plan:
    """The plan for an object that the API cannot change. What comes in its place is made before it is removed.

    It may be there already, where a replacement was interrupted.
    """
    result = Plan(resource, "unchanged", wanted, current)
    moved = resource.changed_fields(wanted, current)
    if moved and not replace:
        old, new = current.get(moved[0].name), wanted[moved[0].name]
        raise TaskError(
            f"{result.label} ({result.id}): {moved[0].name} is {old!r} and PgBeam cannot change it to {new!r}; "
            "set replace: true to add it anew and then remove this one"
        )
    for f in moved:
        _record_change(result, f)
    if moved:
        result.replaces = [current]
        values = {f.name: f.identity_default for f in resource.writable}
        values.update({name: v for name, v in {**current, **wanted}.items() if name in values and v is not None})
        result.body = {name: value for name, value in values.items() if value is not None}
        made = [item for item in duplicates if not resource.changed_fields(result.body, item)]
        if made and not result.changes_identity:  # another one at another place may be any one
            result.current, result.body = made[0], {}
    elif duplicates and resource.id_field not in wanted:  # nothing moves but that it is there once
        key = resource.id_field
        result.replaces = list(duplicates)
        result.changes = [key]
        result.before = {key: [current[key], *(item[key] for item in duplicates)]}
        result.after = {key: [current[key]]}
    if result.replaces:
        result.action = "replaced"
    return result


def _record_change(result: Plan, f: Field) -> None:
    """Note what moves, of an object member by member."""
    value, old = result.wanted[f.name], (result.current or {}).get(f.name)
    if f.fields:
        old = f.member_values(old)
        moved = [
            m for m in f.fields if m.name in value and not (m.name in old and m.equals(value[m.name], old[m.name]))
        ]
        result.changes += [f"{f.name}.{m.name}" for m in moved]
        result.before[f.name] = {m.name: old.get(m.name) for m in moved}
        result.after[f.name] = {m.name: value[m.name] for m in moved}
    else:
        result.changes.append(f.name)
        result.before[f.name] = f.zero if old is None else old
        result.after[f.name] = _known(f.merged_onto(value, old))


def _names(f: Field, value: t.Any) -> list[str]:
    return [f"{f.name}.{m.name}" for m in f.fields if m.name in value] if f.fields else [f.name]
