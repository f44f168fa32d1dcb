# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain: a host name of the user for a project, verified by DNS records."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.host import canonical
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Action, Field, Resource, Values

#: The type of each record, and the members of the instructions with its name and its content.
RECORDS = (
    ("CNAME", "cname_host", "cname_target"),
    ("TXT", "txt_host", "txt_value"),
    ("CNAME", "acme_cname_host", "acme_cname_target"),
)


def missing_records(values: Values) -> str:
    """Return the advice for a domain that is not verified: the DNS records to create, if known."""
    shown = values.get("dns_instructions") or {}
    records = [f"{shown[name]} {kind} {shown[to]}" for kind, name, to in RECORDS if shown.get(name) and shown.get(to)]
    listed = ", ".join(records) or "that the PgBeam dashboard shows"
    return f"create the DNS records {listed}, then run again; they can take up to 24 hours to become visible"


DOMAIN = Resource(
    noun="domain",
    plural="domains",
    path="/v1/projects/{project_id}/domains",
    parent="project_id",
    identity=("domain",),
    label_format="{domain}",
    update_verb="",
    get_by_id=False,
    filters=("domain", "verified"),
    summary=("id", "domain", "verified", "dns_instructions"),
    action=Action(
        "verify", option="verify", result="verification", success=("verified", True), label="verification",
        failure="PgBeam does not find its DNS records", reasons=("error",), advice=missing_records,
        code="DOMAIN_NOT_VERIFIED", changes=True, timeout_option="verify_timeout",
    ),
    fields=(
        Field("id", read_only=True),
        Field("project_id", read_only=True),
        Field(
            "domain", pattern=r"(?![0-9.]*$)[a-zA-Z0-9.-]*[a-zA-Z0-9]", normalize=canonical, required=True,
            must_be="a host name of at most 253 ASCII characters, without a trailing dot", immutable=True,
        ),
        Field("verified", "bool", read_only=True),
        Field("verified_at", read_only=True, changes_on_write=True),
        Field("tls_cert_expiry", read_only=True, changes_on_write=True),
        Field("dns_verification_token", read_only=True),
        Field("dns_instructions", "dict", read_only=True, fields=tuple(
            Field(name, read_only=True) for dummy, *members in RECORDS for name in members
        )),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
