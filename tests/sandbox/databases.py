# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on databases."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from fastapi import APIRouter, Response

from tests.sandbox.models import CreateDatabase, UpdateDatabase
from tests.sandbox.state import FIRST_PAGE, Id, IfMatch, PageSize, PageToken, State, find, now


def router(state: State) -> APIRouter:
    """Coroutines, so that no two of them interleave, but for the test, which waits for PostgreSQL."""
    router = APIRouter(prefix="/v1/projects/{project_id}/databases")

    @router.post("", status_code=201)
    async def create(project_id: Id, body: CreateDatabase) -> dict[str, Any]:
        project = state.project(project_id)
        return project.show_database(state.register(project, body))

    @router.get("")
    async def list_all(project_id: Id, page_size: PageSize = 20, page_token: PageToken = FIRST_PAGE) -> dict[str, Any]:
        project = state.project(project_id)
        return project.page("databases", project.databases, project.show_database, page_size, page_token)

    @router.get("/{database_id}")
    async def get(project_id: Id, database_id: Id) -> dict[str, Any]:
        project = state.project(project_id)
        return project.show_database(find(project.databases, "database", database_id)[1])

    @router.patch("/{database_id}")
    async def update(project_id: Id, database_id: Id, body: UpdateDatabase, if_match: IfMatch = "") -> dict[str, Any]:
        project = state.project(project_id)
        item = find(project.databases, "database", database_id)[1]
        project.require(if_match, project.show_database(item))
        fields = body.model_dump(exclude_unset=True)
        if "password" in fields:
            project.passwords[database_id] = fields.pop("password")
        if "pool_config" in fields:
            fields["pool_config"] = {**item["pool_config"], **fields["pool_config"]}
        item.update(fields, updated_at=now())
        return project.show_database(item)

    @router.delete("/{database_id}", status_code=204)
    async def delete(project_id: Id, database_id: Id) -> Response:
        state.project(project_id).delete_database(database_id)
        return Response(status_code=204)

    @router.post("/{database_id}/test-connection")
    def test_connection(project_id: Id, database_id: Id) -> dict[str, Any]:
        project = state.project(project_id)
        item = find(project.databases, "database", database_id)[1]
        if project.settings.connection_test is not None:
            return project.settings.connection_test
        started = time.perf_counter()
        try:
            with psycopg.connect(
                host=item["host"], port=item["port"], dbname=item["name"], user=item["username"],
                password=project.passwords[database_id], sslmode=item["ssl_mode"], connect_timeout=5,
            ) as connection:  # fmt: skip
                version = connection.execute("show server_version").fetchone()
        except psycopg.Error as error:
            return {"ok": False, "latency_ms": None, "error": str(error).strip()}
        latency = round((time.perf_counter() - started) * 1000, 1)
        return {"ok": True, "latency_ms": latency, "server_version": version[0] if version else ""}

    return router
