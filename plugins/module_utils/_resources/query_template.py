# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A query template: a statement with parameters, which agents run by its name."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

MAX_SQL_BYTES = 16384
IDENTIFIER = r"[a-z][a-z0-9_]{0,62}"
IDENTIFIER_RULE = "1 to 63 lower-case letters, digits and '_', beginning with a letter"
TYPES = (
    "text", "integer", "bigint", "double precision", "numeric", "boolean", "uuid", "date", "timestamptz", "jsonb",
)  # fmt: skip


def statement(sql: str) -> str:
    """Return the statement without surrounding blanks, because a YAML block ends with a line break.

    Raises ValueError if it is too long.
    """
    if len(sql.encode(errors="replace")) > MAX_SQL_BYTES:
        raise ValueError
    return sql.strip()


QUERY_TEMPLATE = Resource(
    noun="query_template",
    plural="query_templates",
    path="/v1/projects/{project_id}/query-templates",
    parent="project_id",
    identity=("name",),
    label_format="{name}",
    update_verb="PUT",
    filters=("name", "enabled"),
    summary=("id", "name"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("name", pattern=IDENTIFIER, must_be=IDENTIFIER_RULE, required=True),
        Field(
            "sql", pattern=r"[^\x00]+", must_be=f"an SQL statement of 1 to {MAX_SQL_BYTES} bytes", normalize=statement,
            required=True,
        ),
        Field("params", "list", ordered=True, key=("name",), elements=Field(
            "param", "dict", fields=(
                Field("name", pattern=IDENTIFIER, must_be=IDENTIFIER_RULE, required=True),
                Field("type", choices=TYPES, required=True),
                Field("nullable", "bool"),
            ),
        )),
        Field("description", pattern=r"[^\x00]*", must_be="text"),
        Field("include_sql", "bool"),
        Field("enabled", "bool"),
        Field("statement_kind", read_only=True, changes_on_write=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
