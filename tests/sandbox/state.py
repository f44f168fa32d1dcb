# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the control plane, and the rules that all operations share."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar

from fastapi import Header, Path, Query
from fastapi.responses import JSONResponse

from tests.sandbox.declaration import Item, Kind
from tests.sandbox.kinds import KINDS, PROJECT, Place
from tests.sandbox.models import Fault, Settings
from tests.sandbox.refusals import Refusal, forbidden, invalid, not_found

Row = TypeVar("Row")
Id = Annotated[str, Path(pattern=r"^[a-zA-Z0-9_.-]+$")]
PageSize = Annotated[int, Query(ge=1, le=100)]
PageToken = Annotated[str, Query(pattern=r"^[a-zA-Z0-9_.-]+$")]
#: Only for updates.
IfMatch = Annotated[str, Header(alias="If-Match", min_length=1, max_length=1024)]
FIRST_PAGE = "after_-1"
#: Owns the projects that are created through the control API, and every key that begins with pbo_.
DEFAULT_ORGANIZATION = "org_sandbox"


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def tag(representation: Item) -> str:
    """Return the entity tag of the content of an answer."""
    return hashlib.sha256(json.dumps(representation, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Request:
    """The properties of a request that faults match."""

    method: str
    path: str
    body: bytes
    target: Target | None

    def fits(self, fault: Fault) -> bool:
        if fault.kind == "other_writer":
            methods = (fault.method,) if fault.method else ("PATCH", "PUT", "DELETE")
            fits = self.method in methods and bool(self.target and self.target.takes(fault.change))
        else:
            fits = fault.method in (None, self.method)
        return fits and self.path.endswith(fault.path_ends) and fault.body_has.encode() in self.body


@dataclass(frozen=True)
class Target:
    """The object of a path."""

    scope: Scope
    kind: Kind
    item: Item

    def show(self) -> Item:
        return self.scope.answer(self.kind, self.item)

    def takes(self, change: Item) -> bool:
        return set(change) <= self.kind.updatable

    def change(self, change: Item) -> None:
        """Apply another client's change."""
        changed = merged(self.item, change)
        sent = self.kind.updatable & changed.keys() if self.kind.update_method == "PUT" else change
        self.kind.update_body.validate_python({name: changed[name] for name in sent})
        self.item.update(changed, updated_at=now())


def merged(old: Any, new: Any) -> Any:
    """Merge another client's change into a value: it merges objects and appends to lists.

    A network that the list already contains is replaced.
    """
    if isinstance(old, dict):
        return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list):
        networks = {entry["cidr"] for entry in new if isinstance(entry, dict) and "cidr" in entry}
        kept = [entry for entry in old if not (isinstance(entry, dict) and entry.get("cidr") in networks)]
        return kept + [entry for entry in new if entry not in kept]
    return new


def overlaid(old: Item, new: Item) -> Item:
    """Return an object with these fields, with nested objects merged."""
    return {
        **old,
        **{
            name: {**old[name], **value} if isinstance(value, dict) and isinstance(old.get(name), dict) else value
            for name, value in new.items()
        },
    }


def _is_zero(value: Any) -> bool:
    return not any(value.values()) if isinstance(value, dict) else not value


@dataclass(eq=False)
class Scope:
    """An organization or a project, with its own settings, faults, rate limit and record."""

    id: str
    settings: Settings = field(default_factory=Settings, kw_only=True)
    faults: list[tuple[Fault, random.Random]] = field(default_factory=list, init=False)
    #: The entries of the read-only lists, by the key of the list.
    seeded: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list), init=False)
    #: The current second of the clock, and the number of requests in it.
    window: tuple[int, int] = field(default=(0, 0), init=False)
    #: Its objects, by the key of their list and by sequence number.
    rows: dict[str, dict[int, Item]] = field(default_factory=lambda: defaultdict(dict), init=False)
    #: By object id and field; stored separately, so that no answer contains one by mistake.
    secrets: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict), init=False)

    def over_the_rate_limit(self) -> bool:
        second = int(time.monotonic())
        self.window = (second, self.window[1] + 1 if self.window[0] == second else 1)
        limit = self.settings.requests_per_second
        return limit is not None and self.window[1] > limit

    def add_fault(self, fault: Fault) -> None:
        self.faults.append((fault.model_copy(), random.Random(fault.seed)))

    def next_fault(self, request: Request, kinds: Collection[str]) -> Fault | None:
        """Return the fault of these kinds that hits a request: the first that matches and is drawn."""
        for fault, luck in self.faults:
            if fault.kind not in kinds or fault.times < 1 or not request.fits(fault):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif luck.random() < fault.probability:
                fault.times -= 1
                return fault
        return None

    def refuse(self, refusal: Refusal) -> JSONResponse:
        return refusal.answer(self.settings.envelope)

    def shown(self, item: Item, optional: Collection[str] = ()) -> Item:
        """Return an item as answers of this scope contain it; ``optional`` fields may be omitted."""
        omitted = optional if self.settings.omit_zero else ()
        return {k: v for k, v in item.items() if k not in self.settings.left_out and not (k in omitted and _is_zero(v))}

    def etag(self, representation: Item) -> str:
        """Return the ``ETag`` of an answer's content in the format of this scope; empty for none."""
        return self.settings.etag.format(tag=tag(representation))

    def require(self, if_match: str, representation: Item) -> None:
        """Refuse an update whose ``If-Match`` does not match the object. A weak tag matches nothing."""
        held = {text for weak, text in re.findall(r'(W/)?"([^"]*)"', if_match) if not weak}
        if self.settings.etag and if_match not in ("", "*") and tag(representation) not in held:
            raise Refusal(412, "PRECONDITION_FAILED", "The object has changed since the read that this is based on.")

    def answer(self, kind: Kind, item: Item) -> Item:
        """Return an object as answers contain it."""
        whole = {**item, **kind.computed(self, item)}
        return self.shown({name: value for name, value in whole.items() if name in kind.shown}, kind.optional)

    def below(self, kind: Kind, parent_id: str) -> dict[int, Item]:
        """Return the objects of a parent, by sequence number."""
        return {number: item for number, item in self.rows[kind.key].items() if item[kind.parent] == parent_id}

    def find(self, kind: Kind, parent_id: str, name: str) -> Item:
        """Return one object of a parent. The connection test calls this in its own thread."""
        for item in list(self.rows[kind.key].values()):
            if item["id"] == name and item[kind.parent] == parent_id:
                return item
        raise not_found(kind.noun, name)

    def named(self, kind: Kind, parent_id: str, values: Item) -> Item | None:
        """Return the object of a parent with the identity of these values, or None."""
        assert kind.unique
        key = kind.unique({**kind.defaults(self), **values})
        return next((item for item in self.below(kind, parent_id).values() if kind.unique(item) == key), None)

    def add(self, kind: Kind, number: int, item: Item, given: Item) -> None:
        """Store a new object with the fields of a create, if they are valid."""
        limit = self.settings.plan_limit
        if kind.limited and limit is not None and sum(map(kind.live, self.rows[kind.key].values())) >= limit:
            raise Refusal(403, "PLAN_LIMIT_REACHED", f"The plan allows {limit} {kind.key}.")
        self._store(kind, item, kind.defaults(self), given)
        item["created_at"] = item["updated_at"]
        self.rows[kind.key][number] = item

    def update(self, kind: Kind, item: Item, given: Item) -> None:
        """Apply the fields of an update to an object, if they are valid."""
        self.require_live(kind, item)
        kind.keeps(self, item, given)
        replaced = kind.updatable.difference(kind.kept) if kind.update_method == "PUT" else ()
        initial = {name: value for name, value in kind.defaults(self).items() if name in replaced}
        self._store(kind, item, {**item, **initial}, given)

    def _store(self, kind: Kind, item: Item, before: Item, given: Item) -> None:
        fields = {name: value for name, value in given.items() if name not in kind.write_only}
        changed = overlaid({**item, **before}, fields)
        wrong = [name for name, key in kind.refers.items() if name in given and not self._has(key, given[name])]
        if wrong:
            raise invalid([{"field": name, "detail": f"{given[name]} does not exist in the project"} for name in wrong])
        kind.check(self, given)
        if kind.unique:
            for other in self.below(kind, item[kind.parent]).values():
                if other is not item and kind.live(other) and kind.unique(other) == kind.unique(changed):
                    raise Refusal(409, "RESOURCE_EXISTS", f"This {kind.noun} already exists: {other['id']}.")
        item.update(changed, updated_at=now())
        for name in given.keys() & set(kind.write_only):
            self.secrets[item["id"]][name] = given[name]

    def _has(self, key: str, name: str | None) -> bool:
        """Whether an object of this kind exists; None refers to no object."""
        rows = self.rows[key].values()
        return name is None or any(item["id"] == name and KINDS[key].live(item) for item in rows)

    def require_live(self, kind: Kind, item: Item) -> None:
        if not kind.live(item):
            raise Refusal(409, "INVALID_STATE", f"{kind.noun} {item['id']} is revoked.")

    def issue(self, kind: Kind, item: Item) -> Item:
        """Return an object with newly issued secrets, as the one answer contains it."""
        assert kind.once
        issued = kind.once.issue(self, item)
        self.secrets[item["id"]].update({name: issued[name] for name in kind.once.secrets})
        return {kind.once.key: self.answer(kind, item), **issued}

    def delete_object(self, kind: Kind, item: Item) -> None:
        """Revoke an object, or delete it with its children. An object that others refer to is not deleted."""
        kind.keeps(self, item, {})
        if kind.revoked:
            if kind.live(item):
                item.update(kind.revoked(), updated_at=now())
            return
        name, below = item["id"], f"{kind.noun}_id"
        for other in (PROJECT, *KINDS.values()):
            fields = [field for field, key in other.refers.items() if key == kind.key]
            for one in self.all_of(other):
                if other.live(one) and any(one[field] == name for field in fields):
                    raise Refusal(409, "CONFLICT", f"{other.noun} {one['id']} refers to {kind.noun} {name}.")
        for each in KINDS.values():
            if each is kind or each.parent == below:
                holder = "id" if each is kind else below
                self.rows[each.key] = {n: one for n, one in self.rows[each.key].items() if one[holder] != name}

    def all_of(self, kind: Kind) -> list[Item]:
        """Return the objects of a kind."""
        return list(self.rows[kind.key].values())

    def page(self, key: str, rows: Mapping[int, Row], show: Callable[[Row], Item], size: int, token: str) -> Item:
        """Return the page of a list for a token. The rows are ordered by sequence number, which is also the cursor."""
        kind, dummy, place = token.partition("_")
        try:
            after = int(place)
        except ValueError:
            raise Refusal(400, "INVALID_INPUT", "page_token is not one of ours") from None
        if self.settings.empty_pages and kind == "after":
            return {key: [], "next_page_token": f"from_{after}"}
        numbers = sorted(number for number in rows if number > after)
        page = numbers[: min(size, self.settings.page_limit)]
        answer: Item = {key: [show(rows[number]) for number in page]}
        if len(numbers) > len(page):
            answer["next_page_token"] = f"after_{page[-1]}"
        return answer


