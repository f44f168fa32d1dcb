# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A region: a location where PgBeam accepts connections. Read-only."""

from __future__ import annotations

from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.resource import Field, Resource

REGION = Resource(
    noun="region",
    plural="regions",
    path="/v1/regions",
    label_format="{name}",
    get_by_id=False,
    paged=False,
    filters=("provider", "available"),
    fields=(
        Field("id", read_only=True),
        Field("name", read_only=True),
        Field("provider", choices=("aws", "azure", "gcp"), read_only=True),
        Field("status", read_only=True),
        Field("available", "bool", read_only=True),
        Field("continent", read_only=True),
        Field("country", read_only=True),
    ),
)
