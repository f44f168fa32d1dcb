# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every resource, from its declaration and the samples in its words."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from generate.declared import Field, Resource, Values
from generate.modules import modules as all_modules
from tests import module_runner, samples
from tests.harness import Organization, Project, Sandbox
from tests.integration.conftest import PASSWORD, Modules, Run
from tests.sandbox.kinds import KINDS, PROJECT
from tests.sandbox.readings import READINGS
from tests.sandbox.state import merged

pytestmark = pytest.mark.once

ENDLESS = 10**6
#: What the sandbox has of each resource.
KIND = {kind.noun: kind for kind in (PROJECT, *KINDS.values())}
#: The paths of what PgBeam notes and no task creates.
READ_ONLY = {reading.path for reading in READINGS}
#: A message has so many sentences at most.
MAX_ERRORS = 5
MAYBE = "the change may have been applied"
#: The declarations, and the modules by form, both by the resource's name.
RESOURCES: dict[str, Resource] = {module.words.name: module.resource for module in all_modules().values()}
FORMS: dict[str, dict[str, str]] = {
    name: {each.form: each.name for each in all_modules().values() if each.words.name == name} for name in RESOURCES
}


@dataclass(frozen=True)
class Setting:
    """A field that a task can change alone, or a member of one."""

    field: Field
    member: Field | None = None

    @property
    def name(self) -> str:
        return f"{self.field.name}.{self.member.name}" if self.member else self.field.name

    def options(self, value: Any) -> Values:
        return {self.field.name: {self.member.name: value} if self.member else value}

    def differs(self, value: Any, item: Values) -> bool:
        return not self.field.equals(self.options(value)[self.field.name], item.get(self.field.name))

    @property
    def is_merged(self) -> bool:
        """Whether an update that changes this sends what was read, too."""
        return bool(self.member or self.field.elements)


def settings(resource: Resource) -> list[Setting]:
    """What an update can change, the identity and the secrets aside."""
    own = {*resource.identity, resource.parent}
    fields = [f for f in resource.writable if not (f.immutable or f.secret or f.name in own)]
    return [Setting(f, member) for f in fields for member in (f.fields or (None,))]


def merging(resource: Resource) -> list[Setting]:
    """The settings whose update sends what was read, too."""
    if not (resource.update_verb and resource.get_by_id):
        return []
    return [each for each in settings(resource) if resource.update_verb == "PUT" or each.is_merged]


def each(form: str = "item", where: Callable[[Resource], Any] = bool, singletons: bool = False) -> pytest.MarkDecorator:
    """A row for each resource that has a module of this form and is as the test needs it.

    Those with one object that always exists have a row if the test neither creates nor deletes anything.
    """
    known = {name: resource for name, resource in RESOURCES.items() if singletons or not resource.is_singleton}
    return pytest.mark.parametrize(
        "name", [name for name, resource in known.items() if form in FORMS[name] and where(resource)]
    )


def creatable(resource: Resource) -> bool:
    return resource.creatable


