# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application: every operation of the API that is in use, and the control API."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tests.sandbox import control_api, evaluations, objects, platform, projects, readings
from tests.sandbox.kinds import KINDS
from tests.sandbox.refusals import Refusal, invalid
from tests.sandbox.state import State


async def _named_parameters_only(request: Request) -> None:
    """Refuse a query parameter that the operation does not have, which FastAPI would ignore."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    others = [name for name in request.query_params if name not in known]
    if others:
        raise invalid([{"field": name, "detail": "unknown query parameter"} for name in others])


def build(state: State) -> FastAPI:
    app = FastAPI(title="PgBeam sandbox")
    special = [noun.router(state) for noun in (projects, platform, evaluations, readings)]
    for router in (*special, *(objects.router(state, kind) for kind in KINDS.values())):
        app.include_router(router, dependencies=[Depends(_named_parameters_only)])
    app.include_router(control_api.router(state))

    def envelope(request: Request) -> str:
        # Set by the middleware from the scope of the request; the control API bypasses it.
        return str(request.scope.get("envelope", "error"))

    @app.exception_handler(Refusal)
    def refused(request: Request, refusal: Refusal) -> JSONResponse:
        return refusal.answer(envelope(request))

    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        fields = [{"field": ".".join(str(p) for p in e["loc"][1:]), "detail": e["msg"]} for e in error.errors()]
        return invalid(fields).answer(envelope(request))

    @app.exception_handler(HTTPException)
    def no_route(request: Request, error: HTTPException) -> JSONResponse:
        return Refusal(error.status_code, "NOT_FOUND", str(error.detail)).answer(envelope(request))

    return app
