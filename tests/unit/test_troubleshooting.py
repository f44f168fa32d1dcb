# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The troubleshooting guide quotes the messages of the tasks."""

from __future__ import annotations

import ast
import itertools
import json
import re

import pytest
import requests
from ansible.module_utils.basic import missing_required_lib
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.errors import Call
from ansible_collections.pgbeam.cloud.plugins.module_utils._http.responses import (
    RETRY_STATUSES,
    from_error_response,
)
from ansible_collections.pgbeam.cloud.plugins.module_utils._reconcile.reconciler import PROGRESS_SECONDS
from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE

from tests.examples import GUIDES, read
from tests.tree import ROOT

GUIDE = read(f"{GUIDES}/troubleshooting.rst")
ROW = re.compile(
    r"^  \* - (?P<statuses>\d{3}(?:, \d{3})*)\n    - (?P<codes>``.+``)\n    - .+\n    - (?P<advice>.+)$", re.MULTILINE
)
CASES = [
    (int(status), code, row["advice"])
    for row in ROW.finditer(GUIDE)
    for status in row["statuses"].split(", ")
    for code in re.findall(r"``(\w+)``", row["codes"])
]
#: The messages in the tables that begin with them.
MESSAGES = re.findall(r"^  \* - (``.+``)$", GUIDE, re.MULTILINE)
TEXT = (ast.Constant, ast.JoinedStr)
NODES = [
    node
    for folder in ("module_utils", "plugin_utils", "filter")
    for path in (ROOT / "plugins" / folder).rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
]


def _forms(part: ast.expr) -> list[str]:
    """What a part of a text can be, ``{}`` for what is put in."""
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.IfExp):
        return [form for branch in (part.value.body, part.value.orelse) for form in _forms(branch)]
    return ["{}"]


def _texts() -> set[str]:
    """Every text in the collection's code, and the one that it takes from core."""
    parts = [node.values if isinstance(node, ast.JoinedStr) else [node] for node in NODES if isinstance(node, TEXT)]
    own = {"".join(forms) for text in parts for forms in itertools.product(*map(_forms, text))}
    return {*own, missing_required_lib("requests")}


@pytest.mark.parametrize(("status", "code", "advice"), CASES)
def test_the_advice(status: int, code: str, advice: str) -> None:
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps({"error": {"code": code, "message": "No."}}).encode()
    message = str(from_error_response(response, Call("POST", "/v1/projects/prj_1/databases", "databases")))
    assert f"{status} {code}: No." in message
    assert advice in message


def test_all_rows_are_read() -> None:
    assert {status for status, *_others in CASES} == {
        400,
        401,
        402,
        403,
        404,
        409,
        412,
        415,
        422,
        429,
        500,
        502,
        503,
        504,
    }
    headers = ("status", "message")
    rows = [row for row in re.findall(r"^  \* - (.+)$", GUIDE, re.MULTILINE) if row not in headers]
    assert len(rows) == len(ROW.findall(GUIDE)) + len(MESSAGES)


def test_retried_statuses() -> None:
    (listed,) = re.findall(r"retried after ([\d, and]+) and after a lost connection", GUIDE)
    assert set(map(int, re.findall(r"\d+", listed))) == RETRY_STATUSES


@pytest.mark.parametrize("message", [message for row in MESSAGES for message in re.findall("``(.+?)``", row)])
def test_a_message_is_in_the_code(message: str) -> None:
    """A number, ``…`` and the name of an option match any value that the code inserts."""
    pattern = re.sub(r"(?<=\\ )(?:\d+|…|password)(?=\\ )", ".+", re.escape(message))
    assert any(re.search(pattern, text) for text in _texts())


def test_every_code_of_the_collection_is_in_the_guide() -> None:
    codes = {
        node.value.value
        for node in NODES
        if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant)
    }
    assert codes
    assert codes <= set(re.findall("``([A-Z_]+)``", GUIDE))


@pytest.mark.parametrize("page", [f"{GUIDES}/troubleshooting.rst", "roles/pgbeam/README.md"])
def test_the_line_of_a_long_run(page: str) -> None:
    assert "{} of {} {}" in _texts()
    assert f"1200 of 4000 {DATABASE.collection_label('prj_1')}" in read(page)
    assert f"at most every {PROGRESS_SECONDS} seconds" in " ".join(read(page).split())
