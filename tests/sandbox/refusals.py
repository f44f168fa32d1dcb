# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the API."""

from __future__ import annotations

from fastapi.responses import JSONResponse


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, fields: list[dict[str, str]] | None = None) -> None:
        self.status, self.code, self.message, self.fields = status, code, message, fields or []

    def answer(self, envelope: str = "error") -> JSONResponse:
        """Return the error in one of the two envelopes in use."""
        if envelope == "error":
            return JSONResponse({"error": {"code": self.code, "message": self.message}}, self.status)
        problem = {
            "type": f"https://pgbeam.com/errors/{self.code.lower()}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.message,
            "code": self.code,
            "errors": self.fields,
        }
        return JSONResponse(problem, self.status, media_type="application/problem+json")


def invalid(fields: list[dict[str, str]]) -> Refusal:
    """Return the error for invalid fields or query parameters, each with ``field`` and ``detail``."""
    return Refusal(400, "INVALID_INPUT", "; ".join(f"{one['field']}: {one['detail']}" for one in fields), fields)


def not_found(noun: str, name: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", f"{noun} {name} not found")


def forbidden(org_id: str) -> Refusal:
    """Return the error for an organization that a key cannot see, whether it exists or not."""
    return Refusal(403, "FORBIDDEN", f"This key is not one of organization {org_id}.")
