# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control API of the sandbox: set up organizations, projects and faults, and read the state and the record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Body
from fastapi.responses import JSONResponse

from tests.sandbox.declaration import Item
from tests.sandbox.evaluations import record
from tests.sandbox.kinds import KINDS
from tests.sandbox.models import Fault, Recorded, Settings
from tests.sandbox.readings import seed
from tests.sandbox.refusals import not_found
from tests.sandbox.state import Id, Organization, Scope, State

Kind = Literal["organizations", "projects"]
Known = TypeVar("Known", bound=Scope)


def _known(scopes: Mapping[str, Known], name: str) -> Known:
    if name not in scopes:
        raise not_found("scope", name)
    return scopes[name]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def router(state: State) -> APIRouter:
    router = APIRouter(prefix="/_sandbox")

    scopes: dict[Kind, Mapping[str, Scope]] = {"organizations": state.organizations, "projects": state.projects}

    @router.put("/organizations/{org_id}")
    async def put_organization(org_id: Id, settings: Settings) -> dict[str, Any]:
        state.organizations.setdefault(org_id, Organization(org_id)).settings = settings
        return {"id": org_id}

    @router.put("/projects/{project_id}")
    async def put_project(project_id: Id, settings: Settings) -> dict[str, Any]:
        project = state.projects.get(project_id) or state.add_project(project_id)
        project.settings = settings
        return {"id": project_id}

    @router.get("/organizations/{org_id}")
    async def organization_truth(org_id: Id) -> dict[str, Any]:
        """Return the projects as stored, without faults and pages."""
        organization = _known(state.organizations, org_id)
        projects = organization.projects.values()
        return {
            **{key: organization.all_of(of) for key, of in KINDS.items() if of.parent == "org_id"},
            "projects": [project.truth() for project in projects],
            "objects": [item for project in projects for item in project.objects()],
            "under_way": state.under_way(organization, *projects),
        }

    @router.get("/projects/{project_id}")
    async def project_truth(project_id: Id) -> dict[str, Any]:
        project = _known(state.projects, project_id)
        return {**project.truth(), "under_way": state.under_way(project)}

    @router.post("/{kind}/{name}/objects/{key}")
    async def put_object(kind: Kind, name: Id, key: str, given: dict[str, Any]) -> dict[str, Any]:
        """Store an object of the scope that the API cannot create, or change the object with this id.

        The scope is the parent unless the object has another one.
        """
        scope, of = _known(scopes[kind], name), KINDS[key]
        if "id" in given:
            item = scope.find(of, name, given["id"])
            item.update(given)
        else:
            item = state.create(of, scope, given.pop(of.parent, name), given)
        return scope.answer(of, item)

    @router.get("/{kind}/{name}/secrets")
    async def secrets(kind: Kind, name: Id, salt: str) -> dict[str, dict[str, str]]:
        """Return the salted hash of each secret, by object id and field, to compare it without showing it."""
        return {
            owner: {field: _hash(salt + secret) for field, secret in kept.items()}
            for owner, kept in _known(scopes[kind], name).secrets.items()
        }

    @router.post("/projects/{project_id}/traffic")
    async def add_traffic(project_id: Id, recorded: Recorded) -> dict[str, Any]:
        project = _known(state.projects, project_id)
        record(project, recorded.sql, recorded.agent_id, recorded.at)
        return {"recorded": len(project.traffic)}

    @router.delete("/{kind}/{name}/faults")
    async def clear_faults(kind: Kind, name: Id) -> dict[str, Any]:
        _known(scopes[kind], name).faults.clear()
        return {"faults": 0}

    @router.post("/{kind}/{name}/faults")
    async def add_fault(kind: Kind, name: Id, fault: Fault) -> dict[str, Any]:
        scope = _known(scopes[kind], name)
        scope.add_fault(fault)
        return {"faults": len(scope.faults)}

    @router.put("/{kind}/{name}/seeded/{key}")
    async def put_seeded(kind: Kind, name: Id, key: str, entries: Annotated[list[Item], Body()]) -> dict[str, Any]:
        seed(_known(scopes[kind], name), kind == "projects", key, entries)
        return {"seeded": len(entries)}

    @router.get("/requests")
    def requests(project: str = "", organization: str = "", after: int = 0) -> JSONResponse:
        """Return the record, or that of one scope, from an entry on. Without pydantic, which would take seconds."""
        scope = project or organization
        return JSONResponse((state.records[scope] if scope else state.record)[after:])

    @router.get("/requests/count")
    def count() -> int:
        return len(state.record)

    @router.delete("/requests", status_code=204)
    def forget() -> None:
        state.record.clear()
        state.records.clear()

    return router
