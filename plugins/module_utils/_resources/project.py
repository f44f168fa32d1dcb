# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project: it contains registered databases and has its own host name."""

from __future__ import annotations

import ipaddress

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import ID_PATTERN, Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.policy import POLICY

CIDR_RULE = "an IPv4 or IPv6 address, with or without a prefix length"


def network(cidr: str) -> str:
    """Return the network of an address, with or without a prefix length. Raises ValueError if it is invalid."""
    return str(ipaddress.ip_network(cidr, strict=False))


PROJECT = Resource(
    noun="project",
    plural="projects",
    path="/v1/projects",
    parent="org_id",
    container="organization",
    identity=("org_id", "name"),
    label_format="{name} of {org_id}",
    create_envelope="project",
    nested=DATABASE,
    deleted_marker=("status", ("deleted",)),
    filters=("name",),
    fields=(
        Field("id", read_only=True),
        Field("org_id", pattern=r"[\x20-\x7e]+", must_be="an organization's id", required=True, immutable=True),
        Field("name", pattern=r"[^\x00]{1,100}", must_be="text of 1 to 100 characters", required=True),
        Field("description", pattern=r"[^\x00]{0,500}", must_be="text of at most 500 characters"),
        Field("tags", "list", maximum=10, elements=Field(
            "tag", pattern=r"[^\x00]{0,50}", must_be="text of at most 50 characters",
        )),
        Field("cloud", choices=("aws", "azure", "gcp"), immutable=True),
        Field("self_hosted", "bool", immutable=True),
        Field("allowed_cidrs", "list", maximum=50, update_only=True, key=("cidr",), elements=Field(
            "cidr", "dict", fields=(
                Field("cidr", pattern=r"[0-9a-fA-F.:]+(/[0-9]+)?", must_be=CIDR_RULE, normalize=network),
                Field("label", pattern=r"[^\x00]{0,100}", must_be="text of at most 100 characters"),
            ),
        )),
        Field("agents_disabled", "bool", update_only=True),
        Field(
            "default_policy_profile_id",
            pattern=f"|{ID_PATTERN}", must_be="the id of a policy, or empty", update_only=True,
            refers_to=POLICY, name_option="default_policy",
        ),
        Field("residency", choices=("any", "us", "eu"), update_only=True),
        Field("status", choices=("active", "suspended"), update_only=True),
        Field("proxy_host", read_only=True),
        Field("queries_per_second", "int", read_only=True),
        Field("burst_size", "int", read_only=True),
        Field("max_connections", "int", read_only=True),
        Field("database_count", "int", read_only=True),
        Field("active_connections", "int", read_only=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, changes_on_write=True),
    ),
)  # fmt: skip
