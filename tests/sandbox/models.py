# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings and faults of the sandbox: the bodies of its control API, which is not part of PgBeam's API."""

from __future__ import annotations

from typing import Any, Literal

from pgbeam.models import DatabaseRole, PoolMode, SSLMode
from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class InitialCache(Strict):
    enabled: bool = False
    ttl_seconds: int = 60
    max_entries: int = 10000
    swr_seconds: int = 30


class InitialPool(Strict):
    pool_size: int = 10
    min_pool_size: int = 1
    pool_mode: PoolMode = "transaction"
    max_active: int = 200


class Initial(Strict):
    """The defaults of a new database.

    They are those of the vendor's guide, if it has one. The contract documents others for some (``enabled: true``), so
    that a client that sends the documented defaults is seen to change something.
    """

    ssl_mode: SSLMode = "verify-full"
    role: DatabaseRole = "primary"
    pool_region: str = ""
    query_timeout_ms: int = 0
    auto_read_routing: bool = False
    cache_config: InitialCache = InitialCache()
    pool_config: InitialPool = InitialPool()
    #: The default of a replica, which the guide does not document.
    replica_ssl_mode: SSLMode = "prefer"


class Settings(Strict):
    """How an organization or a project behaves: set through the control API.

    A project that is created through the API inherits those of its organization.
    """

    #: The defaults of new databases and replicas. Only differences need to be set.
    initial: Initial = Initial()
    #: Fields that answers always omit, such as ``["cache_config", "pool_config"]``. The contract requires these, so the
    #: judge skips the answers.
    left_out: list[str] = []
    #: The format of ``ETag``, with ``{tag}`` for the tag: ``W/"{tag}"`` is weak, and ``{tag}`` alone is malformed. Only
    #: the strong form matches ``If-Match``, as in HTTP. Empty: a server without tags, which also ignores ``If-Match``.
    etag: str = '"{tag}"'
    #: Also honor an ``Idempotency-Key`` on PATCH and on the connection test, where the contract does not declare it.
    #: The vendor's guide documents that its server does; the contract promises it for creates only.
    undeclared_keys: bool = False

    #: The answer of the connection test, which then does not connect, for hosts that do not exist.
    connection_test: dict[str, Any] | None = None
    #: The answer of the test of a webhook; no event is sent.
    delivery: dict[str, Any] = {"status": "delivered", "status_code": 200}
    #: The number of verifications until a domain is verified; None: never.
    verified_after: int | None = 1
    #: The maximum number of databases and of agents in a project.
    plan_limit: int | None = None
    #: The maximum number of items on a page, whatever page_size is.
    page_limit: int = 100
    #: Return an empty page with a token before each page with items.
    empty_pages: bool = False
    envelope: Literal["error", "problem"] = "error"
    #: Omit optional fields with zero values from answers, as many servers do.
    omit_zero: bool = False
    #: The delay of each request; other requests are not delayed by it.
    latency_ms: int = 0
    #: Further requests in the same second of the clock are answered with 429.
    requests_per_second: int | None = None
    #: Add unknown fields to every object of every answer, including errors.
    extra_fields: bool = False


class Recorded(Strict):
    """A statement that an agent sent at this time, by default now."""

    sql: str
    agent_id: str
    at: str | None = None


#: Faults that replace the operation, which does not run.
INSTEAD = ("status", "html", "redirect", "drop_before", "reset_before", "failed_test")
#: Faults that delay the operation, or delay, lose or corrupt its answer.
AROUND = (
    "slow", "stall", "late_status", "late_html", "drop_after", "reset_after", "truncate", "empty", "not_object",
    "same_token",
)  # fmt: skip


#: Faults in addition to any other: another client's write just before the request, or headers in its answer.
EXTRA = ("other_writer", "headers")


class Fault(Strict):
    """A fault of matching requests; set through the control API or the start option.

    The first ``skip`` matching requests are served as usual. Then ``times`` of them are hit, each with ``probability``
    from a random number generator with ``seed``. Each request has at most one fault, and one of each kind in ``EXTRA``.

    ``other_writer`` is for requests to one object: a project, a database, a policy and so on. Before such a request is
    carried out, ``change`` is applied to that object like another client's update, so that a request with ``If-Match``
    gets 412 and one without overwrites it. Without ``method``, it is for PATCH, PUT and DELETE. A change with fields
    that the object lacks does not match.
    """

    kind: Literal[INSTEAD + AROUND + EXTRA]  # type: ignore[valid-type]
    method: str | None = None
    #: The end of the path; empty matches all.
    path_ends: str = ""
    #: A text in the body of the request; empty matches all.
    body_has: str = ""
    skip: int = 0
    times: int = 1
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    code: str = "SERVICE_UNAVAILABLE"
    #: In the message of a status, an HTML page or a failed test, and in a redirect's location: ``{key}`` and
    #: ``{password}`` are replaced by those of the request, or by the password of its database; ``{password:json}``,
    #: ``{password:percent}`` and so on by their encoded forms.
    message: str = "The sandbox was told to fail."
    #: The Retry-After header of a status; ``date+5`` is the HTTP date in five seconds, ``date-60`` of a minute ago.
    retry_after: str | None = None
    #: The change of another client: it merges nested objects, appends to lists, and replaces other values.
    change: dict[str, Any] = {}
    #: Headers to add to answers, such as ``Deprecation``, ``Sunset`` and ``Link``.
    headers: dict[str, str] = {}
    #: The target of a redirect.
    location: str = "https://elsewhere.example.com/v1"
    #: The delay of a slow request before the operation, or of a stalled answer after it.
    seconds: float = 0
