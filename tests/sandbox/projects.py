# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on projects."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from tests.sandbox.declaration import Item
from tests.sandbox.kinds import KINDS, PROJECT
from tests.sandbox.objects import body_of
from tests.sandbox.state import FIRST_PAGE, Id, IfMatch, PageSize, PageToken, Project, State, now


def router(state: State) -> APIRouter:
    router = APIRouter(prefix=PROJECT.path)

    def shown(project: Project) -> Item:
        return project.answer(PROJECT, project.item)

    @router.post("", status_code=201)
    async def create(request: Request) -> dict[str, Any]:
        given = await body_of(request, PROJECT.create_body)
        organization = state.organization(given.pop("org_id"))
        first, databases = given.pop("database"), KINDS["databases"]
        project = state.new_project(organization, given)
        database = state.create(databases, project, project.id, first)
        state.store(project)
        return {"project": shown(project), "database": project.answer(databases, database)}

    @router.get("")
    async def list_all(
        org_id: Annotated[str, Query(pattern=r"^[\x20-\x7E]+$")],
        page_size: PageSize = 20,
        page_token: PageToken = FIRST_PAGE,
        # Only validated: the order is always that of creation.
        sort_by: Literal["name", "created_at", "active_connections"] = "created_at",
    ) -> dict[str, Any]:
        organization = state.organization(org_id)
        rows = organization.projects
        return {"total": len(rows), **organization.page("projects", rows, shown, page_size, page_token)}

    @router.get("/{project_id}")
    async def get(project_id: Id) -> dict[str, Any]:
        return shown(state.project(project_id))

    @router.patch("/{project_id}")
    async def update(request: Request, project_id: Id, if_match: IfMatch = "") -> dict[str, Any]:
        fields = await body_of(request, PROJECT.update_body)
        project = state.project(project_id)
        project.require(if_match, shown(project))
        # In the contract, only an empty string clears it; null is allowed and has no effect.
        profile = fields.pop("default_policy_profile_id", None)
        if profile is not None:
            fields["default_policy_profile_id"] = profile or None
        project.item.update(fields, updated_at=now())
        if project.item["status"] == "deleted":
            project.delete()
        return shown(project)

    @router.delete("/{project_id}", status_code=204)
    async def delete(project_id: Id) -> Response:
        state.project(project_id).delete()
        return Response(status_code=204)

    return router
