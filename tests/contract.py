# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two judges of recorded exchanges: the types of the official SDK, and the published OpenAPI document if available.

The SDK is the newer one and has every field, type and choice; the document, of July 2026, has the ranges and patterns,
too. Where they disagree, the SDK counts.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypedDict, get_type_hints

import typing_extensions
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from pgbeam import PgBeamClient, models
from pgbeam.operations import OPERATIONS_BY_TAG
from pydantic import ConfigDict, TypeAdapter

from tests.sandbox.evaluations import EVALUATION_PATH, REPLAY_PATH
from tests.sandbox.kinds import KINDS, PROJECT
from tests.sandbox.middleware import EXTRA_FIELDS
from tests.sandbox.platform import PLAN_PATH, SPEND_LIMIT_PATH
from tests.sandbox.readings import AGENT_USAGE_PATH, READINGS
from tests.sandbox.sdk import hints, strict, typed_dict
from tests.tree import ROOT

DOCUMENT = ROOT.parent / "shared" / "reference" / "pgbeam-openapi.json"
_KINDS = (PROJECT, *KINDS.values())
_READINGS = (AGENT_USAGE_PATH, *(reading.path for reading in READINGS))
_COMPUTED = (EVALUATION_PATH, REPLAY_PATH)
_OTHERS = ("/v1/regions", "/v1/organizations", PLAN_PATH, SPEND_LIMIT_PATH, *_COMPUTED, *_READINGS)
#: Only the operations in use: parsing the others takes seconds.
IN_USE = {*_OTHERS, *(path for kind in _KINDS for path in kind.paths)}
#: Ids from a server and timestamps: exchanges that differ only in these are judged once.
ID = re.compile(rf'\b({"|".join(kind.prefix for kind in _KINDS if kind.prefix)})_[0-9a-f]+(?![^/".])')
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
#: The operations that accept If-Match, by method and path; the SDK has no headers.
CONDITIONAL = {(kind.update_method, kind.item_path) for kind in _KINDS if kind.update and kind.conditional}
ENTITY_TAGS = re.compile(r'\*|"[^"]*"( *, *"[^"]*")*')

#: What differs between the two, and why the SDK's is right; ``differences()`` finds it. The document refuses nothing of
#: it: it passes over unknown fields and query parameters, and it is not asked about problem documents.
DIFFERENCES: dict[str, str] = {
    **{f"{kind.noun}: {name}": "the document is older" for kind in _KINDS for name in kind.newer},
    **{
        f"{name} body: policy.{field}": "the document is older"
        for name in ("dry_eval_policy", "replay_policy")
        for field in KINDS["policies"].newer
    },
    "dry_eval_policy answer: template": "query templates are newer than the document",
    "replay_policy answer: items.result.template": "the same",
    "replay_policy body: bound_policy_id": "the document is older",
    "replay_policy answer: summary.traffic_scope": "it came with bound_policy_id",
    "replay_policy answer: summary.bound_credentials": "the same",
    "list_anomaly_alerts query: kind": "the document is older",
    "list_approval_requests answer: approvals.approval_rule_name": "the document is older",
    "list_replicas query: page_size": "lists of replicas have pages since August, as all lists",
    "list_replicas query: page_token": "the same; the document has next_page_token in the answer alone",
    "list_self_host_enrollments query: page_size": "lists of enrollments have pages since August, too",
    "list_self_host_enrollments query: page_token": "the same",
    "list_self_host_enrollments answer: next_page_token": "the same",
    "create_self_host_enrollment body: ": "the SDK has null for a body that is omitted",
    "errors": "problem documents have taken the place of the envelope, which older servers still send",
}


class _Problem(TypedDict):
    code: str
    message: str


class _Envelope(TypedDict):
    """The older form of an error, which is missing from the SDK."""

    error: _Problem


@dataclass(frozen=True)
class Operation:
    """An operation of the API in the SDK."""

    name: str
    method: str
    path: str
    #: None if it has no body, or no content in its answer.
    body: TypeAdapter[Any] | None
    answer: TypeAdapter[Any] | None
    query: TypeAdapter[Any]


