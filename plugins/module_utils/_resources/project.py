# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a project is: the place that databases are registered in, with a host name of its own."""

from __future__ import annotations

import ipaddress

from ansible_collections.pgbeam.cloud.plugins.module_utils._resource import ID_PATTERN, Field, Resource
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE

CIDR_RULE = "an IPv4 or IPv6 address, with or without a prefix length"


def network(cidr: str) -> str:
    """The network that an address, alone or with a prefix length, stands for; raise ValueError for what is none."""
    return str(ipaddress.ip_network(cidr, strict=False))


PROJECT = Resource(
    noun="project",
    plural="projects",
    path="/v1/projects",
    parent="org_id",
    identity=("org_id", "name"),
    title="{name} of {org_id}",
    answer="project",
    first=DATABASE,
    gone=("status", "deleted"),
    filters=("name",),
    fields=(
        Field("id", read_only=True),
        Field("org_id", pattern=r"[\x20-\x7e]+", rule="an organization's id", required=True, immutable=True),
        Field("name", pattern=r"[^\x00]{1,100}", rule="text of 1 to 100 characters", required=True),
        Field("description", pattern=r"[^\x00]{0,500}", rule="text of 500 characters at most"),
        Field("tags", "list", maximum=10, elements=Field(
            "tag", pattern=r"[^\x00]{0,50}", rule="text of 50 characters at most",
        )),
        Field("cloud", choices=("aws", "azure", "gcp"), immutable=True),
        Field("self_hosted", "bool", immutable=True),
        Field("allowed_cidrs", "list", maximum=50, late=True, key="cidr", elements=Field(
            "cidr", "dict", fields=(
                Field("cidr", pattern=r"[0-9a-fA-F.:]+(/[0-9]+)?", rule=CIDR_RULE, normalize=network),
                Field("label", pattern=r"[^\x00]{0,100}", rule="text of 100 characters at most"),
            ),
        )),
        Field("agents_disabled", "bool", late=True),
        Field(
            "default_policy_profile_id",
            pattern=f"|{ID_PATTERN}", rule="the id of a policy profile, or empty", late=True,
        ),
        Field("residency", choices=("any", "us", "eu"), late=True),
        Field("status", choices=("active", "suspended"), late=True),
        Field("proxy_host", read_only=True),
        Field("queries_per_second", "int", read_only=True),
        Field("burst_size", "int", read_only=True),
        Field("max_connections", "int", read_only=True),
        Field("database_count", "int", read_only=True),
        Field("active_connections", "int", read_only=True),
        Field("created_at", read_only=True),
        Field("updated_at", read_only=True, recomputed=True),
    ),
)  # fmt: skip