@dataclass(eq=False)
class Organization(Scope):
    #: By sequence number.
    projects: dict[int, Project] = field(default_factory=dict, init=False)
    #: In dollars; None: no limit.
    spend_limit: float | None = field(default=None, init=False)

    @property
    def organization(self) -> Organization:
        return self


@dataclass(eq=False)
class Project(Scope):
    number: int
    organization: Organization
    item: Item
    #: The number of verifications of each domain, by id.
    verifications: dict[str, int] = field(default_factory=lambda: defaultdict(int), init=False)
    #: The recorded statements of agents.
    traffic: list[Item] = field(default_factory=list, init=False)

    def next_fault(self, request: Request, kinds: Collection[str]) -> Fault | None:
        """The faults of an organization also hit requests of its projects, including those that do not exist yet."""
        return super().next_fault(request, kinds) or self.organization.next_fault(request, kinds)

    def all_of(self, kind: Kind) -> list[Item]:
        """Return the objects of a kind, or the project itself."""
        return [self.item] if kind is PROJECT else super().all_of(kind)

    def delete(self) -> None:
        """Soft deletion: its id stays known, so that later requests for it are recorded in its scope."""
        self.item.update(status="deleted", updated_at=now())
        self.rows.clear()
        del self.organization.projects[self.number]

    def objects(self) -> list[Item]:
        """Return the project and all of its objects as stored."""
        project = {**self.item, **PROJECT.computed(self, self.item)}
        return [project, *(item for rows in self.rows.values() for item in rows.values())]

    def truth(self) -> Item:
        """Return the same, by kind."""
        return {**self.objects()[0], **{key: list(self.rows[key].values()) for key in KINDS}}