@functools.cache
def operations() -> list[Operation]:
    """The operations in use."""
    services = get_type_hints(PgBeamClient)
    found = []
    for tag, metas in OPERATIONS_BY_TAG.items():
        for name, meta in metas.items():
            if meta.path in IN_USE:
                method = getattr(services[tag], name)
                found.append(_operation(name, meta.method, meta.path, method))
    return found


def _operation(name: str, method: str, path: str, function: Any) -> Operation:
    types = hints(function)
    answer, body = types.pop("return"), types.pop("body", None)
    parameters = inspect.signature(function).parameters
    query = {
        each: hint if parameters[each].default is inspect.Parameter.empty else typing_extensions.NotRequired[hint]
        for each, hint in types.items()
        if f"{{{each}}}" not in path
    }
    return Operation(
        name,
        method,
        path,
        TypeAdapter(strict(body, "forbid")) if body else None,
        None if answer is NoneType else TypeAdapter(strict(answer, "ignore")),
        TypeAdapter(typed_dict(f"{name} query", query, ConfigDict(extra="forbid"))),
    )


@functools.lru_cache(4096)
def _find(method: str, path: str) -> Operation:
    for operation in operations():
        if operation.method == method and re.fullmatch(re.sub("{[a-z_]+}", "[^/]+", operation.path), path):
            return operation
    raise AssertionError(f"there is no operation {method} {path}")


@functools.cache
def _error() -> dict[str, TypeAdapter[Any]]:
    """Return the two forms of an error, by content type."""
    return {
        "application/problem+json": TypeAdapter(strict(models.Error, "ignore")),
        "application/json": TypeAdapter(strict(_Envelope, "ignore")),
    }


@functools.cache
def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    document["paths"] = {name: item for name, item in document["paths"].items() if name in IN_USE}
    return document


@functools.cache
def _api(path: Path) -> OpenAPI:
    return OpenAPI.from_dict(_document(path))


def described(operation: Operation, document: Path, status: int = 200) -> bool:
    """Whether the document exists and contains the operation, with this answer unless it is a success."""
    if not document.exists():
        return False
    item = _document(document)["paths"].get(operation.path, {}).get(operation.method.lower())
    return item is not None and (status < 300 or str(status) in item["responses"])


def judge(exchanges: list[dict[str, Any]], document: Path = DOCUMENT) -> None:
    """Raise if a request or an answer does not match the SDK, or the document if it exists.

    What the server refused is judged as well, since that is where a wrong request ends. Only what a test itself has
    asked for, behind the collection's back, may be wrong on purpose; and so may an answer that a test asked for.
    """
    for entry in exchanges:
        method, path = entry["method"], ID.sub(r"\1_1", entry["path"])
        of_a_test = entry["headers"].get("user-agent", "").startswith("python-requests")
        if not (of_a_test and entry["status"] == 400):
            _judge_request(
                method,
                path,
                json.dumps(entry["query"]),
                json.dumps(_without_extra(entry["body"]) if entry["extra_fields"] else entry["body"]),
                entry["headers"].get("content-type", ""),
                document,
            )
        if not of_a_test:
            _judge_if_match(method, path, entry["headers"].get("if-match"))
        if entry["fault"] is None and entry["in_contract"] and entry["status"] is not None:
            text = MOMENT.sub("2026-01-01T00:00:00Z", ID.sub(r"\1_1", entry["response"]))
            _judge_answer(method, path, entry["status"], entry["content_type"], text, document)


