# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The read-only lists of the API: alerts, approval requests and usage. Tests seed their entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pgbeam import models
from pydantic import TypeAdapter

from tests.sandbox.declaration import Item
from tests.sandbox.refusals import invalid
from tests.sandbox.sdk import hints, optional, strict
from tests.sandbox.state import FIRST_PAGE, Id, PageSize, PageToken, Scope, State


@dataclass(frozen=True)
class Reading:
    """A read-only list of a project or an organization."""

    path: str
    #: The key of the list in the answer.
    key: str
    #: The SDK's model of an entry.
    model: Any
    paged: bool = True
    #: The types of the optional query parameters that filter by a field of the same name.
    filters: Mapping[str, Any] = field(default_factory=dict)
    #: Whether it requires a first and a last day.
    dated: bool = False

    @property
    def of_project(self) -> bool:
        return "{project_id}" in self.path


READINGS = (
    Reading(
        "/v1/projects/{project_id}/approvals",
        "approvals",
        models.ApprovalRequest,
        filters={"status": hints(models.ApprovalRequest)["status"]},
    ),
    Reading(
        "/v1/projects/{project_id}/anomalies",
        "anomalies",
        models.AnomalyAlert,
        filters={"status": hints(models.AnomalyAlert)["status"], "kind": models.AnomalyKind},
    ),
    Reading("/v1/projects/{project_id}/usage", "usage", models.ProjectDailyUsage, paged=False, dated=True),
    Reading("/v1/organizations/{org_id}/usage", "usage", models.DailyUsage, paged=False, dated=True),
)
AGENT_USAGE_PATH = "/v1/projects/{project_id}/usage/agents"


def seed(scope: Scope, of_project: bool, key: str, entries: list[Item]) -> None:
    """Replace the entries of a list, after validating them."""
    models_of = {(each.of_project, each.key): each.model for each in READINGS}
    entry = TypeAdapter(strict({**models_of, (True, "agents"): models.AgentUsageLine}[of_project, key], "forbid"))
    scope.seeded[key] = [entry.validate_python(each) for each in entries]


def router(state: State) -> APIRouter:
    router = APIRouter()
    for reading in READINGS:
        router.get(re.sub(r"{\w+}", "{parent_id}", reading.path))(_operation(state, reading))

    @router.get(AGENT_USAGE_PATH)
    async def agent_usage(project_id: Id, start: datetime | None = None, end: datetime | None = None) -> Item:
        project = state.project(project_id)
        until = end or datetime.now(timezone.utc)
        since = start or until - timedelta(days=30)
        if not timedelta(0) <= until - since <= timedelta(days=92):
            raise invalid([{"field": "start", "detail": "it is after the end, or more than 92 days before it"}])
        return project.shown(_report(project.id, since, until, project.seeded["agents"]))

    return router


def _report(project_id: str, since: datetime, until: datetime, agents: list[Item]) -> Item:
    """The usage of the agents of a project: the seeded lines and their sum."""
    lines = hints(models.AgentUsageLine)
    totals = {name: sum(agent[name] for agent in agents) for name, kind in lines.items() if kind in (int, float)}
    window = [moment.isoformat().replace("+00:00", "Z") for moment in (since, until)]
    return {
        "project_id": project_id,
        **dict(zip(("requested_start", "requested_end"), window)),
        **dict(zip(("window_start", "window_end"), window)),
        "complete": True,
        "agents": agents,
        "unattributed": dict.fromkeys(totals, 0),
        "totals": totals,
        "marginal_rates": {
            "plan": "scale",
            "queries_per_day": 5000000,
            "bytes_per_month": 0,
            "overage_per_1k_queries": 0.02,
            "overage_per_gb": 0.0,
            "query_overage_billable": True,
            "bytes_overage_billable": False,
        },
        "drop_markers": {"markers": 0, "truncated": False, "entries_dropped": 0, "markers_unparsed": 0, "reasons": []},
    }


def _operation(state: State, reading: Reading) -> Callable[..., Any]:
    async def read(parent_id: str, **given: Any) -> Item:
        scope = state.project(parent_id) if reading.of_project else state.organization(parent_id)
        rows = scope.seeded[reading.key]
        for name in reading.filters:
            rows = [row for row in rows if given[name] in (None, row[name])]
        if reading.dated:
            if given["end_date"] < given["start_date"]:
                raise invalid([{"field": "end_date", "detail": "it is before start_date"}])
            days = [given["start_date"].isoformat(), given["end_date"].isoformat()]
            rows = [row for row in rows if days[0] <= row["day"] <= days[1]]
        shown = [scope.shown(row, optional(reading.model)) for row in rows]
        if not reading.paged:
            return {reading.key: shown}
        return scope.page(reading.key, dict(enumerate(shown)), dict, given["page_size"], given["page_token"])

    # FastAPI takes the names of the query's parameters from the signature.
    kinds: dict[str, Any] = {"parent_id": (Id, Parameter.empty)}
    kinds |= {name: (Annotated[choices | None, Query()], None) for name, choices in reading.filters.items()}
    if reading.dated:
        kinds |= dict.fromkeys(("start_date", "end_date"), (Annotated[date, Query()], Parameter.empty))
    if reading.paged:
        kinds |= {"page_size": (PageSize, 20), "page_token": (PageToken, FIRST_PAGE)}
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in kinds.items()
    ]
    read.__signature__ = Signature(parameters, return_annotation=Item)  # type: ignore[attr-defined]
    return read
