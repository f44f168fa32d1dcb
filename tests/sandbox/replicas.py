# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on the replicas of a database."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from tests.sandbox.models import CreateReplica
from tests.sandbox.state import FIRST_PAGE, Id, Item, PageSize, PageToken, State, find, not_found, now


def router(state: State) -> APIRouter:
    router = APIRouter(prefix="/v1/databases/{database_id}/replicas")

    @router.post("", status_code=201)
    async def create(database_id: Id, body: CreateReplica) -> dict[str, Any]:
        project = state.owner(database_id)
        number, replica_id = state.new_id("rep")
        created = now()
        given = {"ssl_mode": project.settings.initial.replica_ssl_mode, **body.model_dump(exclude_unset=True)}
        fields = {**given, "created_at": created, "updated_at": created}
        project.replicas[number] = {"id": replica_id, "database_id": database_id, **fields}
        return project.shown(project.replicas[number], {})

    # The OpenAPI document gives the answer a next_page_token and the request nothing; the official SDK sends both.
    @router.get("")
    async def list_all(database_id: Id, page_size: PageSize = 20, page_token: PageToken = FIRST_PAGE) -> dict[str, Any]:
        project = state.owner(database_id)
        rows = {number: item for number, item in project.replicas.items() if item["database_id"] == database_id}

        def show(item: Item) -> Item:
            return project.shown(item, {})

        return project.page("replicas", rows, show, page_size, page_token)

    @router.delete("/{replica_id}", status_code=204)
    async def delete(database_id: Id, replica_id: Id) -> Response:
        project = state.owner(database_id)
        number, item = find(project.replicas, "replica", replica_id)
        if item["database_id"] != database_id:
            raise not_found("replica", replica_id)
        del project.replicas[number]
        return Response(status_code=204)

    return router
