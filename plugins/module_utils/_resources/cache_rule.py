# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the queries of one shape are cached. PgBeam creates the rule when it first sees such a query."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine import sql
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

MAX_SECONDS = 86400

CACHE_RULE = Resource(
    noun="cache_rule",
    plural="cache_rules",
    path="/v1/projects/{project_id}/databases/{database_id}/cache-rules",
    parent="database_id",
    id_field="query_hash",
    identity=("normalized_sql",),
    label_format="{normalized_sql}",
    update_verb="PUT",
    creatable=False,
    deletable=False,
    if_missing=(
        "PgBeam creates the rule when it first sees the query: run the query through PgBeam, and look up the rules "
        "with cache_rule_info"
    ),
    list_envelope="entries",
    update_envelope="entry",
    get_by_id=False,
    filters=("normalized_sql", "query_type", "recommendation", "cache_enabled"),
    summary=("query_hash", "normalized_sql", "cache_enabled"),
    fields=(
        Field("query_hash", pattern="[a-f0-9]{16}", must_be="16 lower-case hexadecimal digits", read_only=True),
        Field(
            "normalized_sql", pattern=r"[^\x00]+", must_be="the SQL of a query", normalize=sql.canonical,
            display=sql.shortened, immutable=True,
        ),
        Field("query_type", choices=("read", "write", "other"), read_only=True),
        Field("cache_enabled", "bool"),
        Field("cache_ttl_seconds", "int", minimum=0, maximum=MAX_SECONDS, nullable=True),
        Field("cache_swr_seconds", "int", minimum=0, maximum=MAX_SECONDS, nullable=True),
        Field("recommendation", choices=("great", "good", "fair", "poor"), read_only=True),
        Field("call_count", "int", read_only=True),
        Field("avg_latency_ms", "float", read_only=True),
        Field("p95_latency_ms", "float", read_only=True),
        Field("avg_response_bytes", "int", read_only=True),
        Field("stability_rate", "float", read_only=True),
        Field("first_seen_at", read_only=True),
        Field("last_seen_at", read_only=True),
    ),
)  # fmt: skip
