# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control plane has, and the rules that all of its operations share."""

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
from urllib.parse import quote

from fastapi import Header, Path, Query
from fastapi.responses import JSONResponse

from tests.sandbox.models import CreateDatabase, Fault, Settings, UpdateDatabase, UpdateProject

Item = dict[str, Any]
Row = TypeVar("Row")
Id = Annotated[str, Path(pattern=r"^[a-zA-Z0-9_.-]+$")]
PageSize = Annotated[int, Query(ge=1, le=100)]
PageToken = Annotated[str, Query(pattern=r"^[a-zA-Z0-9_.-]+$")]
#: Taken by the updates only.
IfMatch = Annotated[str, Header(alias="If-Match", min_length=1, max_length=1024)]
FIRST_PAGE = "after_-1"
#: Owns the projects that are made through the sandbox's own door, and every key that begins with pbo_.
DEFAULT_ORGANIZATION = "org_sandbox"
#: The optional fields that omit_zero leaves out of answers, each where it has this value.
DATABASE_ZERO: Item = {"pool_region": "", "query_timeout_ms": 0, "auto_read_routing": False}
PROJECT_ZERO: Item = {
    "description": "",
    "tags": [],
    "self_hosted": False,
    "allowed_cidrs": [],
    "default_policy_profile_id": None,
    "agents_disabled": False,
    "database_count": 0,
    "active_connections": 0,
}


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, fields: list[dict[str, str]] | None = None) -> None:
        self.status, self.code, self.message, self.fields = status, code, message, fields or []

    def answer(self, envelope: str = "error") -> JSONResponse:
        """The refusal in one of the two envelopes that are in the field."""
        if envelope == "error":
            return JSONResponse({"error": {"code": self.code, "message": self.message}}, self.status)
        problem = {
            "type": f"https://pgbeam.com/errors/{self.code.lower()}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "errors": self.fields,
        }
        return JSONResponse(problem, self.status, media_type="application/problem+json")


def invalid(fields: list[dict[str, str]]) -> Refusal:
    """For fields, or query parameters, that are wrong: each has ``field`` and ``detail``."""
    return Refusal(400, "INVALID_INPUT", "; ".join(f"{one['field']}: {one['detail']}" for one in fields), fields)


def not_found(noun: str, name: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"{noun} {name} not found")


def forbidden(org_id: str) -> Refusal:
    """What a key is told of an organization that it may not see, whether there is one or not."""
    return Refusal(403, "FORBIDDEN", f"This key is not one of organization {org_id}.")


def find(rows: Mapping[int, Item], noun: str, name: str) -> tuple[int, Item]:
    """The row with this id, and its sequence number."""
    for number, item in list(rows.items()):  # the connection test runs in a thread
        if item["id"] == name:
            return number, item
    raise not_found(noun, name)


