# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any server and any task: plans repeat without effect, predict the server, and show no secret.

For each resource whose objects can be created.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from dataclasses import dataclass
from typing import Any, cast

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.errors import TaskError
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.matching import Index
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.planner import Plan, make_plan
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.validation import validate
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import Reconciler, Run
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from generate.declared import Field, Resource, Values
from generate.modules import modules
from tests.samples import allowed, needed, sample, varied

pytestmark = pytest.mark.once

PARENT = "parent_1"
SECRETS = st.text(string.ascii_letters + string.digits, min_size=8, max_size=20).map("Pw-secret-{}".format)
#: Several spellings of one value, if these are more than upper and lower case.
SPELLINGS = {
    "cidr": ["10.0.0.1", "10.0.0.1/32", "10.0.0.0/8", "10.9.8.7/8", "2001:db8::/32", "2001:DB8:0::1/32", "::/0"],
}


def _values(resource: Resource, field: Field, within: str = "") -> st.SearchStrategy[Any]:
    """Any value that the contract allows for a field; whole numbers often at a limit."""
    kind = field.elements or field
    one: st.SearchStrategy[Any]
    if kind.fields:
        below = f"{within}.{field.name}" if within else field.name
        members = {member.name: _values(resource, member, below) for member in kind.fields}
        needed_members = {m.name for m in kind.fields if field.elements and (m.required or m.name in field.key)}
        always = {name: members.pop(name) for name in needed_members}
        one = st.fixed_dictionaries(always, optional=members).filter(bool)
    elif kind.choices:
        one = st.sampled_from(kind.choices)
    elif kind.type == "bool":
        one = st.booleans()
    elif kind.identity_default is not None:
        one = st.sampled_from([kind.identity_default, varied(kind, kind.identity_default, 1)])
    elif kind.type == "float":
        one = st.integers(1, 3) | st.floats(0.5, 1000)
    elif kind.type == "int":
        low = kind.minimum or 0
        high = low + 1000 if kind.maximum is None else kind.maximum
        one = st.sampled_from([low, high]) | st.integers(low, high)
    else:
        one = st.sampled_from(_texts(kind, sample(resource, field, within)))
    if field.nullable:
        one = st.none() | one
    if not field.elements:
        return one
    return st.lists(one, max_size=3, unique_by=field.element_key if field.key else None)


def _texts(field: Field, samples: Any) -> list[str]:
    """Few texts, so that a task often meets an object, and what differs only in case."""
    known = samples if isinstance(samples, list) else [samples]
    found = SPELLINGS.get(field.name, [*known, *(text for text in map(str.upper, known) if allowed(field, text))])
    return [*found, ""] if field.pattern and re.fullmatch(field.pattern, "") else found


@dataclass
class Kind:
    """A resource, with generators for its objects and tasks."""

    resource: Resource

    @functools.cached_property
    def places(self) -> dict[str, st.SearchStrategy[Any]]:
        """The fields that every object has, by which a task finds it."""
        names = {*self.resource.identity, *needed(self.resource)}
        found = {f.name: _values(self.resource, f) for f in self.resource.writable if f.name in names}
        return {name: st.just(PARENT) if name == self.resource.parent else value for name, value in found.items()}

    @functools.cached_property
    def defaults(self) -> Values:
        """Return the values that a server sets for fields that a create omits."""
        others = [f for f in self.resource.writable if f.name not in self.places and not f.secret]
        return {f.name: self._default(f) for f in others}

    def _default(self, field: Field) -> Any:
        if field.type == "list":
            return []
        if field.nullable:
            return None
        value = sample(self.resource, field)
        if isinstance(value, dict):
            # Not the contract's defaults, which nothing may rely on.
            return {name: item + 1 if item.__class__ is int else item for name, item in value.items()}
        return value if field.zero is None else field.zero

    @functools.cached_property
    def omitted(self) -> list[str]:
        """What a server may leave out of its answer at its zero value, which is its default."""
        fields = map(self.resource.field, self.defaults)
        return [f.name for f in fields if f.nullable or f.zero is not None]

    @functools.cached_property
    def always(self) -> dict[str, st.SearchStrategy[Any]]:
        """The options of every task in addition to the required ones."""
        first = self.resource.nested
        found = {f.name: SECRETS for f in self.resource.writable if f.secret}
        if not first:
            return found
        members = {name: st.just(value) for name, value in needed(first).items()}
        members.update((f.name, SECRETS) for f in first.writable if f.secret)
        return {**found, first.noun: st.fixed_dictionaries(members)}

    @functools.cached_property
    def settings(self) -> dict[str, st.SearchStrategy[Any]]:
        return {name: _values(self.resource, self.resource.field(name)) for name in self.defaults}

    @functools.cached_property
    def servers(self) -> st.SearchStrategy[Server]:
        own = {f.name: _values(self.resource, f) for f in self.resource.writable if f.update_only}
        items = st.lists(st.fixed_dictionaries(self.places, optional=self.settings), max_size=4)
        parts = st.tuples(items, st.booleans(), st.fixed_dictionaries({}, optional=own))
        return parts.map(lambda made: Server(self, *made))

    @functools.cached_property
    def tasks(self) -> st.SearchStrategy[Values]:
        always = {*needed(self.resource), self.resource.parent}
        known = {name: values for name, values in self.places.items() if name in always}
        known.pop(self.resource.tie_breaker, None)
        more = {name: values for name, values in self.places.items() if name not in known}
        tasks = st.fixed_dictionaries(
            {**known, **self.always, self.resource.parent: st.just(PARENT)},
            optional={"id": st.sampled_from(["id_0", "id_2", "id_4"]), **more, **self.settings},
        )
        return tasks.filter(lambda task: not (self.resource.check and self.resource.check(task)))


