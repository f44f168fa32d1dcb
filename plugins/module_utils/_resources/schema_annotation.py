# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema annotation: the description of a table or a column that agents read."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource


def schema(name: str | None) -> str:
    """Return the prefix of a table's name, for messages."""
    return f"{name}." if name else ""


def column(name: str | None) -> str:
    """Return the suffix of a table's name, for messages."""
    return f" (column {name})" if name else ""


SCHEMA_ANNOTATION = Resource(
    noun="schema_annotation",
    plural="schema_annotations",
    path="/v1/projects/{project_id}/schema-annotations",
    parent="project_id",
    identity=("schema_name", "table_name", "column_name"),
    label_format="{schema_name}{table_name}{column_name}",
    update_verb="PUT",
    put_by_identity=True,
    list_envelope="annotations",
    get_by_id=False,
    filters=("schema_name", "table_name", "column_name"),
    summary=("id", "schema_name", "table_name", "column_name"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "schema_name", pattern=r"[^\x00]{0,255}", must_be="text of at most 255 characters", nullable=True,
            display=schema, immutable=True,
        ),
        Field(
            "table_name", pattern=r"[^\x00]{1,255}", must_be="text of 1 to 255 characters", required=True,
            immutable=True,
        ),
        Field(
            "column_name", pattern=r"[^\x00]{0,255}", must_be="text of at most 255 characters", nullable=True,
            display=column, immutable=True,
        ),
        Field("description", pattern=r"[^\x00]{1,4096}", must_be="text of 1 to 4096 characters", required=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
