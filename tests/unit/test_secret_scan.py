# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets finds them, in every form: else the tests that it finds none would prove nothing."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from tests.secret_scan import PART, SecretScan, make_secret

pytestmark = pytest.mark.once

SECRET = f"{make_secret(9, 1)} 'ä😀\"\\\n%&<{make_secret(9, 2)}\t{{{{ 7 * 7 }}}}"
ENCODED: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "percent-encoded": lambda s: quote(s, safe=""),
    "percent-encoded in lower case": lambda s: quote(s, safe="").replace("%C3", "%c3"),
    "percent-encoded as a form": quote_plus,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, safe for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 of user and password": lambda s: base64.b64encode(f"app:{s}".encode()).decode(),
    "base64 of JSON": lambda s: base64.b64encode(json.dumps({"ab": s}, ensure_ascii=False).encode()).decode(),
    "JSON": json.dumps,
    "JSON with its characters": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"msg": json.dumps({"password": s})}),
    "repr": lambda s: repr({"password": s}),
    "repr of bytes": lambda s: repr(s.encode()),
    "YAML": lambda s: yaml.safe_dump({"password": s}, width=9999),
    "YAML with its characters": lambda s: yaml.safe_dump([s], allow_unicode=True, width=9999),
    "a block of YAML": lambda s: yaml.safe_dump({"password": s}, default_style="|", allow_unicode=True),
    "shell": lambda s: f"echo {shlex.quote(s)}",
    "markup": html.escape,
    "in one line": lambda s: " ".join(s.split()),
    "the first half": lambda s: s[: len(s) // 2],
    "eight characters": lambda s: s[1:9],
}


@pytest.mark.parametrize("name", ENCODED)
def test_every_form_is_found(name: str) -> None:
    assert SecretScan([SECRET]).found(f"before {ENCODED[name](SECRET)} after".encode())


def test_nothing_is_found_where_nothing_is() -> None:
    text = f"changed: [localhost] => {make_secret(PART - 1, 1)} {{'changed': True}} db1.example.com 49"
    assert SecretScan([SECRET]).found(text.encode()) == []


def test_a_long_secret_is_found_by_any_part_of_it() -> None:
    long = make_secret(10_000, 3)
    search = SecretScan([long])
    assert search.found(f"-{long[4321:4329]}-".encode())
    assert not search.found(f"-{long[4321:4328]}-".encode())


def test_files_are_searched_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "events.json").write_text(json.dumps([SECRET]))
    (tmp_path / "exempt").write_text(SECRET)
    (tmp_path / make_secret(16, 4)).touch()
    hits = SecretScan([SECRET, make_secret(16, 4)]).found_below(tmp_path, [tmp_path / "exempt"])
    assert any(hit.startswith("a/events.json: ") for hit in hits)
    assert any(hit.startswith("a file's name: ") for hit in hits)
    assert not any(hit.startswith("exempt") for hit in hits)


def test_a_finding_does_not_contain_the_secret() -> None:
    reported = str(SecretScan([SECRET]).found(SECRET.encode()))
    assert not SecretScan([SECRET]).found(reported.encode())
