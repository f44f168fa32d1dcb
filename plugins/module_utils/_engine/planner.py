# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, predict and diff the change of one object, and detect conflicts between plans. No I/O.

``wanted`` contains the values that the task sets; ``current`` is the object as the server returned it.
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
    """The action for one object, the body to send, and the fields that change."""

    resource: Resource
    action: str
    wanted: Values
    current: Values | None = None
    body: Values = field(default_factory=dict)
    #: The objects that this one replaces. They are deleted after it is created.
    replaces: list[Values] = field(default_factory=list)
    #: The child that is created in the same request.
    nested: Plan | None = None
    #: Whether new secrets are issued for an existing object.
    rotates: bool = False
    #: The field, with its new value, that the requested action changes.
    achieves: Values = field(default_factory=dict)
    #: The object of another resource that the object has become, so that nothing is created.
    became: Values = field(default_factory=dict)
    #: Sentences to show before the plan is applied.
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
        """The existing objects that this plan keeps, changes or deletes."""
        return [item for item in (self.current, *self.replaces) if item]

    @property
    def changes_identity(self) -> bool:
        """Whether the plan creates an object or changes a field that identifies it."""
        return not {*self.resource.identity, self.resource.tie_breaker}.isdisjoint(self.changes)

    @property
    def moves_existing(self) -> bool:
        """Whether the plan changes a field that identifies an existing object."""
        return bool(self.current) and self.changes_identity

    @property
    def deferred(self) -> Values:
        """The values that the create does not contain. They are sent after it, if the created object differs.

        These are fields that a create does not accept, and nested objects of which the task omits members, because only
        PgBeam knows their defaults.
        """
        if self.action != "created":
            return {}
        return {
            f.name: self.wanted[f.name]
            for f in self.resource.writable
            if _known(self.wanted.get(f.name)) is not None and f.name not in self.body
        }

    def follow_up(self, made: Values) -> Plan:
        """Return the plan for the write after a create. Raises TaskError if the created object does not allow one."""
        return _plan_update(self.resource, self.deferred, made, False)

    def complete(self, defaults: Values) -> None:
        """Add to a create the nested objects that the task sets in part, completed with the defaults of new objects."""
        for name, value in self.deferred.items():
            f = self.resource.field(name)
            whole = f.merged_onto(value, defaults.get(name))
            if f.fields and not f.missing_members(whole):
                self.body[name] = whole

    @property
    def issues_secrets(self) -> bool:
        """Whether the API returns new secrets when this plan is applied."""
        return self.rotates or (self.action == "created" and bool(self.resource.issued))

    @property
    def conditional(self) -> bool:
        """Whether the body could undo the change of another client since the object was read.

        An object that cannot be read by its id has no entity tag to detect this.
        """
        if self.action != "updated" or not self.body or not self.resource.get_by_id:
            return False
        fields = (f for f in self.resource.writable if f.name in self.body)
        return self.resource.sends_whole or any(
            f.keeps_server_values(self.wanted[f.name], self.body[f.name]) for f in fields
        )

    def again(self, current: Values, lost: Plan | None = None) -> Plan:
        """Return the plan of the same task for the current object. Raises TaskError if it is now another object.

        ``lost`` is the plan of a write whose answer was lost and that may have been applied. Its changes stay part of
        the report.
        """
        resource, before = self.resource, self.current or {}
        if resource.id_field not in self.wanted and identity(resource, current) != identity(resource, before):
            raise TaskError(f"another client has changed it to {resource.describe(current)}")
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

    def confirmed_by(self, index: Index) -> Values | None:
        """Return the object after this plan's first write, or None if the index does not show that it was applied."""
        if self.action == "deleted":
            return None if self.id and index.with_id(self.id) else {}
        if not self.body:
            return self.current
        try:
            # A create is looked up by the body that was sent, including the tie breaker.
            by_identity = self.resource.put_by_identity
            updated = self.action == "updated" and not by_identity
            looked_for = {self.resource.id_field: self.id} if updated else self.body
            index = index.without(self.replaces)
            shared = frozenset([identity(self.resource, self.body)])
            found = index.find(looked_for, shared=shared, replace=self.action == "replaced")
            if found is None or (self.action == "created" and not by_identity):
                return found
        except TaskError:
            return None
        hidden = any(f.secret and f.name in self.changes for f in self.resource.fields)
        sent = {name: self.wanted.get(name, value) for name, value in self.body.items()}
        return None if hidden or self.resource.changed_fields(sent, found) else found

    def diff(self) -> dict[str, t.Any]:
        """Return Ansible's diff of this plan: only the fields that change, with the object as header."""
        header = f"{self.label} ({self.id})" if self.id else self.label
        return {"before_header": header, "after_header": header, "before": self.before, "after": self.after}

    def predict(self) -> Values:
        """Return the object after the plan, with every API field; null for values that only the server knows."""
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
    """Return a sentence for each pair of plans that affect the same object or would create duplicates.

    Existing duplicates that the list refers to by id may stay. ``name`` returns the label of an entry.
    """
    found = []
    planned_by: dict[str, int] = {}
    remaining: EntryIndex | None = None
    for index, plan in enumerate(plans):
        key = plan.resource.id_field
        for item in plan.affected:
            earlier = planned_by.setdefault(item[key], index)
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
    """Return the other objects that already have the identity that the plan gives to its object."""
    if not plan.moves_existing:
        return []
    values = {**(plan.current or {}), **plan.wanted, plan.resource.id_field: plan.id}
    breaker = plan.resource.tie_breaker
    return [item for item in others.duplicates_of(values) if item.get(breaker) == values.get(breaker)]


