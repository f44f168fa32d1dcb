# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is masked in a result, what is left as it is, and that it takes no longer for many secrets than for few."""

from __future__ import annotations

import ast
import base64
import html
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from ansible_collections.pgbeam.cloud.plugins.module_utils._engine.redact import MASK, Redactor

from tests.secret_scan import SecretScan, make_secret

pytestmark = pytest.mark.once

SECRET = f"{make_secret(9, 1)} 'ä😀\"\\\n%&<{make_secret(9, 2)}\t{{{{ 7 * 7 }}}}"
ENCODED: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "percent-encoded": lambda s: quote(s, safe=""),
    "percent-encoded in lower case": lambda s: re.sub("%..", lambda hit: hit.group().lower(), quote(s, safe="")),
    "percent-encoded as a form": quote_plus,
    "JSON": json.dumps,
    "JSON with its characters": lambda s: json.dumps(s, ensure_ascii=False),
    "repr": lambda s: repr({"password": s}),
    "repr in ASCII": lambda s: ascii([s]),
    "repr of bytes": lambda s: repr(s.encode()),
    "markup": html.escape,
    "markup with its quotes": lambda s: html.escape(s, quote=False),
    "in one line": lambda s: " ".join(s.split()),
    "in one line of JSON": lambda s: json.dumps(" ".join(s.split())),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, safe for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 of a user and it": lambda s: base64.b64encode(f"app:{s}".encode()).decode(),
    "base64 of one more character": lambda s: base64.b64encode(f"-{s}-".encode()).decode(),
    "base64 of two more": lambda s: base64.urlsafe_b64encode(f"--{s}--".encode()).decode(),
    "base64 of three more": lambda s: base64.b64encode(f"---{s}---".encode()).decode(),
    "base64 of it in one line": lambda s: base64.b64encode(f"-{' '.join(s.split())}".encode()).decode(),
}


def masked(secret: str, value: Any, *more: str, words: tuple[str, ...] = ()) -> Any:
    return Redactor([secret, *more], words).mask(value)


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize(
    "secret",
    [SECRET, make_secret(8, 3), make_secret(9, 4), make_secret(10, 5), f"{make_secret(12, 6)}\n"],
    ids=range(5),
)
def test_every_form_is_masked(name: str, secret: str) -> None:
    reported = masked(secret, {"msg": f"before {ENCODED[name](secret)} after"})["msg"]
    assert MASK in reported
    assert reported.startswith("before ") and reported.endswith("after")
    assert not SecretScan([secret]).found(reported.encode())


def test_what_holds_no_secret_stays() -> None:
    result: dict[str, Any] = {"msg": "1 created", "n": [1, None, True, 2.5, {"a": []}], "": {}}
    assert masked("s3cret-12", result) == result
    assert Redactor([]).mask(result) == result
    assert Redactor([""]).mask(result) == result


@pytest.mark.parametrize(
    "secrets, text, reported",
    [
        (["abcdWXYZ", "WXYZefgh"], "-abcdWXYZefgh-", f"-{MASK}-"),
        (["abcdWXYZ", "WXYZefgh", "efgh-ijkl"], "abcdWXYZefgh-ijkl", MASK),
        (["abcdefgh", "cdef"], "abcdefgh cdef", f"{MASK} {MASK}"),
        (["abcdefgh", "abcdefghijkl"], "abcdefghijkl abcdefghijk", f"{MASK} {MASK}ijk"),
        (["abcdefghi", "abcdefghj"], "abcdefghj", MASK),
        (["aa"], "aaa a", f"{MASK} a"),
        (["*", "**"], "a*b**c", f"a{MASK}b{MASK}c"),
        (["abcdefghijkl"], "abcdefgh", "abcdefgh"),
    ],
    ids=[
        "overlapping", "in a chain", "one in another", "one begins another", "the same beginning", "itself",
        "the mask's", "only the beginning",
    ],
)  # fmt: skip
def test_secrets_that_share_characters(secrets: list[str], text: str, reported: str) -> None:
    assert Redactor(secrets).mask(text) == reported
    assert Redactor(secrets[::-1]).mask(text) == reported


def test_names_are_masked_like_values() -> None:
    assert masked("pw-Zq7-long", {"labels": {"my pw-Zq7-long": 1}}) == {"labels": {f"my {MASK}": 1}}
    assert masked("Hunter2Hunter2", {"labels": {"Hunter2Hunter2": 1}}) == {"labels": {MASK: 1}}
    assert masked("prj_1", {"prj_1": 1, "of prj_1": 2}) == {"prj_1": 1, f"of {MASK}": 2}


@pytest.mark.parametrize("secret", ["a", "password", "database", "connection_string", "request_id", "max"])
def test_names_of_the_contract_stay(secret: str) -> None:
    result = {"database": {"connection_string": 1, "update_password": 2, "max_entries": 3}, "request_id": None}
    assert masked(secret, result) == result


def test_numbers_stay() -> None:
    assert masked("5432", {"port": 5432, "msg": "port 5432"}) == {"port": 5432, "msg": f"port {MASK}"}


@pytest.mark.parametrize(
    "secret, reported", [("db_1", "db_1-Abcd.1"), ("b_1-Abcd", f"d{MASK}.1")], ids=["short", "long"]
)
def test_a_short_secret_is_in_an_id_by_chance(secret: str, reported: str) -> None:
    assert masked(secret, {"id": "db_1-Abcd.1"}) == {"id": reported}


def test_a_value_that_is_not_an_id_is_masked() -> None:
    assert masked("db_1", {"database_id": "db_1", "id": "no id: db_1"}) == {
        "database_id": "db_1",
        "id": f"no id: {MASK}",
    }


def test_our_own_words_are_not_masked_under_their_keys() -> None:
    result = {"action": "created", "changes": ["host", "port"], "msg": "created host"}
    reported = Redactor(["created", "host"], ["created", "host", "port"]).mask(result)
    assert reported == {**result, "msg": f"{MASK} {MASK}"}
    assert masked("created", {"action": "created by created"}, words=("created",)) == {"action": f"{MASK} by {MASK}"}


def test_a_masked_repr_can_still_be_read() -> None:
    assert ast.literal_eval(masked(SECRET, repr({"password": SECRET, "port": 5432}))) == {
        "password": MASK,
        "port": 5432,
    }


@pytest.mark.parametrize("prefix", ["", "postgres-"], ids=["different", "beginning alike"])
def test_many_secrets_take_no_longer_than_few(prefix: str) -> None:
    """Hundreds of times as many, of which the text has the beginning at every turn."""
    entries = [{"host": f"postgres-{n}.example.com", "name": f"orders{n}", "port": 5432} for n in range(1000)]
    secrets = [f"{prefix}{n:05d}-{make_secret(10, n)}" for n in range(5000)]

    def seconds(masking: Redactor) -> float:
        began = time.process_time()
        assert masking.mask({"databases": entries}) == {"databases": entries}
        return time.process_time() - began

    few, many = Redactor(secrets[:20]), Redactor(secrets)
    assert min(seconds(many) for dummy in range(3)) < 3 * min(seconds(few) for dummy in range(3))
