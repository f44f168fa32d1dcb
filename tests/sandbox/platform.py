# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations outside projects: regions, the organizations that a key can see, and their plans."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pgbeam import models
from pydantic import TypeAdapter

from tests.sandbox.declaration import Item
from tests.sandbox.objects import body_of
from tests.sandbox.sdk import hints, optional, strict
from tests.sandbox.state import Id, Organization, State

REGIONS: list[Item] = [
    {
        "id": "us-east-1", "name": "US East (N. Virginia)", "provider": "aws", "status": "active", "available": True,
        "continent": "North America", "country": "United States",
    },
    {
        "id": "eu-central-1", "name": "Europe (Frankfurt)", "provider": "aws", "status": "active", "available": True,
        "continent": "Europe", "country": "Germany",
    },
    {
        "id": "westeurope", "name": "West Europe", "provider": "azure", "status": "draining", "available": False,
        "continent": "Europe", "country": "Netherlands",
    },
]  # fmt: skip


PLAN_PATH = "/v1/organizations/{org_id}/plan"
SPEND_LIMIT_PATH = "/v1/organizations/{org_id}/spend-limit"
SPEND_LIMIT_BODY: TypeAdapter[Item] = TypeAdapter(strict(models.UpdateSpendLimitRequest, "forbid"))


def plan(organization: Organization) -> Item:
    """Return the plan of an organization as answers contain it."""
    item = {
        "org_id": organization.id,
        "plan": "scale",
        "spend_limit": organization.spend_limit,
        "spend_capped": False,
        "spend_capped_at": None,
        "limits": dict.fromkeys(hints(models.PlanLimits), 100),
    }
    return organization.shown(item, optional(models.OrganizationPlan))


def router(state: State) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.get("/regions")
    async def regions() -> dict[str, Any]:
        return {"regions": [state.default.shown(region) for region in REGIONS]}

    @router.get("/organizations")
    async def organizations(request: Request) -> dict[str, Any]:
        key = request.headers["authorization"].removeprefix("Bearer ")
        role = {"role": "owner"} if key.startswith("pbu_") else {}
        rows = [{"id": name, "name": name, "slug": name.lower().replace("_", "-")} for name in state.visible(key)]
        return {"organizations": [state.default.shown({**row, **role}) for row in rows]}

    @router.get(PLAN_PATH.removeprefix("/v1"))
    async def get_plan(org_id: Id) -> dict[str, Any]:
        return plan(state.organization(org_id))

    @router.put(SPEND_LIMIT_PATH.removeprefix("/v1"))
    async def update_spend_limit(request: Request, org_id: Id) -> dict[str, Any]:
        given = await body_of(request, SPEND_LIMIT_BODY)
        organization = state.organization(org_id)
        organization.spend_limit = given.get("spend_limit")
        return plan(organization)

    return router