def identity_taken(plan: Plan, others: Index) -> str | None:
    """Return a sentence if another object already has the identity that the plan sets, otherwise None."""
    found = occupants(plan, others)
    if not found:
        return None
    place = plan.resource.describe({**(plan.current or {}), **plan.wanted})
    ids = ", ".join(item[plan.resource.id_field] for item in found)
    return (
        f"{place} already exists ({ids}), and {plan.id} would become its duplicate; "
        f"delete {ids}, or leave {plan.id} unchanged"
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
    """Plan how to make the object match the task. Raises TaskError if that is not possible.

    ``replace`` allows replacing the object. ``duplicates`` are the other objects with its wanted identity.
    """
    if current:
        _refuse_immutable_change(resource, wanted, current, deletes=state == "absent")
    if state == "absent":
        return plan_delete(resource, wanted, current)
    if current is None:
        return _plan_create(resource, wanted)
    if resource.replaceable:
        return _plan_replace(resource, wanted, current, replace, duplicates)
    return _plan_update(resource, wanted, current, resend_secrets)


def expect_action(plan: Plan) -> None:
    """Add to a plan the change that the resource's action makes. The task fails if the action does not succeed."""
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
    """Return the plan for an object that has become one of another resource, with a warning if that one differs."""
    result = Plan(resource, "unchanged", wanted, became=became)
    other = t.cast(Resource, resource.becomes)
    for f in resource.changed_fields(wanted, became):
        result.warnings.append(
            f"{result.label}: {other.describe(became)} exists with the {f.name} {became.get(f.name)!r}, not "
            f"{wanted[f.name]!r}; change it with the module {other.noun}"
        )
    return result


def _refuse_immutable_change(resource: Resource, wanted: Values, current: Values, deletes: bool = False) -> None:
    """Raise TaskError if the task changes an immutable field: it may mean another object."""
    for f in resource.changed_fields(wanted, current):
        if f.immutable:
            old = f.zero if current.get(f.name) is None else current[f.name]
            if old is None and not f.nullable:
                raise TaskError(
                    f"{resource.describe(current)}: PgBeam does not return {f.name}, so it cannot be compared with "
                    f"{wanted[f.name]!r}",
                    f"omit {f.name}",
                )
            same = f.name not in resource.identity and all(resource.field(n).immutable for n in resource.identity)
            other = (
                f"delete the {resource.noun} with state: absent first" if same else f"create another {resource.noun}"
            )
            remedies = f"set the current value, omit the option, or {other}"
            if deletes or not resource.creatable:
                remedies = "set the current value, or omit the option"
            raise TaskError(
                f"{resource.describe(current)}: {f.name} is {_shown(old)} and cannot be changed to "
                f"{_shown(wanted[f.name])}",
                remedies,
            )


def _shown(value: t.Any) -> str:
    return "null" if value is None else repr(value)


def plan_delete(resource: Resource, wanted: Values, current: Values | None) -> Plan:
    """Return the plan for an object that must be absent."""
    if current is None:
        return Plan(resource, "unchanged", wanted)
    return Plan(resource, "deleted", wanted, current, before=dict(current))


def _plan_create(resource: Resource, wanted: Values) -> Plan:
    key = resource.id_field
    if key in wanted or not resource.creatable:
        parent = wanted.get(resource.parent)
        place = f"in {resource.parent_noun} {parent}" if parent else "in PgBeam"
        what = f"{resource.noun} {wanted[key]}" if key in wanted else resource.describe(wanted)
        advice = resource.if_missing or f"check the {key}, or omit it to create a new {resource.noun}"
        if resource.if_missing and wanted.get("id"):  # which PgBeam assigns: an object that exists later has another
            advice = "check the id, or omit it" + (
                "" if resource.identity[0] in wanted else f" and set {resource.identity[0]}"
            )
        raise TaskError(f"{what} was not found {place}, or is not visible to this API key; {advice}")
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
                f"{resource.describe(wanted)}: {f.name} {value} is in the past; set a time in the future, or omit it"
            )
        elif not f.update_only and not (f.fields and f.missing_members(value)):
            result.body[f.name] = f.merged_onto(value, None)
    unknown = {f.name: None for f in resource.references if isinstance(wanted.get(f.name), UnresolvedName)}
    sent = {**result.body, **result.deferred, **unknown}
    result.changes = [
        name for f in resource.writable if f.name in sent for name in _changed_names(f, wanted.get(f.name))
    ]
    result.after = resource.without_secrets(sent, NOT_SHOWN)
    if resource.nested:
        if resource.nested.noun not in wanted:
            raise TaskError(_missing_for_create(resource, wanted, resource.nested.noun))
        result.nested = _plan_create(resource.nested, wanted[resource.nested.noun])
    return result