def now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def tag(representation: Item) -> str:
    """What is in an entity tag: the same for the same content, as answers have it."""
    return hashlib.sha256(json.dumps(representation, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Request:
    """What faults look at."""

    method: str
    path: str
    body: bytes
    target: Target | None

    def fits(self, fault: Fault) -> bool:
        if fault.kind == "other_writer":
            methods = (fault.method,) if fault.method else ("PATCH", "DELETE")
            fits = self.method in methods and bool(self.target and self.target.takes(fault.change))
        else:
            fits = fault.method in (None, self.method)
        return fits and self.path.endswith(fault.path_ends) and fault.body_has.encode() in self.body


@dataclass(frozen=True)
class Target:
    """The one project, or the one database, that a path is of."""

    project: Project
    item: Item
    model: type[UpdateProject] | type[UpdateDatabase]

    def show(self) -> Item:
        return self.project.show() if self.item is self.project.item else self.project.show_database(self.item)

    def takes(self, change: Item) -> bool:
        return set(change) <= set(self.model.model_fields)

    def change(self, change: Item) -> None:
        """Make another client's change."""
        changed = merged(self.item, change)
        self.model.model_validate({name: changed[name] for name in change})
        self.item.update(changed, updated_at=now())


def merged(old: Any, new: Any) -> Any:
    """What another client's change makes of a value: of objects and lists, what it does not name stays.

    A network that is in a list already is replaced.
    """
    if isinstance(old, dict):
        return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list):
        networks = {entry["cidr"] for entry in new if isinstance(entry, dict)}
        kept = [entry for entry in old if not (isinstance(entry, dict) and entry["cidr"] in networks)]
        return kept + [entry for entry in new if entry not in kept]
    return new


@dataclass(eq=False)
class Scope:
    """What settings, faults, a rate limit and a part of the record are for: an organization or a project."""

    id: str
    settings: Settings = field(default_factory=Settings, kw_only=True)
    faults: list[tuple[Fault, random.Random]] = field(default_factory=list, init=False)
    #: The second of the clock that is counted, and how many requests came in it.
    window: tuple[int, int] = field(default=(0, 0), init=False)

    def over_the_rate_limit(self) -> bool:
        second = int(time.monotonic())
        self.window = (second, self.window[1] + 1 if self.window[0] == second else 1)
        limit = self.settings.requests_per_second
        return limit is not None and self.window[1] > limit

    def add_fault(self, fault: Fault) -> None:
        self.faults.append((fault.model_copy(), random.Random(fault.seed)))

    def next_fault(self, request: Request, kinds: Collection[str]) -> Fault | None:
        """The fault of these kinds that hits a request: the first that matches, is not used up, and has the luck."""
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

    def shown(self, item: Item, zero: Item) -> Item:
        """An item as the answers of this scope have it."""
        omitted = zero if self.settings.omit_zero else {}
        return {
            k: v for k, v in item.items() if k not in self.settings.left_out and (k not in omitted or v != omitted[k])
        }

    def etag(self, representation: Item) -> str:
        """The ``ETag`` of an answer's content as this scope writes it; empty where it has none."""
        return self.settings.etag.format(tag=tag(representation))

    def require(self, if_match: str, representation: Item) -> None:
        """Refuse an update whose ``If-Match`` does not match what there is. A weak tag matches nothing."""
        held = {text for weak, text in re.findall(r'(W/)?"([^"]*)"', if_match) if not weak}
        if self.settings.etag and if_match not in ("", "*") and tag(representation) not in held:
            raise Refusal(412, "PRECONDITION_FAILED", "The object has changed since the read that this is based on.")

    def page(self, key: str, rows: Mapping[int, Row], show: Callable[[Row], Item], size: int, token: str) -> Item:
        """The page of a list that a token leads to. The rows come by sequence number, which is also the cursor."""
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

    @property
    def organization(self) -> Organization:
        return self


@dataclass(eq=False)
class Project(Scope):
    number: int
    organization: Organization
    item: Item
    #: By sequence number.
    databases: dict[int, Item] = field(default_factory=dict, init=False)
    replicas: dict[int, Item] = field(default_factory=dict, init=False)
    #: By database id; kept apart, so that no answer can hold one.
    passwords: dict[str, str] = field(default_factory=dict, init=False)

    def next_fault(self, request: Request, kinds: Collection[str]) -> Fault | None:
        """An organization's faults hit its projects' requests, too: those of a project that a run is yet to make."""
        return super().next_fault(request, kinds) or self.organization.next_fault(request, kinds)

    @property
    def fields(self) -> Item:
        return {**self.item, "database_count": len(self.databases)}

    def show(self) -> Item:
        return self.shown(self.fields, PROJECT_ZERO)

    def show_database(self, item: Item) -> Item:
        place = f"{self.item['proxy_host']}:5432/{quote(item['name'], safe='')}"
        string = f"postgresql://{quote(item['username'], safe='')}:YOUR_PASSWORD@{place}"
        zero = {**DATABASE_ZERO, "connection_string": string}  # the contract calls it optional as well
        return self.shown({**item, "connection_string": string}, zero)

    def delete_database(self, database_id: str) -> None:
        del self.databases[find(self.databases, "database", database_id)[0]]
        self.replicas = {n: item for n, item in self.replicas.items() if item["database_id"] != database_id}

    def delete(self) -> None:
        """Soft: its id stays known, so that what comes for it later is still told and recorded as its own."""
        self.item.update(status="deleted", updated_at=now())
        self.databases.clear()
        self.replicas.clear()
        del self.organization.projects[self.number]

    def truth(self) -> Item:
        """All that there is of it, as it is stored."""
        return {**self.fields, "databases": list(self.databases.values()), "replicas": list(self.replicas.values())}


@dataclass
class State:
    #: By id.
    organizations: dict[str, Organization] = field(
        default_factory=lambda: {DEFAULT_ORGANIZATION: Organization(DEFAULT_ORGANIZATION)}
    )
    #: By id, the deleted ones among them.
    projects: dict[str, Project] = field(default_factory=dict)
    #: By the id of a database, which may be deleted.
    owners: dict[str, Project] = field(default_factory=dict)
    #: What each exchange was, for tests to read; no key and no password is in it.
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
        """The organizations, by id, that an API key may see: a personal key all, an organization's key its own."""
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

    def target(self, path: str) -> Target | None:
        """What a path is of, where that is one project or one database, and there."""
        named = re.fullmatch(r"/v1/projects/([^/]+)(?:/databases/([^/]+))?", path)
        if not named:
            return None
        try:
            project = self.project(named[1])
            if named[2] is None:
                return Target(project, project.item, UpdateProject)
            return Target(project, find(project.databases, "database", named[2])[1], UpdateDatabase)
        except Refusal:
            return None

    def owner(self, database_id: str) -> Project:
        """The project that has this database."""
        project = self.owners.get(database_id)
        if project is None:
            raise not_found("database", database_id)
        find(project.databases, "database", database_id)
        return project

    def new_id(self, prefix: str) -> tuple[int, str]:
        """A sequence number, and an id that begins with the prefix."""
        number = next(self.numbers)
        return number, f"{prefix}_{number:04d}{secrets.token_hex(11)}"

    def new_project(self, organization: Organization, fields: Item, project_id: str | None = None) -> Project:
        """A project that is not stored yet; ``fields`` are those of a create, ``name`` at least."""
        number, made = self.new_id("prj")
        name = project_id or made
        item = {
            "id": name,
            "org_id": organization.id,
            **PROJECT_ZERO,
            "residency": "any",
            **fields,
            "status": "active",
            "proxy_host": f"{name}.proxy.pgbeam.app",
            "queries_per_second": 1000,
            "burst_size": 200,
            "max_connections": 500,
            "created_at": now(),
        }
        item["updated_at"] = item["created_at"]
        return Project(name, number, organization, item, settings=organization.settings)

    def store(self, project: Project) -> None:
        self.projects[project.id] = project
        project.organization.projects[project.number] = project

    def add_project(self, project_id: str) -> Project:
        """A project of the default organization that is there without a database, as the API makes none."""
        project = self.new_project(self.default, {"name": project_id}, project_id)
        self.store(project)
        return project

    def register(self, project: Project, body: CreateDatabase) -> Item:
        """A new database of the project, as it is stored."""
        limit = project.settings.plan_limit
        if limit is not None and len(project.databases) >= limit:
            raise Refusal(403, "PLAN_LIMIT_REACHED", f"The plan allows {limit} databases.")
        number, database_id = self.new_id("db")
        initial = project.settings.initial.model_dump(exclude={"replica_ssl_mode"})
        given = body.model_dump(exclude_unset=True)
        project.passwords[database_id] = given.pop("password")
        pool = {**initial["pool_config"], **given.get("pool_config", {})}
        fields = {**initial, **given, "pool_config": pool}
        created = now()
        item = {"id": database_id, "project_id": project.id, **fields, "created_at": created, "updated_at": created}
        project.databases[number] = item
        self.owners[database_id] = project
        return item
