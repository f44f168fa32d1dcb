# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy: what agents of a project are allowed to do in a database."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

NAME_PATTERN = r"[^\x00]{1,128}"
NAME_RULE = "text of 1 to 128 characters"
KINDS = (
    "select", "insert", "update", "delete", "ddl", "copy", "set", "show", "explain", "transaction", "other",
)  # fmt: skip
KIND = Field("kind", choices=KINDS)
TABLE = Field("table", pattern=r"[^\x00]+", must_be="the name of a table or another relation", required=True)

POLICY = Resource(
    noun="policy",
    plural="policies",
    path="/v1/projects/{project_id}/policies",
    parent="project_id",
    identity=("name",),
    label_format="{name}",
    update_verb="PUT",
    filters=("name",),
    summary=("id", "name"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("name", pattern=NAME_PATTERN, must_be=NAME_RULE, required=True),
        Field("access_mode", choices=("read_only", "read_write")),
        Field("statement_rules", "dict", fields=(
            Field("allow", "list", elements=KIND),
            Field("deny", "list", elements=KIND),
        )),
        Field(
            "table_allowlist", "list", elements=TABLE,
            when_empty="its agents can reach every table that is not in table_denylist",
        ),
        Field("table_denylist", "list", elements=TABLE),
        Field("masking_rules", "list", key=("table", "column"), elements=Field(
            "masking_rule", "dict", fields=(
                TABLE,
                Field("column", pattern=r"[^\x00]+", must_be="the name of a column", required=True),
                Field("kind", choices=("redact", "null", "hash"), required=True),
            ),
        )),
        Field("row_filters", "list", key=("table", "predicate"), elements=Field(
            "row_filter", "dict", fields=(
                TABLE,
                Field("predicate", pattern=r"[^\x00]+", must_be="an SQL condition", required=True),
            ),
        )),
        Field("budget_queries_per_hour", "int", minimum=0),
        Field("budget_queries_per_day", "int", minimum=0),
        Field("max_rows", "int", minimum=0),
        Field("max_affected_rows", "int", minimum=0),
        Field("statement_timeout_ms", "int", minimum=0),
        Field("egress_bytes_per_day", "int", minimum=0),
        Field("write_mode", choices=("normal", "rollback", "sandbox")),
        Field("approval_mode", choices=("off", "writes", "ddl", "all")),
        Field("approval_auto_max_rows", "int", minimum=0),
        Field("approval_timeout_seconds", "int", minimum=0),
        Field("migration_safety", choices=("off", "warn", "block")),
        Field("content_scan_mode", choices=("off", "annotate", "block")),
        Field("content_scan_max_bytes", "int", minimum=0),
        Field("query_mode", choices=("sql", "templates")),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
