# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What databases have beyond the operations that almost every kind of object has: the connection test."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from fastapi import APIRouter

from tests.sandbox.kinds import KINDS
from tests.sandbox.state import Id, State


def router(state: State) -> APIRouter:
    databases = KINDS["databases"]
    router = APIRouter(prefix=databases.path)

    @router.post("/{database_id}/test-connection")
    def test_connection(project_id: Id, database_id: Id) -> dict[str, Any]:
        """No coroutine, as it waits for PostgreSQL."""
        project = state.project(project_id)
        item = project.find(databases, project_id, database_id)
        if project.settings.connection_test is not None:
            return project.settings.connection_test
        started = time.perf_counter()
        try:
            with psycopg.connect(
                host=item["host"], port=item["port"], dbname=item["name"], user=item["username"],
                password=project.secrets[database_id]["password"], sslmode=item["ssl_mode"], connect_timeout=5,
            ) as connection:  # fmt: skip
                version = connection.execute("show server_version").fetchone()
        except psycopg.Error as error:
            return {"ok": False, "latency_ms": None, "error": str(error).strip()}
        latency = round((time.perf_counter() - started) * 1000, 1)
        return {"ok": True, "latency_ms": latency, "server_version": version[0] if version else ""}

    return router
