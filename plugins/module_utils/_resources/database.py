# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database: an upstream PostgreSQL database that is registered with a PgBeam project."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.host import HOST_RULE, bracketed, canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Action, Field, Resource

TEXT = r"[^\x00]+"
TEXT_RULE = "text that is not empty and contains no null character"
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

DATABASE = Resource(
    noun="database",
    plural="databases",
    path="/v1/projects/{project_id}/databases",
    parent="project_id",
    identity=("host", "port", "name"),
    tie_breaker="username",
    label_format="{name} on {host}:{port}",
    filters=("host", "port", "name", "role"),
    summary=("id", "host", "port", "name", "connection_string"),
    action=Action(
        "test-connection", option="test_connection", result="connection_test", success=("ok", True),
        label="connection test", failure="PgBeam cannot connect to it", reasons=("error",),
        advice=lambda dummy: (
            "check host, port, username, password, ssl_mode and the network path from PgBeam to the server"
        ),
        code="CONNECTION_TEST_FAILED",
    ),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("connection_string", read_only=True, changes_on_write=True),
        Field("host", must_be=HOST_RULE, required=True, normalize=canonical, display=bracketed),
        Field("port", "int", minimum=1, maximum=65535, identity_default=5432),
        Field("name", pattern=TEXT, must_be=TEXT_RULE, required=True),
        Field("username", pattern=TEXT, must_be=TEXT_RULE, required=True),
        Field("password", pattern=TEXT, must_be=TEXT_RULE, required=True, secret=True),
        Field("ssl_mode", choices=SSL_MODES),
        Field("role", choices=("primary", "replica")),
        Field("pool_region", pattern=r"[^\x00]*", must_be="a region, or empty for a direct connection"),
        Field("query_timeout_ms", "int", minimum=0, maximum=300000),
        Field("auto_read_routing", "bool"),
        Field("cache_config", "dict", fields=(
            Field("enabled", "bool", required=True),
            Field("ttl_seconds", "int", minimum=0, maximum=86400, required=True),
            Field("max_entries", "int", minimum=0, maximum=1000000, required=True),
            Field("swr_seconds", "int", minimum=0, maximum=86400, required=True),
        )),
        Field("pool_config", "dict", fields=(
            Field("pool_size", "int", minimum=1, maximum=10000, required=True),
            Field("min_pool_size", "int", minimum=1, maximum=10000, required=True),
            Field("pool_mode", choices=("session", "transaction", "statement"), required=True),
            Field("max_active", "int", minimum=1, maximum=10000),
        )),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
