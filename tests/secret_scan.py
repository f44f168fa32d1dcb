# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan everything that a run leaves behind for secrets: whole, in part, and in every encoding in use."""

from __future__ import annotations

import base64
import html
import itertools
import json
import random
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import quoteattr

import yaml

#: Letters that are hardly ever adjacent: any eight of them in a row are part of a secret.
ALPHABET = "QXZJqxzj"
PART = 8
#: Shorter secrets are found everywhere by chance.
MIN_LENGTH = 6


def make_secret(length: int, seed: int) -> str:
    """Return a secret of the distinctive alphabet, the same for the same seed."""
    return "".join(random.Random(seed).choices(ALPHABET, k=length))


def forms(secret: str) -> dict[str, set[str]]:
    """Return the forms of a secret in a log, a result or a file, by the name of the encoding."""
    data = secret.encode(errors="surrogatepass")
    percent = {quote(data, safe=""), quote(data), quote_plus(data)}
    escaped = {json.dumps(secret), json.dumps(secret, ensure_ascii=False)}
    in_json = {form[1:-1] for form in escaped}
    return {
        "plain": {secret},
        "one line": {" ".join(secret.split())},
        "a line of it": {line for line in secret.splitlines() if len(line) >= MIN_LENGTH},
        "percent-encoded": {*percent, *(re.sub("%..", lambda hit: hit.group().lower(), form) for form in percent)},
        "base64": {text for form in {secret, *in_json} for text in _base64(form.encode(errors="surrogatepass"))},
        "JSON": in_json,
        "JSON in JSON": {json.dumps(form, ensure_ascii=plain)[1:-1] for form in in_json for plain in (True, False)},
        "repr": {repr(secret)[1:-1], ascii(secret)[1:-1], repr(data)[2:-1]},
        "YAML": set(_yaml(secret)),
        "shell": {shlex.quote(secret), shlex.quote(secret)[1:-1]},
        "markup": {html.escape(secret), html.escape(secret, quote=False), quoteattr(secret)[1:-1]},
    }


def _base64(data: bytes) -> Iterator[str]:
    """Yield the base64 forms of data inside other data: one for each position in a group of three."""
    for before, encode in itertools.product(range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        text = encode(b"\0" * before + data).decode().rstrip("=")
        # The characters at both ends depend on the adjacent data.
        text = text[[0, 2, 3][before] :]
        yield text if (before + len(data)) % 3 == 0 else text[:-1]


def _yaml(secret: str) -> Iterator[str]:
    for style, plain in itertools.product((None, "'", '"'), (True, False)):
        text = yaml.safe_dump({"k": secret}, default_style=style, allow_unicode=plain, width=float("inf"))
        yield re.sub(r"^\S+ (['\"]?)(.*)\1\n(?:\.\.\.\n)?$", r"\2", text, flags=re.DOTALL)


class SecretScan:
    """Finds these secrets in bytes and files."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: list[tuple[bytes, str]] = []
        slices: set[str] = set()
        for number, secret in enumerate(secrets):
            assert len(secret) >= MIN_LENGTH, "the secret is so short that it occurs everywhere by chance"
            for name, texts in forms(secret).items():
                shown = {text.encode(errors="surrogatepass") for text in texts if len(text) >= MIN_LENGTH}
                self._forms += [(text, f"secret {number}, {name}") for text in shown]
            if len(secret) >= 2 * PART:
                slices |= {secret[i : i + PART] for i in range(len(secret) - PART + 1)}
        self._slices = {part.encode() for part in slices if set(part) <= set(ALPHABET)}

    def found(self, data: bytes) -> list[str]:
        """Return the secrets in the data, each by its number and encoding, never the secret itself."""
        hits = [name for form, name in self._forms if form in data]
        for run in re.finditer(f"[{ALPHABET}]{{{PART},}}".encode(), data):
            text = run.group()
            if any(text[i : i + PART] in self._slices for i in range(len(text) - PART + 1)):
                around = re.sub(f"[{ALPHABET}]{{2,}}".encode(), b"[?]", data[max(0, run.start() - 80) : run.end() + 20])
                hits.append(f"a part, at {around!r}")
        return hits

    def found_below(self, folder: Path, exempt: Iterable[Path] = ()) -> list[str]:
        """Return the secrets in the files below a directory and in their names."""
        hits = []
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path not in exempt:
                hits += [f"{path.relative_to(folder)}: {hit}" for hit in self.found(path.read_bytes())]
            hits += [f"a file's name: {hit}" for hit in self.found(str(path.relative_to(folder)).encode())]
        return hits
