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
OWN_WORDS = frozenset({"action", "changes", "method"})
#: Made by the server. A hit of a shorter secret than this in one is chance.
IDS = frozenset({"id", "project_id", "request_id"})
TOO_LONG_FOR_CHANCE = 8
HEAD = 8


class Masking:
    """Finds and masks these secrets. ``words`` are the collection's own, which no secret gets into."""

    def __init__(self, secrets: t.Iterable[str], words: t.Iterable[str] = ()) -> None:
        self._words = frozenset(words)
        #: The forms by their first characters, and those by their number: to look up, not to compare one by one.
        self._forms: dict[str, set[str]] = {}
        self._heads: dict[int, set[str]] = {}
        for form in {form for secret in secrets for form in _forms(str(secret)) if form}:
            head = form[:HEAD]
            self._forms.setdefault(head, set()).add(form)
            self._heads.setdefault(len(head), set()).add(head)

    def mask(self, value: t.Any) -> t.Any:
        """A copy of a result with every secret starred out; the result itself where it holds none."""
        found = self._found("\n".join(self._texts(value)))
        return self._masked(value, sorted(found, key=len, reverse=True)) if found else value

    def _found(self, text: str) -> list[str]:
        heads: set[str] = set()
        for size, known in self._heads.items():
            heads.update(part for i in range(len(text) - size + 1) if (part := text[i : i + size]) in known)
        return [form for head in heads for form in self._forms[head] if form in text]

    def _own(self, name: str, value: t.Any) -> bool:
        return name in OWN_WORDS and self._words.issuperset(map(str, value if isinstance(value, list) else [value]))

    def _texts(self, value: t.Any) -> t.Iterator[str]:
        if isinstance(value, dict):
            for name, item in value.items():
                if not self._own(name, item):
                    yield from self._texts(item)
        elif isinstance(value, list):
            for item in value:
                yield from self._texts(item)
        elif isinstance(value, str):
            yield value

    def _masked(self, value: t.Any, secrets: list[str], name: str = "") -> t.Any:
        if isinstance(value, dict):
            return {k: v if self._own(k, v) else self._masked(v, secrets, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._masked(item, secrets) for item in value]
        if isinstance(value, str):
            by_chance = name in IDS and re.fullmatch(r"[\w.-]+", value)
            for secret in secrets:
                if not (by_chance and len(secret) < TOO_LONG_FOR_CHANCE):
                    value = value.replace(secret, MASK)
        return value


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as a quoting server or log may write it."""
    data = secret.encode(errors="surrogatepass")
    quoted = {quote(data, safe=""), quote(data), quote_plus(data)}
    quoted |= {re.sub("%..", lambda hit: hit.group().lower(), text) for text in quoted}
    escaped = {json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret)}
    plain = {secret, html.escape(secret), *quoted, *(text[1:-1] for text in escaped)}
    if len(secret) < TOO_LONG_FOR_CHANCE:
        return plain
    encoded = {base64.b64encode(data).decode().rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("=")}
    return plain | encoded
