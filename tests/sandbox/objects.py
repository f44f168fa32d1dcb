# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of almost every kind of object, built from its declaration."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from tests.sandbox.declaration import Item, Kind, Operation
from tests.sandbox.refusals import not_found
from tests.sandbox.state import FIRST_PAGE, Id, IfMatch, PageSize, PageToken, State, now

#: A required query parameter that identifies an object.
Named = Annotated[str, Query(min_length=1)]


async def body_of(request: Request, accepted: TypeAdapter[Item]) -> Item:
    """Return the fields of a request's body."""
    try:
        return accepted.validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None


def router(state: State, kind: Kind) -> APIRouter:
    """Build the router. Its operations are coroutines that never wait, so that they do not interleave."""

    async def in_its_project(request: Request, parent_id: Id) -> None:
        """Refuse a path that leads to an object of one project through another project."""
        scope = state.parent(kind, parent_id)
        if request.path_params.get("project_id", scope.id) != scope.id:
            raise not_found(kind.parent.removesuffix("_id"), parent_id)

    router = APIRouter(
        prefix=kind.path.replace(f"{{{kind.parent}}}", "{parent_id}"), dependencies=[Depends(in_its_project)]
    )

    @router.get("")
    async def list_all(parent_id: Id, page_size: PageSize = 20, page_token: PageToken = FIRST_PAGE) -> dict[str, Any]:
        scope = state.parent(kind, parent_id)
        rows = scope.below(kind, parent_id)
        return scope.page(kind.key, rows, lambda item: scope.answer(kind, item), page_size, page_token)

    if kind.named_by:
        _add_put_and_delete(router, state, kind)
        return router

    if kind.create:

        @router.post("", status_code=201)
        async def create(request: Request, parent_id: Id) -> dict[str, Any]:
            given = await body_of(request, kind.create_body)
            scope = state.parent(kind, parent_id)
            item = state.create(kind, scope, parent_id, given)
            return scope.issue(kind, item) if kind.once else scope.answer(kind, item)

    if kind.deletable:

        @router.delete("/{item_id}", status_code=204)
        async def delete(parent_id: Id, item_id: Id) -> Response:
            scope = state.parent(kind, parent_id)
            scope.delete_object(kind, scope.find(kind, parent_id, item_id))
            return Response(status_code=204)

    if kind.readable:

        @router.get("/{item_id}")
        async def get(parent_id: Id, item_id: Id) -> dict[str, Any]:
            scope = state.parent(kind, parent_id)
            return scope.answer(kind, scope.find(kind, parent_id, item_id))

    if kind.update:

        @router.api_route("/{item_id}", methods=[kind.update_method])
        async def update(request: Request, parent_id: Id, item_id: Id, if_match: IfMatch = "") -> dict[str, Any]:
            given = await body_of(request, kind.update_body)
            scope = state.parent(kind, parent_id)
            item = scope.find(kind, parent_id, item_id)
            if kind.conditional:
                scope.require(if_match, scope.answer(kind, item))
            scope.update(kind, item, given)
            answer = scope.answer(kind, item)
            return {kind.updated_key: answer} if kind.updated_key else answer

    if kind.once:

        @router.post("/{item_id}/rotate")
        async def rotate(parent_id: Id, item_id: Id) -> dict[str, Any]:
            scope = state.parent(kind, parent_id)
            item = scope.find(kind, parent_id, item_id)
            scope.require_live(kind, item)
            item["updated_at"] = now()
            return scope.issue(kind, item)

    for action, operation in kind.actions.items():
        _add_action(router, state, kind, action, operation)

    return router


def _add_put_and_delete(router: APIRouter, state: State, kind: Kind) -> None:
    @router.put("")
    async def put(request: Request, parent_id: Id) -> dict[str, Any]:
        given = await body_of(request, kind.create_body)
        scope = state.parent(kind, parent_id)
        item = scope.named(kind, parent_id, given)
        if item:
            scope.update(kind, item, given)
        return scope.answer(kind, item or state.create(kind, scope, parent_id, given))

    async def delete(parent_id: str, **given: str | None) -> Response:
        scope = state.parent(kind, parent_id)
        item = scope.named(kind, parent_id, given)
        if not item:
            raise not_found(kind.noun, str(given))
        scope.delete_object(kind, item)
        return Response(status_code=204)

    # FastAPI takes the names of the query's parameters from the signature.
    parameters = [Parameter("parent_id", Parameter.KEYWORD_ONLY, annotation=Id)]
    for name in kind.named_by:
        one = {"default": None, "annotation": str | None} if name in kind.optional else {"annotation": Named}
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, **one))
    delete.__signature__ = Signature(parameters, return_annotation=Response)  # type: ignore[attr-defined]
    router.delete("", status_code=204)(delete)


def _add_action(router: APIRouter, state: State, kind: Kind, action: str, operation: Operation) -> None:
    @router.post(f"/{{item_id}}/{action}", status_code=operation.status)
    def act(parent_id: Id, item_id: Id) -> dict[str, Any]:
        """Not a coroutine, because it may wait for another server."""
        scope = state.parent(kind, parent_id)
        return operation.answer(scope, scope.find(kind, parent_id, item_id))
