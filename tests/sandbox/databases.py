# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection test of a database, which really connects to PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from tests.sandbox.declaration import Item
    from tests.sandbox.state import Project


def not_connected(error: str) -> Item:
    """Return the answer to a test that failed."""
    return {"ok": False, "latency_ms": None, "error": error}


def test_connection(project: Project, item: Item) -> Item:
    """Test the connection to a database, and return the answer."""
    if project.settings.connection_test is not None:
        return project.settings.connection_test
    started = time.perf_counter()
    try:
        with psycopg.connect(
            host=item["host"], port=item["port"], dbname=item["name"], user=item["username"],
            password=project.secrets[item["id"]]["password"], sslmode=item["ssl_mode"], connect_timeout=5,
        ) as connection:  # fmt: skip
            version = connection.execute("show server_version").fetchone()
    except psycopg.Error as error:
        return not_connected(str(error).strip())
    latency = round((time.perf_counter() - started) * 1000, 1)
    return {"ok": True, "latency_ms": latency, "server_version": version[0] if version else ""}