KINDS = {
    module.words.name: Kind(module.resource)
    for module in modules().values()
    if module.form == "item" and module.resource.creatable
}
#: By name, since Hypothesis writes out what a test is called with.
each_kind = pytest.mark.parametrize("name", KINDS)


class Server:
    """A model of the API: a create adds what the server sets, an update replaces the fields of its body.

    ``own`` are its values of what a create does not take, where they are not those of the documentation.
    """

    def __init__(self, kind: Kind, items: list[Values], omits: bool, own: Values) -> None:
        self.kind = kind
        self._numbers = itertools.count()
        self._omits = omits
        self._own: Values = {}
        self._items: dict[str, Values] = {}
        for item in items:
            self._add(item)
        self._own = own

    def __repr__(self) -> str:
        return f"Server({self.list()}, own={self._own})"

    def _add(self, body: Values) -> str:
        number = next(self._numbers)
        fields = {**self.kind.defaults, **self._own}
        for name, value in body.items():
            # What is sent of an object is whole, but for what the API itself fills in.
            fields[name] = {**fields[name], **value} if isinstance(value, dict) else value
        fields.update((f.name, f"t{number}") for f in self.kind.resource.fields if f.read_only and f.type == "str")
        shown = {self.kind.resource.parent} & {f.name for f in self.kind.resource.fields}
        return self._store({**fields, "id": f"id_{number}", **dict.fromkeys(shown, PARENT)})

    def _store(self, item: Values) -> str:
        moment = f"t{next(self._numbers)}"
        item.update((f.name, moment) for f in self.kind.resource.fields if f.changes_on_write)
        for field in self.kind.resource.fields:
            if field.secret:
                item.pop(field.name, None)
            elif field.key:
                members = [m for m in cast(Field, field.elements).fields if m.name in field.key]
                item[field.name] = [
                    {**entry, **{m.name: m.normalized(entry[m.name]) for m in members}} for entry in item[field.name]
                ]
        self._items[item["id"]] = item
        return str(item["id"])

    def list(self) -> list[Values]:
        left_out = {name: self.kind.defaults[name] for name in self.kind.omitted} if self._omits else {}
        return [
            {k: v for k, v in item.items() if not (k in left_out and v == left_out[k])} for item in self._items.values()
        ]

    def apply(self, step: Plan) -> str:
        """Make a plan's writes. Returns the id of the object that exists afterwards."""
        identifier = str(step.id)
        if step.action == "created" or (step.action == "replaced" and step.body):
            identifier = self._add(step.body)
            late = make_plan(step.resource, step.deferred, self._items[identifier], "present", False).body
            if late:
                self._store({**self._items[identifier], **late})
        elif step.action == "updated":
            self._store({**self._items[identifier], **step.body})
        elif step.action == "deleted":
            del self._items[identifier]
        for item in step.replaces:
            del self._items[item["id"]]
        return identifier

    def plan(self, wanted: Values, state: str = "present", resend: bool = False, replace: bool = False) -> Plan:
        """Return the plan of a module."""
        run = Run(cast(Any, None), replace=replace, resent=frozenset(self.kind.resource.secret_names if resend else []))
        return Reconciler(run, self.kind.resource, "").plan(Index(self.kind.resource, self.list()), wanted, state)


