# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter: passwords into connection strings."""

from __future__ import annotations

import datetime
import importlib.util
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.pgbeam.cloud.plugins.filter import connection_string as connection_string_file
from hypothesis import given, settings
from hypothesis import strategies as st

connection_string = connection_string_file.FilterModule().filters()["connection_string"]
STRING = "postgresql://app:YOUR_PASSWORD@prj-1.proxy.pgbeam.app:5432/orders"
PASSWORD = "Pw-7fQ2-only-in-tests"


@pytest.mark.parametrize(
    "password, encoded",
    [
        ("plain-Pw_1.~", "plain-Pw_1.~"),
        ("a/b@c:d%e", "a%2Fb%40c%3Ad%25e"),
        ("wört", "w%C3%B6rt"),
        ("a b?c#d&e+f", "a%20b%3Fc%23d%26e%2Bf"),
        ("%2F", "%252F"),
        (":YOUR_PASSWORD@", "%3AYOUR_PASSWORD%40"),
    ],
)
def test_the_password_is_percent_encoded(password: str, encoded: str) -> None:
    result = connection_string(STRING, password)
    assert result == f"postgresql://app:{encoded}@prj-1.proxy.pgbeam.app:5432/orders"
    assert unquote(urlsplit(result).password or "") == password


def test_only_the_placeholder_is_replaced() -> None:
    string = STRING.replace("//app:", "//YOUR_PASSWORD:").replace("/orders", "/YOUR_PASSWORD")
    expected = "postgresql://YOUR_PASSWORD:pw@prj-1.proxy.pgbeam.app:5432/YOUR_PASSWORD"
    assert connection_string(string, "pw") == expected


@pytest.mark.parametrize("string", ["", None, 5, {}, STRING.replace("YOUR_PASSWORD", "other")], ids=repr)
def test_a_string_without_placeholder_is_refused(string: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="does not contain YOUR_PASSWORD") as caught:
        connection_string(string, PASSWORD)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["", None, 48151623, [PASSWORD], PASSWORD.encode(), datetime.date(4815, 10, 23)], ids=repr
)
def test_a_password_that_is_no_text_is_refused(password: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="password is empty or not a string") as caught:
        connection_string(STRING, password)
    assert PASSWORD not in str(caught.value) and "4815" not in str(caught.value)


class _OmitType:
    """Stands for core's, of which newer cores have a single object."""


@pytest.mark.parametrize("omitted", ["__omit_place_holder__0aB9", _OmitType()], ids=["2.16", "2.19"])
def test_what_is_omitted_is_no_password(omitted: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="the password is omitted; pass it, or do not use the filter"):
        connection_string(STRING, omitted)
    with pytest.raises(AnsibleFilterError, match="the parameter sslmode is omitted; pass a value, or remove it"):
        connection_string(STRING, PASSWORD, parameters={"sslmode": omitted})


UNUSABLE = ["\0", "\ud800", "\udcff", "\udfff"]


@pytest.mark.parametrize("character", UNUSABLE, ids=ascii)
def test_a_password_that_no_connection_string_can_hold_is_refused(character: str) -> None:
    with pytest.raises(AnsibleFilterError, match="the password contains a NUL or an unpaired") as caught:
        connection_string(STRING, PASSWORD + character)
    assert PASSWORD not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    "query, parameters, expected",
    [
        ("", {}, ""),
        ("", None, ""),
        ("?a=1", {}, "?a=1"),
        ("", {"sslmode": "verify-full"}, "?sslmode=verify-full"),
        ("?", {"sslmode": "verify-full"}, "?sslmode=verify-full"),
        ("", {"connect_timeout": 10, "application_name": "a b&c=d?e/é"}, "?connect_timeout=10&application_name="
         "a%20b%26c%3Dd%3Fe%2F%C3%A9"),
        ("", {"keepalives": True, "sslsni": False, "options": ""}, "?keepalives=1&sslsni=0&options="),
        ("?a=1&b=%26", {"c": -3}, "?a=1&b=%26&c=-3"),
        ("?a=1&sslmode=require&b=2", {"sslmode": "disable"}, "?a=1&b=2&sslmode=disable"),
        ("?ssl%6Dode=require&sslmode=allow", {"sslmode": "disable"}, "?sslmode=disable"),
        ("?sslmode=require", {"sslMode": "disable"}, "?sslmode=require&sslMode=disable"),
    ],
    ids=repr,
)  # fmt: skip
def test_parameters_go_into_the_query(query: str, parameters: Any, expected: str) -> None:
    result = connection_string(STRING + query, "a?b&sslmode=c", parameters=parameters)
    assert result == f"postgresql://app:a%3Fb%26sslmode%3Dc@prj-1.proxy.pgbeam.app:5432/orders{expected}"