@dataclass
class State:
    #: By id.
    organizations: dict[str, Organization] = field(
        default_factory=lambda: {DEFAULT_ORGANIZATION: Organization(DEFAULT_ORGANIZATION)}
    )
    #: By id, including deleted ones.
    projects: dict[str, Project] = field(default_factory=dict)
    #: By the id of an object, which may be deleted.
    owners: dict[str, Project] = field(default_factory=dict)
    #: All exchanges, for tests; without keys, passwords and other secrets.
    record: list[Item] = field(default_factory=list)
    #: The same by the id of the scope.
    records: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def default(self) -> Organization:
        return self.organizations[DEFAULT_ORGANIZATION]

    def note(self, entry: Item) -> None:
        self.record.append(entry)
        self.records[entry["scope"]].append(entry)

    def under_way(self, *scopes: Scope) -> bool:
        return any(entry["under_way"] for scope in scopes for entry in self.records[scope.id])

    def visible(self, key: str) -> dict[str, Organization]:
        """Return the organizations that an API key can see, by id: all for a personal key, otherwise its own."""
        if key.startswith("pbu_"):
            return self.organizations
        return {DEFAULT_ORGANIZATION: self.default}

    def organization(self, org_id: str) -> Organization:
        if org_id not in self.organizations:
            raise forbidden(org_id)
        return self.organizations[org_id]

    def project(self, project_id: str) -> Project:
        project = self.projects.get(project_id)
        if project is None or project.item["status"] == "deleted":
            raise not_found("project", project_id)
        return project

    def parent(self, kind: Kind, parent_id: str) -> Scope:
        """Return the organization or project that the parent of an object is or belongs to."""
        if kind.parent == "org_id":
            return self.organization(parent_id)
        if kind.parent == "project_id":
            return self.project(parent_id)
        (above,) = (other for other in KINDS.values() if f"{other.noun}_id" == kind.parent)
        project = self.owners.get(parent_id)
        if project is None:
            raise not_found(above.noun, parent_id)
        project.find(above, project.id, parent_id)
        return project

    def target(self, of: Place | None) -> Target | None:
        """Return the object of a path, or None if there is none."""
        if of is None or not of.item or of.action:
            return None
        try:
            if of.kind is PROJECT:
                project = self.project(of.item)
                return Target(project, PROJECT, project.item)
            scope = self.parent(of.kind, of.parent)
            return Target(scope, of.kind, scope.find(of.kind, of.parent, of.item))
        except Refusal:
            return None

    def new_id(self, prefix: str) -> tuple[int, str]:
        """Return a sequence number, and an id with the prefix."""
        number = next(self.numbers)
        return number, f"{prefix}_{number:04d}{secrets.token_hex(11)}"

    def new_project(self, organization: Organization, fields: Item, project_id: str | None = None) -> Project:
        """Return a new project that is not stored; ``fields`` are those of a create, at least ``name``."""
        number, made = self.new_id("prj")
        name = project_id or made
        created = now()
        project = Project(name, number, organization, {}, settings=organization.settings)
        project.item = {
            "id": name,
            "org_id": organization.id,
            **PROJECT.defaults(project),
            **fields,
            "proxy_host": f"{name}.proxy.pgbeam.app",
            "created_at": created,
            "updated_at": created,
        }
        return project

    def store(self, project: Project) -> None:
        self.projects[project.id] = project
        project.organization.projects[project.number] = project

    def add_project(self, project_id: str) -> Project:
        """Add a project without databases to the default organization, which the API cannot create."""
        project = self.new_project(self.default, {"name": project_id}, project_id)
        self.store(project)
        return project

    def create(self, kind: Kind, scope: Scope, parent_id: str, given: Item) -> Item:
        """Create an object, and return it as stored."""
        number, generated = self.new_id(kind.prefix)
        name = given.get(kind.id_field, generated)
        item = {"id": name, kind.parent: parent_id}
        scope.add(kind, number, item, given)
        if isinstance(scope, Project):
            self.owners[name] = scope
        return item
