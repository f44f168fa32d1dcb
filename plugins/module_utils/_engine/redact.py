# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mask secrets in results, in time proportional to the text and not to text × secrets.

Core's own masking compares every text with every secret, knows only the plain form of a secret, and masks ids and
counts that later tasks need if a password is short. This also finds encoded forms and keeps what cannot be a secret.
Private to this collection: it may change in any release.
"""

from __future__ import annotations

import base64
import html
import json
import re
import typing as t
from urllib.parse import quote, quote_plus

MASK = "********"
#: Keys whose values are the collection's own words. Other values under these keys may be a server's.
TRUSTED_KEYS = frozenset({"action", "changes", "method"})
#: The keys and the form of ids, in which a match of a secret shorter than ``MIN_UNAMBIGUOUS`` is a coincidence.
IDS = re.compile(r"id|\w+_id")
ID = re.compile(r"[\w.-]+")
MIN_UNAMBIGUOUS = 8
#: A field, an option or a key of a result, which no server builds from a password.
CONTRACT_NAME = re.compile(r"[a-z_]+")
URL_SAFE = str.maketrans("+/", "-_")
PREFIX = 8


class Redactor:
    """Finds and masks these secrets. ``words`` are the collection's own, which cannot contain a secret."""

    def __init__(self, secrets: t.Iterable[str], words: t.Iterable[str] = ()) -> None:
        self._words = frozenset(words)
        self._forms = {form for secret in secrets for form in _encodings(str(secret)) if form}
        #: The lengths of the forms by the length of their prefix and the prefix, to look up at each position of a text.
        self._lengths: dict[int, dict[str, set[int]]] = {}
        for form in self._forms:
            prefix = form[:PREFIX]
            self._lengths.setdefault(len(prefix), {}).setdefault(prefix, set()).add(len(form))

    def mask(self, value: t.Any) -> t.Any:
        """Return a copy of a result with every secret masked, also in keys."""
        return self._masked(value, "")

    def _masked(self, value: t.Any, name: str) -> t.Any:
        if isinstance(value, dict):
            return {self._masked_key(k): v if self._is_trusted(k, v) else self._masked(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._masked(item, "") for item in value]
        if isinstance(value, str):
            may_be_chance = IDS.fullmatch(name) and ID.fullmatch(value)
            return self._text(value, MIN_UNAMBIGUOUS if may_be_chance else 1)
        return value

    def _masked_key(self, name: str) -> t.Any:
        return name if CONTRACT_NAME.fullmatch(name) else self._masked(name, "id")

    def _is_trusted(self, name: str, value: t.Any) -> bool:
        return name in TRUSTED_KEYS and self._words.issuperset(map(str, value if isinstance(value, list) else [value]))

    def _text(self, text: str, shortest: int) -> str:
        """Return a text with the secrets of at least this length masked; overlapping secrets become one mask."""
        hits = sorted(
            (i, i + length)
            for size, lengths in self._lengths.items()
            for i in range(len(text) - size + 1)
            if text[i : i + size] in lengths
            for length in lengths[text[i : i + size]]
            if length >= shortest and text[i : i + length] in self._forms
        )
        masked, end = "", 0
        for first, last in hits:
            if first >= end:
                masked += text[end:first] + MASK
            end = max(end, last)
        return masked + text[end:]


def _encodings(secret: str) -> set[str]:
    """The forms of a secret in which a server or a log may quote it."""
    # Also as one line, and stripped as a server may do, if it stays long enough.
    line = re.sub(r"\s+", " ", secret)
    texts = {secret, line, *({line.strip()} if len(line.strip()) >= MIN_UNAMBIGUOUS else ())}
    return {form for text in texts for form in _variants(text)}


def _variants(text: str) -> t.Iterator[str]:
    data = text.encode(errors="surrogatepass")
    quoted = {quote(data, safe=""), quote(data), quote_plus(data)}
    yield from quoted
    yield from (re.sub("%..", lambda hit: hit.group().lower(), form) for form in quoted)
    escaped = (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text), ascii(text))
    yield from (form[1:-1] for form in escaped)
    yield from (text, html.escape(text), html.escape(text, quote=False), repr(data)[2:-1])
    for form in _base64(data):
        if len(form) >= MIN_UNAMBIGUOUS:
            yield from (form, form.translate(URL_SAFE))


def _base64(data: bytes) -> t.Iterator[str]:
    """The base64 forms of the data, alone and inside other data such as ``user:password``."""
    yield base64.b64encode(data).decode().rstrip("=")
    for before, first in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # The characters at both ends depend on the adjacent data.
        yield text[first : -1 if (before + len(data)) % 3 else None]
