# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member of an organization: a person with a role, who has accepted an invitation."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

#: Without ``owner``, which the API returns but does not assign.
ROLES = ("admin", "member", "security_admin", "billing_admin", "auditor", "policy-author", "approver")
EMAIL_PATTERN = r"[^\s@\x00]+@[^\s@\x00]+"
EMAIL_RULE = "an email address"

ORG_MEMBER = Resource(
    noun="org_member",
    plural="org_members",
    path="/v1/organizations/{org_id}/members",
    parent="org_id",
    container="organization",
    identity=("email",),
    label_format="{email}",
    list_envelope="members",
    get_by_id=False,
    creatable=False,
    if_missing="invite this person with the module org_invitation",
    if_conflict="an organization must have at least one owner: transfer ownership in the PgBeam dashboard first",
    filters=("email",),
    summary=("id", "email", "role"),
    fields=(
        Field("id", read_only=True),
        Field("user_id", read_only=True),
        Field(
            "email", pattern=EMAIL_PATTERN, must_be=EMAIL_RULE, normalize=str.lower, required=True, immutable=True,
        ),
        Field("role", choices=ROLES),
        Field("name", read_only=True),
        Field("image", read_only=True),
        Field("created_at", read_only=True),
    ),
)  # fmt: skip