@dataclass
class World:
    """A place for the objects of one resource, with all that they need, and the tasks of its modules."""

    modules: Modules
    sandbox: Sandbox
    name: str
    organization: Organization = field(init=False)
    #: What the objects are in.
    scope: Organization | Project = field(init=False)
    parent: str = field(init=False)
    parents: Values = field(init=False)

    def __post_init__(self) -> None:
        self.organization = self.sandbox.organization()
        project = self.sandbox.project()
        parents = {"": "", "org_id": self.organization.id, "project_id": project.id}
        self.scope = self.organization if self.resource.parent == "org_id" else project
        if self.resource.parent not in parents:
            parents[self.resource.parent] = self._create(RESOURCES[self.resource.parent_noun], project.id, 0)["id"]
        self.parent = parents[self.resource.parent]
        #: The options of the parent and of what that is in.
        self.parents = {name: parents[name] for name in (*self.resource.ancestors, self.resource.parent) if name}

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.name]

    def create(self, number: int = 0, /, **fields: Any) -> Values:
        """Create an object behind the collection's back. Returns it as the answer has it."""
        return self._create(self.resource, self.parent, number, **fields)

    def _create(self, resource: Resource, parent: str, number: int, /, **fields: Any) -> Values:
        first = {resource.nested.noun: samples.body(resource.nested, PASSWORD)} if resource.nested else {}
        above = {} if resource.path_has_parent else {resource.parent: parent}
        return samples.create(self.scope, resource, parent, PASSWORD, number, **first, **above, **fields)

    def referred(self, reference: Field) -> Values:
        """An object that a field can refer to."""
        return samples.found_or_created(self.scope, reference, self.parent, PASSWORD)

    def new(self, number: int = 0) -> Values:
        """The options with which a task creates an object, one for each number."""
        resource = self.resource
        options = samples.complete(resource, PASSWORD, number)
        for f in resource.references:
            if options.pop(f.name, None):
                options[f.name_option] = next(self.referred(f)[key] for key in f.refers_to.identity)  # type: ignore[union-attr]
        if resource.nested:
            options[resource.nested.noun] = samples.complete(resource.nested, PASSWORD)
        if resource.issued:
            options["secrets_file"] = str(self.secrets_file(number))
        return options

    def secrets_file(self, number: int = 0) -> Path:
        return self.modules.home / f"secrets-{number}.json"

    def named(self, number: int = 0) -> Values:
        """The options by which a task finds the object of a number."""
        found = samples.needed(self.resource, number).items()
        return {name: value for name, value in found if name in self.resource.identity}

    def by_id(self, item: Values) -> Values:
        """The option by which a task finds this object."""
        return {self.resource.id_field: item[self.resource.id_field]}

    def absent(self, form: str = "item", /, **options: Any) -> Values:
        allowed = {"force": True} if self.resource.nested and form == "item" else {}
        return {"state": "absent", **allowed, **options}

    def listed(self, *entries: Any) -> Values:
        """The option with which the list form takes these entries."""
        return {self.resource.plural: list(entries)}

    @property
    def replacing(self) -> Values:
        """The option without which an object that the API cannot update is kept."""
        return {"replace": True} if self.resource.replaceable else {}

    @property
    def update(self) -> str:
        """The action that changes an object."""
        return "updated" if self.resource.update_verb else "replaced"

    def renamed(self) -> Values:
        """Other values of all the fields that find an object and can change."""
        resource = self.resource
        names = [f.name for f in resource.writable if f.name in (*resource.identity, resource.tie_breaker)]
        found = [resource.field(n) for n in names if n != resource.parent]
        fields = [f for f in found if not (f.immutable or f.refers_to)]
        return {f.name: samples.varied(f, samples.sample(resource, f), 1) for f in fields}

    def lacking(self) -> Iterator[tuple[str, str]]:
        """The options without which an object is neither found nor created, each with what the task reports."""
        resource = self.resource
        for f in resource.writable:
            if f.name in self.named():
                yield f.name, f"{f.name}: missing; set "
            elif f.required and f.name != resource.parent:
                yield f.name_option or f.name, f"does not exist yet; set {f.name} to create it"
        if resource.nested:
            yield resource.nested.noun, f"does not exist yet; set {resource.nested.noun} to create it"

    def values(self, setting: Setting) -> Iterator[Any]:
        """Values that the API takes: those that the sandbox declares for an update, or else some like the sample."""
        declared = KIND[self.resource.noun].change.get(setting.field.name)
        if declared is not None and not setting.member:
            yield declared
            return
        within = setting.field.name if setting.member else ""
        changed = setting.member or setting.field
        start = samples.sample(self.resource, changed, within)
        yield from (samples.varied(changed, start, number) for number in range(3))

    def other(self, setting: Setting, item: Values) -> Any:
        """Another value than an object has; None if there is none."""
        return next((value for value in self.values(setting) if setting.differs(value, item)), None)

    @property
    def unknown_id(self) -> str:
        """An id that no object has."""
        return "f" * 16 if self.resource.field(self.resource.id_field).pattern else "no_such"

    def seed(self, count: int) -> None:
        """Seed objects that no task creates. In the last one, the nullable fields are null."""
        resource = self.resource
        varying = [resource.fields[0], *(f for f in resource.info_fields if f.name in resource.filter_names)]
        entries = [
            {f.name: samples.varied(f, samples.sample(resource, f), number) for f in varying} for number in range(count)
        ]
        entries[-1] |= {f.name: None for f in varying if f.nullable}
        self.scope.seed(resource.items_key, *({**samples.whole(resource), **entry} for entry in entries))

    @property
    def required(self) -> Values:
        """The required options of the info module."""
        return {f.name: samples.DAYS[f.name] for f in self.resource.query if f.required}

    def truth(self) -> list[Values]:
        """The objects of the resource that the server truly has, in the order of their creation."""
        found = self.scope.stored(self.resource.items_key)
        return [item for item in found.values() if not self.resource.is_deleted(item)]

    def run(self, form: str = "item", /, **options: Any) -> Run:
        """Run a task of one of the resource's modules, in the parent unless the options have another."""
        return self._play(form, options, False)

    def check(self, form: str = "item", /, **options: Any) -> Run:
        """The same in check mode."""
        return self._play(form, options, True)

    def _play(self, form: str, options: Values, check: bool) -> Run:
        task = {"name": "task", f"pgbeam.cloud.{FORMS[self.name][form]}": {**self.parents, **options}}
        return self.modules.play([task], "--diff", check=check)

    def result(self, form: str = "item", /, **options: Any) -> Values:
        run = self.run(form, **options)
        assert run.status == 0, run.output
        return run.result("task")

    def foreseen(self, form: str = "item", /, **options: Any) -> Run:
        """Run a task in check mode and live. Everything that check mode reports comes true. Returns the live run."""
        reported, done = self.check(form, **options), self.run(form, **options)
        assert done.status == reported.status == 0, reported.output + done.output
        foretold, live = reported.result("task"), done.result("task")
        assert foretold.keys() == live.keys()
        for key in live.keys() & {"action", "changed", "changes", "diff", "msg", "summary", "warnings"}:
            assert foretold[key] == live[key], key
        for resource in filter(None, (self.resource, self.resource.nested)):
            if resource.noun in live:
                given = options if resource is self.resource else options[resource.noun]
                _compare(resource, foretold[resource.noun], live[resource.noun], given, live["action"])
        if form == "list":
            for entry, before, after in zip(
                options[self.resource.plural], foretold[self.resource.plural], live[self.resource.plural]
            ):
                assert (before["action"], before["changes"]) == (after["action"], after["changes"])
                _compare(self.resource, before, after, entry, after["action"])
        return done

    def unchanged(self, form: str = "item", /, **options: Any) -> Run:
        """Run a task that has nothing to do: it reads, reports no change, and leaves the server as it is."""
        before = self.truth()
        run = self.foreseen(form, **options)
        result = run.result("task")
        assert result["changed"] is False
        if form == "item":
            assert (result["action"], result["changes"]) == ("unchanged", [])
            assert (result["diff"]["before"], result["diff"]["after"]) == ({}, {})
        else:
            assert result["diff"] == []
        assert {method for method, path in run.requests} == {"GET"}
        assert self.truth() == before
        return run

    def refused(self, reported: str, form: str = "item", /, **options: Any) -> Run:
        """Run a task that fails before any write, in check mode for the same reason."""
        before = self.truth()
        for play in (self.check, self.run):
            run = play(form, **options)
            result = run.result("task")
            assert (result["failed"], result.get("changed", False)) == (True, False), result
            assert reported in result["msg"]
            assert run.writes == []
        assert self.truth() == before
        return run