def _without_extra(value: Any) -> Any:
    """Return a body without the unknown fields that the sandbox added, which may be sent back."""
    if isinstance(value, list):
        return [_without_extra(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_extra(item) for name, item in value.items() if name not in EXTRA_FIELDS}


@functools.lru_cache(4096)
def _judge_request(method: str, path: str, query: str, body: str, content_type: str, document: Path) -> None:
    """Takes only texts, so that a request for many objects is judged once."""
    operation = _find(method, path)
    operation.query.validate_strings(json.loads(query))
    if operation.body:
        operation.body.validate_json(body)
    elif body != "null":
        raise AssertionError(f"{operation.name} has no body")
    if described(operation, document):
        content = None if body == "null" else body.encode()
        _api(document).validate_request(_request(method, path, json.loads(query), content, content_type))


def _judge_if_match(method: str, path: str, if_match: str | None) -> None:
    if if_match is None:
        return
    operation = _find(method, path)
    if (operation.method, operation.path) not in CONDITIONAL:
        raise AssertionError(f"{method} {path} does not take If-Match")
    if not ENTITY_TAGS.fullmatch(if_match):
        raise AssertionError(f"If-Match is {if_match}, which matches nothing")


@functools.lru_cache(4096)
def _judge_answer(method: str, path: str, status: int, content_type: str, text: str, document: Path) -> None:
    operation = _find(method, path)
    if status < 400:
        if status not in (204, 304) and operation.answer:
            operation.answer.validate_json(text)
        elif text:
            raise AssertionError(f"{operation.name}: {status} with content")
    else:
        content = _error()[content_type].validate_json(text)
        if content.get("status", status) != status:
            raise AssertionError(f"a problem document of {content['status']} comes with {status}")
    if described(operation, document, status) and "problem" not in content_type:
        response = MockResponse(text.encode(), status_code=status, content_type=content_type)
        _api(document).validate_response(_request(method, path), response)


def _request(
    method: str, path: str, query: dict[str, str] | None = None, body: bytes | None = None, content_type: str = ""
) -> MockRequest:
    headers = {"Authorization": "Bearer of-the-sandbox"}
    return MockRequest(
        "https://api.pgbeam.com",
        method.lower(),
        path,
        args=query,
        headers=headers,
        data=body,
        content_type=content_type,
    )


def differences() -> set[str]:
    """Return the differences between the document and the SDK, except ranges, which only the document has."""
    document = _document(DOCUMENT)
    found: set[str] = set()
    for operation in operations():
        if not described(operation, DOCUMENT):
            continue
        item = document["paths"][operation.path]
        theirs = item[operation.method.lower()]
        parameters = [_resolved(each, document) for each in item.get("parameters", []) + theirs.get("parameters", [])]
        queries = {each["name"] for each in parameters if each["in"] == "query"}
        found |= {f"{operation.name} query: {name}" for name in queries ^ _shape(operation.query.json_schema()).keys()}
        succeeds = next(answer for status, answer in theirs["responses"].items() if status.startswith("2"))
        for part, adapter, holder in (
            ("body", operation.body, theirs.get("requestBody", {})),
            ("answer", operation.answer, succeeds),
        ):
            schema = holder.get("content", {}).get("application/json", {}).get("schema")
            left, right = _shape(schema, document), _shape(adapter.json_schema() if adapter else None)
            for place in _apart(left, right):
                name = place.rpartition(".")[2]
                owner = next((kind for kind in _KINDS if operation.path in kind.paths and name in kind.newer), None)
                found.add(f"{owner.noun}: {name}" if owner else f"{operation.name} {part}: {place}")
    problem = _error()["application/problem+json"].json_schema()
    if _shape(document["components"]["schemas"]["Error"], document) != _shape(problem):
        found.add("errors")
    return found


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = functools.reduce(lambda place, name: place[name], schema["$ref"].split("/")[1:], root)
    return schema


def _shape(schema: dict[str, Any] | None, root: dict[str, Any] | None = None) -> Any:
    """Return the fields, types and choices of a schema in either dialect, in one form for comparison."""
    if schema is None:
        return None
    root = root or schema
    schema = _resolved(schema, root)
    if "properties" in schema:
        required = schema.get("required", [])
        return {name: (name in required, _shape(inner, root)) for name, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_shape(schema["items"], root)]
    nullable = {"null"} if schema.get("nullable") else set()
    if "anyOf" in schema:
        return frozenset().union(*(_shape(inner, root) for inner in schema["anyOf"]))
    return frozenset(schema.get("enum", [schema.get("type")])) | nullable


def _apart(left: Any, right: Any, place: str = "") -> Iterator[str]:
    """Yield the paths where two shapes differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in {*left, *right}:
            yield from _apart(left.get(name), right.get(name), f"{place}.{name}".lstrip("."))
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        for one, other in zip(left, right):
            yield from _apart(one, other, place)
    elif left != right:
        yield place
