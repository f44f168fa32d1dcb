# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published OpenAPI document as a judge of recorded exchanges, where the document is at hand."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from tests.tree import ROOT

DOCUMENT = ROOT.parent / "shared" / "reference" / "pgbeam-openapi.json"
#: Only the operations in use: reading the other ones takes seconds.
IN_USE = re.compile(
    r"/v1/(projects(/{project_id}(/databases(/{database_id}(/test-connection)?)?)?)?"
    r"|databases/{database_id}/replicas(/{replica_id})?|regions|organizations)"
)
#: An id that a server made: all of them are judged alike.
ID = re.compile(r"\b(prj|db|rep)_[0-9a-f]+(?![^/])")
#: The answers that the document describes; others (409, 5xx, faults) it does not know.
DESCRIBED = (200, 201, 204, 400, 401, 403, 404, 429)


@functools.cache
def _api(path: Path) -> OpenAPI:
    document = json.loads(path.read_text())
    document["paths"] = {name: item for name, item in document["paths"].items() if IN_USE.fullmatch(name)}
    return OpenAPI.from_dict(document)


def judge(exchanges: list[dict[str, Any]]) -> None:
    """Raise where a request or an answer is not as the document says; nothing where there is no document.

    What the server refused is judged as well, since that is where a wrong request ends. Only what a test itself has
    asked for, behind the collection's back, may be wrong on purpose.
    """
    if not DOCUMENT.exists():
        return
    for entry in exchanges:
        on_purpose = entry["headers"].get("user-agent", "").startswith("python-requests") and entry["status"] == 400
        if not on_purpose:
            _judge_request(
                entry["method"],
                ID.sub(r"\1_1", entry["path"]),
                json.dumps(entry["query"]),
                json.dumps(entry["body"]),
                entry["headers"].get("content-type", ""),
            )
        if entry["fault"] is None and entry["status"] in DESCRIBED and "problem" not in entry["content_type"]:
            response = MockResponse(
                entry["response"].encode(), status_code=entry["status"], content_type=entry["content_type"]
            )
            _api(DOCUMENT).validate_response(_request(entry["method"], entry["path"]), response)


@functools.lru_cache(4096)
def _judge_request(method: str, path: str, query: str, body: str, content_type: str) -> None:
    """Texts alone, so that a request is judged once, however many objects it is sent for."""
    content = None if body == "null" else body.encode()
    _api(DOCUMENT).validate_request(_request(method, path, json.loads(query), content, content_type))


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