def _compare(resource: Resource, foretold: Values, live: Values, given: Values, action: str) -> None:
    """Check mode predicts the object; null is only used for values that only the server knows."""
    assert foretold.keys() == live.keys()
    for f in resource.fields:
        reported, became = foretold.get(f.name), live.get(f.name)
        if reported is None:
            server_only = f.read_only or (action in ("created", "replaced") and given.get(f.name) is None)
            assert became is None or server_only, f.name
        elif f.fields:
            members = {name: value for name, value in reported.items() if value is not None}
            assert members.keys() >= (given.get(f.name) or {}).keys()
            assert f.equals(members, became), f.name
        else:
            assert f.equals(reported, became), f.name


def _bodies(run: Run, method: str) -> list[Values]:
    return [entry["body"] for entry in run.exchanges if entry["method"] == method]


def _without_moments(resource: Resource, item: Values) -> Values:
    hidden = {"updated_at", *(f.name for f in resource.fields if f.changes_on_write)}
    return {name: value for name, value in item.items() if name not in hidden}


@each(where=creatable)
def test_a_life(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """Create, repeat, rename, absent, by identity and by id: foreseen by check mode, and not done twice."""
    world = World(modules, sandbox, name)
    resource = world.resource
    assert world.unchanged(**world.named(), **world.absent()).result("task")[resource.noun] == {}
    for option, reported in world.lacking():
        given = {name: value for name, value in world.new().items() if name != option}
        world.refused(reported, **given)

    done = world.foreseen(**world.new())
    made = done.result("task")
    identifier = made[resource.noun]["id"]
    assert (made["action"], made["changed"]) == ("created", True)
    assert [method for method, path in done.writes] == [resource.create_verb]
    (item,) = world.truth()
    assert item["id"] == identifier
    assert made[resource.noun].keys() >= {f.name for f in resource.fields if not f.secret}
    for field_name, value in world.named().items():
        assert item[field_name] == value
    diff = made["diff"][0] if resource.nested else made["diff"]
    within = f"{resource.nested.noun}." if resource.nested else ""
    own = {change for change in made["changes"] if not within or not change.startswith(within)}
    assert (diff["before"], diff["after"].keys()) == ({}, own)

    assert world.unchanged(**world.new()).result("task")[resource.noun]["id"] == identifier
    world.unchanged(**world.named())
    world.unchanged(id=identifier)
    world.unchanged(**{n: samples.respelled(resource.field(n), value) or value for n, value in world.named().items()})
    for f in resource.references:
        world.unchanged(**world.named(), **{f.name: item[f.name]})
    for secret in (f.name for f in resource.fields if f.secret):
        sent = world.foreseen(**world.new(), **{f"update_{secret}": "always"}).result("task")
        assert (sent["action"], sent["changes"]) == ("updated", [secret])

    renamed = world.renamed()
    if renamed:
        done = world.foreseen(id=identifier, **renamed, **world.replacing)
        result = done.result("task")
        assert (result["action"], result["changes"]) == (world.update, list(renamed))
        assert [method for method, path in done.writes] == (
            [resource.update_verb] if resource.update_verb else ["POST", "DELETE"]
        )
        world.unchanged(**{**world.named(), **renamed})
        identifier = result[resource.noun]["id"]
        back = {n: item[n] for n in renamed}
        identifier = world.result(id=identifier, **back, **world.replacing)[resource.noun]["id"]

    gone = world.foreseen(**world.named(), **world.absent())
    assert gone.result("task")["action"] == "deleted"
    assert gone.result("task")[resource.noun] == {}
    assert [method for method, path in gone.writes] == ["DELETE"]
    assert gone.result("task")["diff"]["after"] == {}
    assert world.truth() == []
    world.unchanged(**world.named(), **world.absent())
    world.unchanged(id=identifier, **world.absent())
    world.refused(f"{resource.noun} {identifier} was not found in ", id=identifier)
    if "info" in FORMS[name]:
        assert world.result("info")[resource.plural] == []
    world.result(**world.new())
    (item,) = world.truth()
    assert item["id"] != identifier
    assert world.foreseen(id=item["id"], **world.absent()).result("task")["action"] == "deleted"
    assert world.truth() == []


@each(where=settings)
def test_each_field_changes_alone(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """Nothing else is sent, or the rest is sent as it was; and the next run has nothing to do."""
    world = World(modules, sandbox, name)
    resource = world.resource
    world.create()
    changed = set()
    for number, setting in enumerate(settings(resource)):
        (before,) = world.truth()
        value = world.other(setting, before)
        if value is None:
            continue
        wanted = setting.options(value)
        found = world.by_id(before) if number % 2 and resource.update_verb else world.named()
        if not resource.update_verb:
            world.refused(
                f"{setting.name} is {before[setting.field.name]!r} and PgBeam cannot change it", **found, **wanted
            )
        run = world.foreseen(**found, **wanted, **world.replacing)
        result = run.result("task")
        assert result["action"] == world.update
        assert result["changes"] == [setting.name]
        assert result["diff"]["after"] == wanted
        if setting.member:
            assert result["diff"]["before"] == setting.options(before[setting.field.name][setting.member.name])
        else:
            assert setting.field.equals(result["diff"]["before"][setting.field.name], before[setting.field.name])
        (after,) = world.truth()
        assert not setting.differs(value, after)
        if resource.update_verb:
            # The server determines the form of the value, such as that of a network.
            expected = merged(before, wanted) if setting.member else {**before, setting.field.name: after[setting.name]}
            assert _without_moments(resource, after) == _without_moments(resource, expected)
            (body,) = _bodies(run, resource.update_verb)
            assert body.keys() == {setting.field.name} or resource.update_verb == "PUT"
            if setting in merging(resource):
                assert run.exchanges[-1]["headers"]["if-match"]
        world.unchanged(**world.named(), **wanted, **world.replacing)
        if setting.field.nullable:
            world.foreseen(**found, **setting.options(None))
            assert world.truth()[0][setting.field.name] is None
        if setting.field.when_empty:
            emptied = world.foreseen(**found, **setting.options([]))
            assert f"{setting.name} becomes empty, so {setting.field.when_empty}" in emptied.output
        changed.add(setting.name)
    assert changed


@each(where=lambda resource: any(f.immutable for f in resource.fields))
def test_what_never_changes(modules: Modules, sandbox: Sandbox, name: str) -> None:
    world = World(modules, sandbox, name)
    before = world.create()
    for f in (f for f in world.resource.writable if f.immutable and f.name != world.resource.parent):
        found = world.by_id(before) if f.name in world.resource.identity else world.named()
        value = next(
            value
            for value in (samples.varied(f, samples.sample(world.resource, f), number) for number in (1, 2))
            if not f.equals(value, before.get(f.name))
        )
        world.refused(
            f"{f.name} is {_in_words(before.get(f.name))} and cannot be changed to {value!r}",
            **found,
            **{f.name: value},
        )


def _in_words(value: Any) -> str:
    return "null" if value is None else repr(value)


@each("list", creatable)
def test_a_list(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """A list over two pages is created, kept, changed and pruned, and reported in its order."""
    world = World(modules, sandbox, name)
    world.scope.settings(page_limit=2, empty_pages=True)
    resource, plural = world.resource, world.resource.plural
    entries = [world.new(number) for number in range(4)]
    done = world.foreseen("list", **world.listed(*entries))
    result = done.result("task")
    assert result["msg"] == "4 created"
    assert [entry["action"] for entry in result[plural]] == ["created"] * 4
    assert [method for method, path in done.writes] == [resource.create_verb] * 4
    assert result["summary"] == {**dict.fromkeys(resource.actions, 0), "created": 4}
    assert plural not in result["invocation"]["module_args"]
    ids = [entry["id"] for entry in result[plural]]
    assert {item["id"] for item in world.truth()} == set(ids)
    for number, entry in enumerate(result[plural]):
        assert entry.keys() >= {"action", "changes", *resource.summary}
        assert entry.items() >= {n: v for n, v in world.named(number).items() if n in resource.summary}.items()

    again = world.unchanged("list", **world.listed(*entries))
    listings = [path for method, path in again.requests if path.endswith(resource.path.rpartition("/")[2])]
    assert len(listings) == 4, "two pages, each after an empty one"
    assert again.result("task")["msg"] == "4 unchanged"
    assert [entry["id"] for entry in again.result("task")[plural]] == ids
    world.unchanged("list", **world.listed(*({"id": identifier} for identifier in reversed(ids))))

    before = {item["id"]: item for item in world.truth()}
    if settings(resource):
        setting, value = next((s, v) for s in settings(resource) if (v := world.other(s, before[ids[1]])) is not None)
        entries[1] = {**entries[1], **setting.options(value)}
        done = world.foreseen("list", **world.listed(*entries), **world.replacing)
        assert done.result("task")["msg"] == f"1 {world.update}, 3 unchanged"
        assert [entry["changes"] for entry in done.result("task")[plural]] == [[], [setting.name], [], []]
        assert len(done.writes) == (1 if resource.update_verb else 2)
        others = {item["id"]: item for item in world.truth()}
        assert all(others[identifier] == before[identifier] for identifier in (ids[0], ids[2], ids[3]))

    entries[3] = {**world.named(3), **world.absent("list")}
    assert world.foreseen("list", **world.listed(*entries)).result("task")["summary"]["deleted"] == 1
    world.unchanged("list", **world.listed(*entries))

    for option, reported in world.lacking():
        lacking = {name: value for name, value in world.new(5).items() if name != option}
        assert (
            f"{plural}[1]" in world.refused(reported, "list", **world.listed(entries[0], lacking)).result("task")["msg"]
        )

    kept = {**world.listed(entries[0]), "prune": True}
    surplus = [item for item in world.truth() if item["id"] != ids[0]]
    going = ", ".join(f"{resource.describe(item)} ({item['id']})" for item in surplus)
    refusal = (
        f"prune: 2 of the 3 {resource.collection_label(world.parent)} would be deleted, more than prune_limit (50%) "
        f"allows: {going}; check that the list is complete, or set prune_limit to 2"
    )
    world.refused(refusal, "list", **kept)
    pruned = world.foreseen("list", **kept, prune_limit="2").result("task")
    assert pruned["summary"]["deleted"] == 2
    assert [entry["action"] for entry in pruned[plural]] == ["unchanged", "deleted", "deleted"]
    assert [item["id"] for item in world.truth()] == ids[:1]
    world.unchanged("list", **kept)


@each("list", lambda resource: resource.deletable)
def test_a_list_that_is_refused(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """Before any request, with the place of each entry that is wrong."""
    world = World(modules, sandbox, name)
    plural = world.resource.plural
    good, second = world.new(0), world.new(1)
    option, value, reported = next(
        (f.name, value, reported)
        for f in world.resource.writable
        for value, reported in samples.wrong(world.resource, f)
    )
    lacking = {name: value for name, value in second.items() if name not in world.named()}
    for entries, message in (
        ([good, second, good], f"{plural}[2]"),
        ([good, {**second, option: value}], reported),
        ([good, {**second, "stat": "absent"}], "stat: unknown option; did you mean state?"),
        ([good, {**second, "state": "gone"}], "state: 'gone' is not allowed; it must be one of present, absent"),
        ([good, lacking], "missing; set "),
        ([good, "text"], "text was given; it must be a dictionary"),
    ):
        run = world.refused(message, "list", **world.listed(*entries))
        assert f"{plural}[{2 if len(entries) == 3 else 1}]" in run.result("task")["msg"]
        assert run.requests == []
    run = world.refused("prune: the list", "list", **world.listed(), prune=True)
    assert run.requests == []


@each(singletons=True)
def test_bad_input(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """Each value that a field does not take is refused before any request, with its place and what is allowed."""
    world = World(modules, sandbox, name)
    options = world.new()
    # A wrong value of a secret would be masked in the messages on the other fields.
    resource, first = world.resource, world.resource.nested
    for secret in (True, False):
        fields = [f for f in resource.writable if f.secret is secret]
        waiting = [(f.name, value, reported) for f in fields for value, reported in samples.wrong(resource, f)]
        if first:
            inner = [(f, f"{first.noun}.{f.name}") for f in first.writable if f.secret is secret]
            waiting += [
                (first.noun, {f.name: v}, reported)
                for f, place in inner
                for v, reported in samples.wrong(first, f, place)
            ]
        assert waiting or secret
        while waiting:
            batch: dict[str, tuple[Any, str]] = {}
            for case in list(waiting):
                option, value, reported = case
                if option not in batch and len(batch) < MAX_ERRORS:
                    batch[option] = (value, reported)
                    waiting.remove(case)
            run = world.run(**{**options, **{option: value for option, (value, reported) in batch.items()}})
            result = run.result("task")
            assert (result["failed"], run.requests) == (True, [])
            assert [reported for value, reported in batch.values() if reported not in result["msg"]] == [], result[
                "msg"
            ]


@each("info")
def test_info(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """All objects over two pages, one by its id, and those that a filter matches; check mode is no different."""
    world = World(modules, sandbox, name)
    resource = world.resource
    if "item" in FORMS[name]:
        world.scope.settings(page_limit=2)
        given = [resource.field(n) for n in resource.filters if not resource.field(n).read_only]
        for number in range(3):
            own = [f for f in given if not (f.update_only or f.refers_to)]
            more = {f.name: samples.varied(f, samples.sample(resource, f), number) for f in own}
            more.update({f.name: world.referred(f)["id"] for f in given if f.refers_to and number})
            world.create(number, **more)
    elif resource.path in READ_ONLY:
        world.scope.settings(page_limit=2)
        world.seed(3)
    query = {resource.parent: world.parent} if resource.parent and not resource.path_has_parent else {}
    query |= world.required
    path = resource.path.format(**world.parents)
    listed = world.scope.pages(path, resource.items_key, 100 if resource.paged else None, **query)
    fields = {f.name: None for f in resource.fields if not f.secret}
    expected = [{**fields, **item} for item in listed]
    assert expected

    def found(**options: Any) -> list[Values]:
        options = {**world.required, **options}
        checked, live = world.check("info", **options), world.run("info", **options)
        assert live.status == 0, live.output
        queried = {f.name: str(options[f.name]) for f in resource.query if f.name in options}
        assert all(entry["query"].items() >= queried.items() for entry in live.exchanges)
        assert (checked.result("task"), checked.requests) == (live.result("task"), live.requests)
        assert live.result("task")["changed"] is False
        items: list[Values] = live.result("task")[resource.plural]
        return items

    assert found() == expected
    for name_of_filter in resource.filter_names:
        for value in {repr(item[name_of_filter]): item[name_of_filter] for item in expected}.values():
            matching = [item for item in expected if item[name_of_filter] == value]
            value = "" if value is None else value
            assert found(**{name_of_filter: value}) == matching
            other_spelling = samples.respelled(resource.field(name_of_filter), value)
            if other_spelling:
                assert found(**{name_of_filter: other_spelling}) == matching
            for item in (expected[0], expected[-1]):
                assert found(**world.by_id(item), **{name_of_filter: value}) == [
                    item for one in matching if one == item
                ]
    if resource.id_field:
        assert found(**world.by_id(expected[-1])) == [expected[-1]]
        assert found(**world.by_id({resource.id_field: world.unknown_id})) == []


@each(where=merging)
def test_another_writer(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """What somebody else changes between the read and the write is kept; an endless conflict is reported."""
    for form in FORMS[name].keys() & {"item", "list"}:
        world = World(modules, sandbox, name)
        resource = world.resource
        known = world.create()
        mine, value = next((s, v) for s in merging(resource) if (v := world.other(s, known)) is not None)
        beside = [s for s in settings(resource) if s != mine and (s.field == mine.field) == bool(mine.member)]
        theirs = next((s.options(v) for s in beside if (v := world.other(s, known)) is not None), None)
        theirs = theirs or {n: v for n, v in world.named(1).items() if not resource.field(n).immutable}
        task = {"id": known["id"], **mine.options(value)}
        options = task if form == "item" else world.listed(task)
        before = world.truth()

        world.scope.fault("status", method=resource.update_verb, times=ENDLESS, status=412, code="PRECONDITION_FAILED")
        result = world.run(form, **options).result("task")
        assert (result["failed"], result["changed"]) == (True, False)
        assert "412 PRECONDITION_FAILED" in result["msg"]
        assert "find out what else writes to it" in result["msg"]
        assert world.truth() == before
        world.scope.clear_faults()

        world.scope.fault("other_writer", method=resource.update_verb, change=theirs)
        run = world.run(form, **options)
        assert run.status == 0, run.output
        sent = [entry["status"] for entry in run.exchanges if entry["method"] == resource.update_verb]
        assert sent == [412, 200]
        (item,) = world.truth()
        expected = merged(merged(known, theirs), mine.options(value))
        assert not mine.differs(value, item)
        assert {n: item[n] for n in theirs} == {n: expected[n] for n in theirs}
        world.unchanged(form, **options)


def _older(resource: Resource) -> tuple[Resource, Setting, list[str]] | None:
    """The resource as an older release may have it, a setting in it, and the fields that it does not have whole."""
    for known in merging(resource):
        own = {*resource.identity, resource.parent, known.field.name}
        if known.member:
            members = tuple(m for m in known.field.fields if m is known.member)
            fields = tuple(replace(f, fields=members) if f is known.field else f for f in resource.fields)
            return replace(resource, fields=fields), known, [known.field.name]
        unknown = [f.name for f in resource.writable if f.name not in own and not (f.required or f.secret)]
        if unknown:
            fields = tuple(f for f in resource.fields if f.name not in unknown)
            return replace(resource, fields=fields), known, unknown
    return None


@each(where=_older)
def test_an_older_release(modules: Modules, sandbox: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a release does not know, it does not reset."""
    world = World(modules, sandbox, name)
    found = _older(world.resource)
    assert found
    older, setting, unknown = found
    identifier = world.create()["id"]
    everything: Values = {}
    for each_setting in settings(world.resource):
        value = world.other(each_setting, world.truth()[0])
        if each_setting.field.name in unknown and each_setting.name != setting.name and value is not None:
            everything = merged(everything, each_setting.options(value))
    world.result(id=identifier, **everything)
    (before,) = world.truth()
    module = importlib.import_module(f"{module_runner.PLACE}.{FORMS[name]['item']}")
    monkeypatch.setattr(module, name.upper(), older)
    value = world.other(setting, before)
    assert value is not None
    result = world.result(id=identifier, **setting.options(value))
    assert (result["action"], result["changes"]) == ("updated", [setting.name])
    (after,) = world.truth()
    expected = merged(before, setting.options(value))
    assert _without_moments(world.resource, after) == _without_moments(world.resource, expected)


@each(where=creatable)
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_lost_answers(modules: Modules, sandbox: Sandbox, name: str, applied: bool) -> None:
    """A write whose answer is lost is looked up: reported as done if it was, and as a failure if it was not."""
    world = World(modules, sandbox, name)
    resource = world.resource

    def lose(method: str, action: str, /, **options: Any) -> Run:
        before = world.truth()
        world.scope.fault("drop_after" if applied else "drop_before", method=method)
        run = world.run(retries=0, **options)
        result = run.result("task")
        if applied:
            assert run.status == 0, run.output
            assert (result["action"], result["changed"]) == (action, True)
            assert world.truth() != before
        else:
            assert (result["failed"], result["changed"], result["error"]["outcome_unknown"]) == (True, False, True)
            again = "run the task again, and if it reports no change, set rotate: true for new secrets"
            issues = resource.issued and action == "created"
            assert f"{MAYBE}; {again if issues else 'run the task again to find out'}" in result["msg"]
            assert result["msg"].startswith(f"{method} ")
            assert world.truth() == before
        world.scope.clear_faults()
        return run

    run = lose(resource.create_verb, "created", **world.new())
    if applied:
        world.unchanged(**world.new())
        (item,) = world.truth()
        assert run.result("task")[resource.noun]["id"] == item["id"]
        if resource.issued:
            assert "the response with its secrets was lost, so new ones were issued" in run.output
            _hold_to_issued(world)
    else:
        world.create()
    (item,) = world.truth()
    change = next(((s, v) for s in settings(resource) if (v := world.other(s, item)) is not None), None)
    if change:
        wanted = {**world.named(), **change[0].options(change[1]), **world.replacing}
        lose(resource.update_verb or resource.create_verb, world.update, **wanted)
        if applied:
            world.unchanged(**wanted)
    lose("DELETE", "deleted", **world.named(), **world.absent())


@each(where=creatable)
def test_refusals(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """What the API refuses fails the task, with the request, the code and what to do; nothing else is tried."""
    world = World(modules, sandbox, name)
    resource = world.resource
    entries = [world.new(number) for number in range(3)]
    world.scope.fault("status", method=resource.create_verb, times=ENDLESS, status=403, code="FORBIDDEN")
    run = world.run(**entries[0])
    result = run.result("task")
    assert result["msg"].startswith(f"{resource.create_verb} {resource.noun} ") and "403 FORBIDDEN" in result["msg"]
    assert "use a key that has this permission" in result["msg"]
    assert (result["changed"], result["action"], len(run.writes)) == (False, "failed", 1)
    assert (result["error"]["status"], result["error"]["attempts"]) == (403, 1)
    assert world.truth() == []
    if "list" in FORMS[name]:
        world.scope.clear_faults()
        world.scope.fault("status", method=resource.create_verb, skip=1, times=ENDLESS, status=403, code="FORBIDDEN")
        run = world.run("list", **world.listed(*entries), parallel=1)
        listed = run.result("task")
        assert [entry["action"] for entry in listed[resource.plural]] == ["created", "failed", "skipped"]
        assert listed["msg"].endswith("[1 created, 1 failed, 1 skipped]")
        assert (listed["failed"], listed["changed"], len(run.writes), len(world.truth())) == (True, True, 2, 1)


@each(where=lambda resource: not KIND[resource.noun].unique)
def test_an_ambiguous_identity(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """Of two duplicates, none is changed unless the task has its id."""
    world = World(modules, sandbox, name)
    ids = sorted(world.create()["id"] for dummy in range(2))
    reported = f"exists 2 times in PgBeam ({', '.join(ids)})"
    world.refused(reported, **world.named())
    world.refused(reported, **world.named(), **world.absent())
    if "list" in FORMS[name]:
        world.refused(reported, "list", **world.listed(world.named()))
    assert reported in world.run("info").output
    renamed = world.renamed()
    if renamed:
        assert world.foreseen(id=ids[0], **renamed, **world.replacing).result("task")["action"] == world.update
        world.unchanged(**world.named())
    world.foreseen(id=ids[1], **world.absent())
    assert [item["id"] for item in world.truth()].count(ids[1]) == 0


@each(where=lambda resource: resource.path_has_parent and resource.creatable)
def test_a_parent_that_is_missing(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """A 404 of the API for a parent is a failure, also for absent; in check mode, the parent may not exist yet."""
    world = World(modules, sandbox, name)
    resource = world.resource
    nowhere: Values = {resource.parent: "no_such"}
    new = world.new()
    for form, options in (
        ("item", new),
        ("item", {**world.named(), **world.absent()}),
        ("list", world.listed(new)),
        ("info", {}),
    ):
        if form in FORMS[name]:
            result = world.run(form, **{**options, **nowhere}).result("task")
            assert result["failed"] and not result["changed"]
            # An organization that does not exist looks like one that the key may not see.
            code = "403 FORBIDDEN" if resource.parent == "org_id" else "404 NOT_FOUND"
            assert code in result["msg"]
            assert resource.parent == "org_id" or "or not visible to this API key" in result["msg"]
    for f in resource.references:
        new.pop(f.name_option, None)
        new[f.name] = samples.sample(resource, f)
    for later in ({resource.parent: ""}, {resource.parent: None}):
        for form, options, action in (
            ("item", new, "created"),
            ("item", {**world.named(), **world.absent()}, "unchanged"),
            ("item", {"id": "some_1", **world.absent()}, "unchanged"),
            ("list", {**world.listed(new), "prune": True}, "created"),
            ("info", {}, ""),
            ("info", {"id": "some_1"}, ""),
            ("info", {n: samples.sample(resource, resource.field(n)) for n in resource.filters[:1]}, ""),
        ):
            if form in FORMS[name]:
                foreseen = world.check(form, **{**options, **later})
                result = foreseen.result("task")
                assert (foreseen.status, foreseen.requests) == (0, []), foreseen.output
                found = result.get(resource.plural, [])
                assert action == (result["action"] if form == "item" else "".join(entry["action"] for entry in found))
                live = world.run(form, **{**options, **later})
                assert (
                    "empty, which is allowed only in check mode; set the id of an existing"
                    in live.result("task")["msg"]
                )
                assert live.requests == []
        unknown = world.check(**{"id": "some_1", **later})
        assert (
            f"{resource.noun} some_1 was not found in PgBeam, or is not visible to this API key"
            in unknown.result("task")["msg"]
        )
    slash = world.run(**{**new, resource.parent: "a/b"})
    assert f"{resource.parent}: 'a/b' is not an id" in slash.result("task")["msg"]
    assert slash.requests == []


@each(where=lambda resource: resource.action)
def test_an_action(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """It is called only on request for an existing object, and never in check mode; its failure is reported."""
    world = World(modules, sandbox, name)
    resource, action = world.resource, world.resource.action
    assert action
    asked = {**world.new(), action.option: True}
    where = f"/{action.verb}"
    world.scope.settings(connection_test={"ok": True})

    def calls(run: Run) -> int:
        return len([path for method, path in run.requests if (method, path.endswith(where)) == ("POST", True)])

    assert world.check(**asked).result("task")[action.result] is None
    world.scope.fault("failed_test", method="POST", path_ends=where, message="no route")
    run = world.run(**asked)
    result = run.result("task")
    assert (calls(run), result["failed"], result["changed"], result["action"]) == (1, True, True, "created")
    assert f"{action.failure}: no route; " in result["msg"] and result["msg"].startswith(f"POST {action.label} of ")
    assert (result["error"]["code"], result["error"]["message"]) == (action.code, "no route")
    assert result[action.result]["error"] == "no route"
    assert calls(world.run(**world.new())) == 0

    run = world.foreseen(**asked)
    result = run.result("task")
    assert (calls(run), result["changed"]) == (1, action.changes)
    assert result["changes"] == ([action.success[0]] if action.changes else [])
    assert result[action.result][action.success[0]] == action.success[1]
    again = world.foreseen(**asked)
    assert (calls(again), again.result("task")["changed"]) == (not action.changes, False)

    if "list" in FORMS[name]:
        entries = [*(world.new(number) for number in range(3)), {**world.named(3), **world.absent("list")}]
        world.scope.fault("failed_test", method="POST", path_ends=where, message="no route")
        run = world.run("list", **world.listed(*entries), **{action.option: True}, parallel=1)
        found = run.result("task")
        assert [bool(entry.get("error")) for entry in found[resource.plural]].count(True) == 1
        assert [entry["action"] for entry in found[resource.plural]] == ["unchanged", "created", "created", "unchanged"]
        assert found[resource.plural][-1][action.result] is None
        assert calls(run) == (2 if action.changes else 3)
        world.foreseen("list", **world.listed(*entries), **{action.option: True})
    absent = world.foreseen(**world.named(), **world.absent(), **{action.option: True})
    assert (calls(absent), absent.result("task")[action.result]) == (0, None)


def _hold_to_issued(world: World) -> Values:
    """The file holds the secrets that the server has, for its owner alone. Returns them."""
    path = world.secrets_file()
    assert path.stat().st_mode & 0o777 == 0o600
    held: Values = json.loads(path.read_text())
    assert held.keys() == {"id", *world.resource.shown_once}
    kept = world.scope.secrets("s")[held["id"]]
    assert kept == {n: hashlib.sha256(f"s{held[n]}".encode()).hexdigest() for n in kept}
    return held


@each(where=lambda resource: resource.issued)
def test_secrets_that_are_shown_once(modules: Modules, sandbox: Sandbox, name: str) -> None:
    """They are written to a file or returned; otherwise the task fails before it issues any. They rotate on request."""
    world = World(modules, sandbox, name)
    new = world.new()
    nowhere = {name: value for name, value in new.items() if name != "secrets_file"}
    world.refused("set secrets_file, or return_secrets: true and no_log: true", **nowhere)
    world.refused("also set no_log: true on the task", **nowhere, return_secrets=True)
    if "list" in FORMS[name]:
        world.refused("set secrets_file, or", "list", **world.listed(world.new(1), nowhere))
    os.mkfifo(modules.home / "pipe")
    unusable = {
        "": "is a directory",
        "pipe": "is not a regular file",
        "n" * 300: "the path is too long",
        "null\0": "contains a null character",
    }
    for path, reported in unusable.items():
        assert world.refused(reported, **{**new, "secrets_file": f"{modules.home}/{path}"}).requests == []
    later = {**new, "secrets_file": f"{modules.home}/missing/file"}
    run = world.run(**later)
    assert (run.status, run.requests) == (2, []) and "create it first" in run.result("task")["msg"]
    (warning,) = world.check(**later).result("task")["warnings"]
    assert "does not exist; create it first; without check mode, the task fails unless" in str(warning)
    if "list" in FORMS[name]:
        shared = {**world.new(1), "secrets_file": new["secrets_file"]}
        assert world.refused("the same file as", "list", **world.listed(new, shared)).requests == []

    made = world.foreseen(**new).result("task")
    first = _hold_to_issued(world)
    modules.secrets += [first[n] for n in world.scope.secrets("s")[first["id"]]]
    world.unchanged(**new)
    assert world.check(**later).result("task")["warnings"] == [warning]  # the task itself is refused
    assert _hold_to_issued(world) == first
    world.refused("set secrets_file, or", **nowhere, rotate=True)
    world.check(**new, rotate=True)
    assert _hold_to_issued(world) == first
    rotated = world.foreseen(**new, rotate=True).result("task")
    assert (rotated["action"], rotated["changes"]) == ("updated", list(world.resource.issued))
    second = _hold_to_issued(world)
    assert second != first and second["id"] == first["id"] == made[world.resource.noun]["id"]
