# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets found in a result and masked, in time that grows with the text and not with text × secrets.

Core's own masking compares every text with every secret, knows only a secret's plain form, and stars out ids and counts
that later tasks need where a password is short. This finds encoded forms as well and spares what cannot be a secret.
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
#: What this collection says in words of its own. Such a word stays; anything else under these names may be a server's.
TRUSTED_KEYS = frozenset({"action", "changes", "method"})
#: The names of what the server makes, and what it looks like. A hit of a shorter secret than this in it is chance.
IDS = re.compile(r"id|\w+_id")
ID = re.compile(r"[\w.-]+")
MIN_UNAMBIGUOUS = 8
#: A field, an option or a part of a result, which no server makes of a password.
CONTRACT_NAME = re.compile(r"[a-z_]+")
URL_SAFE = str.maketrans("+/", "-_")
PREFIX = 8


class Redactor:
    """Finds and masks these secrets. ``words`` are the collection's own, which no secret gets into."""

    def __init__(self, secrets: t.Iterable[str], words: t.Iterable[str] = ()) -> None:
        self._words = frozenset(words)
        self._forms = {form for secret in secrets for form in _encodings(str(secret)) if form}
        #: How long those are that begin alike, by that beginning and by its length: to look up at each place of a text.
        self._lengths: dict[int, dict[str, set[int]]] = {}
        for form in self._forms:
            head = form[:PREFIX]
            self._lengths.setdefault(len(head), {}).setdefault(head, set()).add(len(form))

    def mask(self, value: t.Any) -> t.Any:
        """A copy of a result with every secret starred out, in the names of its members as well."""
        return self._masked(value, "")

    def _masked(self, value: t.Any, name: str) -> t.Any:
        if isinstance(value, dict):
            return {self._name(k): v if self._own(k, v) else self._masked(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._masked(item, "") for item in value]
        if isinstance(value, str):
            by_chance = IDS.fullmatch(name) and ID.fullmatch(value)
            return self._text(value, MIN_UNAMBIGUOUS if by_chance else 1)
        return value

    def _name(self, name: str) -> t.Any:
        return name if CONTRACT_NAME.fullmatch(name) else self._masked(name, "id")

    def _own(self, name: str, value: t.Any) -> bool:
        return name in TRUSTED_KEYS and self._words.issuperset(map(str, value if isinstance(value, list) else [value]))

    def _text(self, text: str, shortest: int) -> str:
        """A text with what is as long as this or longer starred out; secrets that overlap are one."""
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
    """A secret as it is, and as a quoting server or log may write it."""
    # Also in one line, without what a server may strip where enough is left of it.
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
    """What a base64 text holds of the data, alone or anywhere in more, as in that of ``user:password``."""
    yield base64.b64encode(data).decode().rstrip("=")
    for before, first in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # The characters at both ends depend on what stands beside it.
        yield text[first : -1 if (before + len(data)) % 3 else None]
