# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An invitation: the offer to a person, by email, to become a member of an organization."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.timestamp import canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.org_member import (
    EMAIL_PATTERN,
    EMAIL_RULE,
    ORG_MEMBER,
    ROLES,
)

ORG_INVITATION = Resource(
    noun="org_invitation",
    plural="org_invitations",
    path="/v1/organizations/{org_id}/invitations",
    parent="org_id",
    container="organization",
    identity=("email",),
    label_format="{email}",
    update_verb="",
    list_envelope="invitations",
    idempotency_key=False,
    becomes=ORG_MEMBER,
    deleted_marker=("status", ("accepted", "rejected", "canceled")),
    expiry="expires_at",
    get_by_id=False,
    if_conflict="if PgBeam has a pending invitation for this email, look it up with the module org_invitation_info, "
    "revoke it by its id, then run again",
    filters=("email",),
    summary=("id", "email", "role"),
    fields=(
        Field("id", read_only=True),
        Field(
            "email", pattern=EMAIL_PATTERN, must_be=EMAIL_RULE, normalize=str.lower, required=True, immutable=True,
        ),
        Field("role", choices=ROLES, immutable=True),
        Field("status", read_only=True),
        Field("expires_at", read_only=True, normalize=canonical),
        Field("created_at", read_only=True),
    ),
)  # fmt: skip