def _known(value: t.Any) -> t.Any:
    """Return the value, or None for an id that is not known yet."""
    return None if isinstance(value, UnresolvedName) else value


def _missing_for_create(resource: Resource, wanted: Values, missing: str) -> str:
    return f"{resource.describe(wanted)} does not exist yet; set {missing} to create it"


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
                    f"{result.label}: PgBeam does not return all keys of {f.name}, so a write would lose the missing "
                    "ones",
                    f"also set {', '.join(unknown)} in {f.name}",
                )
            _record_change(result, f)
        if f.when_empty and wanted.get(f.name) == [] and current.get(f.name):
            result.warnings.append(f"{result.label}: {f.name} becomes empty, so {f.when_empty}")
        if f.in_future and current.get(f.name) is not None and f.normalized(current[f.name]) <= timestamp.now():
            result.warnings.append(
                f"{result.label}: {f.name} {current[f.name]} is in the past; delete the {resource.noun} with "
                "state: absent, then create it again"
            )
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
    """Add to a plan the changes of a write whose answer was lost."""
    result.action = "updated"
    result.changes = list(dict.fromkeys([*lost.changes, *result.changes]))
    for target, earlier in ((result.before, lost.before), (result.after, lost.after)):
        for name, value in earlier.items():
            both = isinstance(value, dict) and isinstance(target.get(name), dict)
            target[name] = {**target[name], **value} if both else value


def _plan_replace(
    resource: Resource, wanted: Values, current: Values, replace: bool, duplicates: t.Sequence[Values]
) -> Plan:
    """Return the plan for an object that the API cannot update: create the replacement, then delete the object.

    The replacement may already exist, if an earlier run was interrupted.
    """
    result = Plan(resource, "unchanged", wanted, current)
    changed = resource.changed_fields(wanted, current)
    if changed and not replace:
        old, new = current.get(changed[0].name), wanted[changed[0].name]
        raise TaskError(
            f"{result.label} ({result.id}): {changed[0].name} is {_shown(old)} and PgBeam cannot change it to "
            f"{_shown(new)}; "
            "set replace: true to create a replacement and then delete this one"
        )
    for f in changed:
        _record_change(result, f)
    if changed:
        result.replaces = [current]
        values = {f.name: f.identity_default for f in resource.writable}
        values.update({name: v for name, v in {**current, **wanted}.items() if name in values and v is not None})
        result.body = {name: value for name, value in values.items() if value is not None}
        made = [item for item in duplicates if not resource.changed_fields(result.body, item)]
        if made and not result.changes_identity:  # with another identity, it may be unrelated
            result.current, result.body = made[0], {}
    elif duplicates and resource.id_field not in wanted:  # nothing changes except that the duplicates are deleted
        key = resource.id_field
        result.replaces = list(duplicates)
        result.changes = [key]
        result.before = {key: [current[key], *(item[key] for item in duplicates)]}
        result.after = {key: [current[key]]}
    if result.replaces:
        result.action = "replaced"
    return result


def _record_change(result: Plan, f: Field) -> None:
    """Add a changed field to the plan, a nested object member by member."""
    value, old = result.wanted[f.name], (result.current or {}).get(f.name)
    if f.fields:
        old = f.member_values(old)
        changed = [
            m for m in f.fields if m.name in value and not (m.name in old and m.equals(value[m.name], old[m.name]))
        ]
        result.changes += [f"{f.name}.{m.name}" for m in changed]
        result.before[f.name] = {m.name: old.get(m.name) for m in changed}
        result.after[f.name] = {m.name: value[m.name] for m in changed}
    else:
        result.changes.append(f.name)
        result.before[f.name] = f.zero if old is None else old
        result.after[f.name] = _known(f.merged_onto(value, old))


def _changed_names(f: Field, value: t.Any) -> list[str]:
    return [f"{f.name}.{m.name}" for m in f.fields if m.name in value] if f.fields else [f.name]