@pytest.mark.parametrize(
    "parameters, says",
    [
        (PASSWORD, "are not a dictionary"),
        ([{"sslmode": PASSWORD}], "are not a dictionary"),
        ({PASSWORD: "x"}, "the name of a parameter is empty, not text, or contains"),
        ({"": PASSWORD}, "the name of a parameter is empty, not text, or contains"),
        ({5: PASSWORD}, "the name of a parameter is empty, not text, or contains"),
        ({"sslmode\n": PASSWORD}, "the name of a parameter is empty, not text, or contains"),
        ({"password": PASSWORD}, "password is not a parameter"),
        ({"sslpassword": [PASSWORD]}, "the parameter sslpassword is not a string, a whole number or a boolean"),
        ({"sslpassword": {"a": PASSWORD}}, "the parameter sslpassword is not"),
        ({"sslpassword": PASSWORD.encode()}, "the parameter sslpassword is not"),
        ({"connect_timeout": 1.5}, "the parameter connect_timeout is not"),
        ({"connect_timeout": None}, "the parameter connect_timeout is not"),
        *(
            ({"sslpassword": PASSWORD + bad}, "the parameter sslpassword contains a NUL or an unpaired")
            for bad in UNUSABLE
        ),
    ],
    ids=ascii,
)
def test_wrong_parameters_are_refused_without_their_values(parameters: Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says) as caught:
        connection_string(STRING, "word", parameters=parameters)
    assert PASSWORD not in str(caught.value)


def test_secrets_are_registered_with_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    monkeypatch.setattr(connection_string_file, "register_secrets", reported.extend)
    result = connection_string(STRING, "a/b", parameters={"sslpassword": "key"})
    assert reported == ["a/b", "a%2Fb", result]


def test_ansible_redacts_it() -> None:
    secrets = pytest.importorskip("ansible.module_utils.secrets", reason="ansible-core before 2.22 cannot")
    result = connection_string(STRING, f"{PASSWORD}/", parameters={"sslpassword": "of-the-key"})
    for text in (result, f"{PASSWORD}/", f"{PASSWORD}%2F@"):
        masked = secrets.mask_secrets(f"the string {text}")
        assert PASSWORD not in masked and "of-the-key" not in masked


needs_libpq = pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="psycopg is not here")
#: All that a password can have, and a parameter: no NUL, and no half of a surrogate pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def as_libpq_reads(string: str) -> dict[str, Any]:
    from psycopg.conninfo import conninfo_to_dict

    return dict(conninfo_to_dict(string))


PLACE = {"user": "app", "host": "prj-1.proxy.pgbeam.app", "port": "5432", "dbname": "orders"}


@needs_libpq
@pytest.mark.parametrize(
    "password",
    [
        "'", '"', "\\", "a\nb\r\tc", "%", "%00", "%zz", "100%25", "{{ 7 * 7 }}", "{% raw %}", " leading", "trailing ",
        " ", "\u00a0", "@", "a@b:5432/c?d=e#f", "://", "[::1]", "a,b", "+", "&=;", "YOUR_PASSWORD", ":YOUR_PASSWORD@",
        "wört", "\U0001f600\u200d\U0001f525", "\ufeff", "\u202e", "e\u0301", "\x7f\x01", "x" * 10240, "%'é" * 3414,
        "$(id)", "None", "0",
    ],
    ids=lambda text: ascii(text)[:24],
)  # fmt: skip
def test_libpq_reads_hostile_texts_as_they_are(password: str) -> None:
    assert as_libpq_reads(connection_string(STRING, password)) == {**PLACE, "password": password}
    parameters = {"application_name": password, "sslpassword": password, "connect_timeout": 10, "sslsni": False}
    read = as_libpq_reads(connection_string(f"{STRING}?sslmode=require", password, parameters=parameters))
    values = {"application_name": password, "sslpassword": password, "connect_timeout": "10", "sslsni": "0"}
    assert read == {**PLACE, "password": password, "sslmode": "require", **values}


@needs_libpq
@given(password=TEXTS.filter(bool), value=TEXTS, query=st.sampled_from(["", "?", "?sslmode=allow", "?options=-c%20a"]))
@settings(deadline=None)
def test_libpq_reads_any_text_as_it_is(password: str, value: str, query: str) -> None:
    read = as_libpq_reads(connection_string(STRING + query, password, parameters={"options": value}))
    assert (read["password"], read["options"], read["host"]) == (password, value, PLACE["host"])
    assert read.get("sslmode") == ("allow" if "sslmode" in query else None)