def secret(kind: Kind, wanted: Values) -> str:
    """The secret that a task declares; what no text contains if it declares none."""
    first = kind.resource.nested
    places = [(kind.resource, wanted), *([(first, wanted[first.noun])] if first else [])]
    return next((str(values[f.name]) for resource, values in places for f in resource.fields if f.secret), "\0")


def planned(server: Server, wanted: Values, *how: Any, **more: Any) -> Plan:
    """Return a plan; skip the example if the task cannot be carried out, after checking the message."""
    try:
        return server.plan(wanted, *how, **more)
    except TaskError as error:
        assert secret(server.kind, wanted) not in str(error)
        assume(False)
        raise


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_present_twice_changes_nothing(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted, replace = data.draw(kind.servers), data.draw(kind.tasks), data.draw(st.booleans())
    step = planned(server, wanted, replace=replace)
    identifier = server.apply(step)
    if step.action == "replaced" and "id" in wanted:
        wanted["id"] = identifier  # the object with that id was deleted
    again = server.plan(wanted, replace=replace)
    assert (again.action, again.body, again.changes, again.before, again.after) == ("unchanged", {}, [], {}, {})


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=120)
def test_absent_twice_deletes_once(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted, replace = data.draw(kind.servers), data.draw(kind.tasks), data.draw(st.booleans())
    server.apply(planned(server, wanted, "absent", replace=replace))
    assert server.plan(wanted, "absent", replace=replace).action == "unchanged"


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_check_mode_predicts_the_server(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    resend, replace = data.draw(st.booleans()), data.draw(st.booleans())
    server._own = {}  # which no plan can know
    step = planned(server, wanted, resend=resend, replace=replace)
    identifier = server.apply(step)
    live = kind.resource.with_all_fields(next(item for item in server.list() if item["id"] == identifier))
    predicted = step.predict()
    assert set(predicted) == set(live)
    known = {
        name: {n: v for n, v in value.items() if v is not None} if isinstance(value, dict) else value
        for name, value in predicted.items()
        if value is not None
    }
    assert {n for n, value in known.items() if not kind.resource.field(n).equals(value, live[n])} == set()
    # All other values are set by the server, or omitted by the task that creates the object.
    unknown = {name for name, value in live.items() if value is not None and name not in known}
    unknown -= {f.name for f in kind.resource.fields if f.read_only}
    assert not unknown & set(wanted)
    assert not unknown or step.action == "created"


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_only_what_the_task_names_moves(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    step = planned(server, wanted)
    sent, changed = {*step.deferred, *step.body}, {name.split(".")[0] for name in step.changes}
    whole = step.action == "updated" and kind.resource.update_verb == "PUT"
    assert changed <= sent if whole else changed == sent
    assert step.action == "created" or changed <= set(wanted)
    # What is read for it holds no secret, so the task's is sent with it.
    known = {**(step.current or {}), **{n: wanted.get(n) for n in kind.resource.secret_names}}
    assert not whole or all(step.body[n] == known[n] for n in sent - changed)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.resource.update_verb])
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_replacement_leaves_no_fewer(name: str, data: st.DataObject) -> None:
    """What is removed is another object than the one that is as wanted, and is removed once."""
    server, wanted = data.draw(KINDS[name].servers), data.draw(KINDS[name].tasks)
    before = len(server.list())
    step = planned(server, wanted, replace=True)
    removed = {item["id"] for item in step.replaces}
    assert server.apply(step) not in removed
    assert len(removed) == len(step.replaces)
    assert len(server.list()) == before + (step.action == "created" or bool(step.body)) - len(removed)


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_no_secret_is_shown(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    server, wanted = data.draw(kind.servers), data.draw(kind.tasks)
    state, resend = data.draw(st.sampled_from(["present", "absent"])), data.draw(st.booleans())
    step = planned(server, wanted, state, resend)
    for one in filter(None, (step, step.nested)):
        assert secret(kind, wanted) not in repr([one.diff(), one.predict(), one.changes, one.label])


@each_kind
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_what_the_contract_allows_is_no_problem(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    assert validate(kind.resource, data.draw(kind.tasks)) == []
