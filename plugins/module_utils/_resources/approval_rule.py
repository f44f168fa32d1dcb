# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An approval rule: which statements of agents wait until a person approves them."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

SCOPE_PATTERN = r"[^\x00]{0,255}"
SCOPE_RULE = "text of at most 255 characters"

APPROVAL_RULE = Resource(
    noun="approval_rule",
    plural="approval_rules",
    path="/v1/projects/{project_id}/approval-rules",
    parent="project_id",
    identity=("name",),
    label_format="{name}",
    update_verb="PUT",
    filters=("name", "enabled"),
    summary=("id", "name"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "name", pattern=r"(?=[^\x00]*\S)[^\x00]{1,255}", required=True,
            must_be="text of 1 to 255 characters, not only whitespace",
        ),
        Field(
            "statement_kinds", "list",
            elements=Field("statement_kind", choices=("insert", "update", "delete", "ddl")),
        ),
        Field("schema_name", pattern=SCOPE_PATTERN, must_be=SCOPE_RULE, nullable=True),
        Field("relation_name", pattern=SCOPE_PATTERN, must_be=SCOPE_RULE, nullable=True),
        Field("min_affected_rows", "int", minimum=1, maximum=2**31 - 1, nullable=True),
        Field("enabled", "bool"),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
