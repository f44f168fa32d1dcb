# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent: a login with a policy, for an AI agent or a person. The API shows its secrets once."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import ID_PATTERN, Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.timestamp import TIMESTAMP_RULE, canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import NAME_PATTERN, NAME_RULE, POLICY

AGENT = Resource(
    noun="agent",
    plural="agents",
    path="/v1/projects/{project_id}/agents",
    parent="project_id",
    identity=("name",),
    label_format="{name}",
    create_envelope="credential",
    issued=("connection_string", "mcp_token"),
    kept_with_issued=("mcp_url",),
    rotate_action="rotate",
    deleted_marker=("status", ("revoked",)),
    filters=("name", "status"),
    summary=("id", "name", "status"),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field("name", pattern=NAME_PATTERN, must_be=NAME_RULE, required=True, immutable=True),
        Field(
            "policy_profile_id", pattern=ID_PATTERN, must_be="the id of a policy", required=True, immutable=True,
            refers_to=POLICY, name_option="policy",
        ),
        Field("principal_type", choices=("agent", "human"), immutable=True),
        Field(
            "expires_at", must_be=TIMESTAMP_RULE, normalize=canonical, nullable=True, immutable=True, in_future=True,
        ),
        Field("status", choices=("active", "disabled"), update_only=True),
        Field("pg_username", read_only=True),
        Field("auth_method", read_only=True),
        Field("last_used_at", read_only=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
