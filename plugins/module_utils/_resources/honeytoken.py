# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A honeytoken: a decoy relation, which no agent has a reason to touch."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

PUBLIC = "public"


def schema(name: str) -> str:
    """Return the schema of a name. The empty name is the default schema."""
    return name or PUBLIC


HONEYTOKEN = Resource(
    noun="honeytoken",
    plural="honeytokens",
    path="/v1/projects/{project_id}/honeytokens",
    parent="project_id",
    identity=("schema_name", "relation_name"),
    label_format="{schema_name}.{relation_name}",
    update_verb="PUT",
    filters=("schema_name", "relation_name", "action"),
    summary=("id", "schema_name", "relation_name"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "schema_name", pattern=r"[^\x00]{0,255}", must_be="text of at most 255 characters",
            identity_default=PUBLIC, normalize=schema, display=schema,
        ),
        Field("relation_name", pattern=r"[^\x00]{1,255}", must_be="text of 1 to 255 characters", required=True),
        Field("action", choices=("audit_only", "kill"), required=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
