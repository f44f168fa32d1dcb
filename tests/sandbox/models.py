# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the sandbox behaves: what its own door takes, which is not part of the API."""

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
    """What a database begins with where its POST leaves it out.

    The defaults here are those of the vendor's guide, where it has one. The contract documents others for some
    (``enabled: true``), so a client that fills in what the contract documents is seen to change something.
    """

    ssl_mode: SSLMode = "verify-full"
    role: DatabaseRole = "primary"
    pool_region: str = ""
    query_timeout_ms: int = 0
    auto_read_routing: bool = False
    cache_config: InitialCache = InitialCache()
    pool_config: InitialPool = InitialPool()
    #: What a replica begins with; the guide does not tell.
    replica_ssl_mode: SSLMode = "prefer"


class Settings(Strict):
    """How an organization or a project behaves: set through the sandbox's own door, not part of the API.

    A project that is made through the API begins with its organization's.
    """

    #: What new databases and replicas begin with. Objects need to name only what differs from the defaults.
    initial: Initial = Initial()
    #: Fields that answers leave out altogether, whatever their value: ``["cache_config", "pool_config"]``, say. The
    #: contract requires these, so the judge passes over the answers.
    left_out: list[str] = []
    #: How the tag of a representation is written in ``ETag``, with ``{tag}`` for the tag: ``W/"{tag}"`` is weak, and
    #: ``{tag}`` alone is malformed. Only the strong form matches ``If-Match``, as HTTP has it. Empty is a server
    #: without tags, which does not look at ``If-Match`` either.
    etag: str = '"{tag}"'
    #: Honour an ``Idempotency-Key`` where the contract declares none, too: on PATCH and on the connection test. The
    #: vendor's guide says that its server does; the contract promises it for what creates something only.
    undeclared_keys: bool = False

    #: What the connection test answers in the place of connecting, for hosts that do not exist.
    connection_test: dict[str, Any] | None = None
    #: What the test of a webhook answers; no event is really sent.
    delivery: dict[str, Any] = {"status": "delivered", "status_code": 200}
    #: How many times PgBeam has to be asked until a domain is verified; None is never.
    verified_after: int | None = 1
    #: The most databases that a project may have, and the most agents.
    plan_limit: int | None = None
    #: The most items on a page, whatever page_size asks for.
    page_limit: int = 100
    #: Put a page without items, but with a token, before each that has some.
    empty_pages: bool = False
    envelope: Literal["error", "problem"] = "error"
    #: Leave optional fields out of answers where they have their zero value, as many servers do.
    omit_zero: bool = False
    #: How long each request waits before it is carried out; the others go on meanwhile.
    latency_ms: int = 0
    #: More requests than this in one second of the clock are answered with 429 until the next second.
    requests_per_second: int | None = None
    #: Put fields that no contract knows into every object of every answer, the errors among them.
    extra_fields: bool = False


class Recorded(Strict):
    """A statement that an agent has sent, for a test to record; at a moment of RFC 3339, by default now."""

    sql: str
    agent_id: str
    at: str | None = None


#: In the place of the operation, which does not run.
INSTEAD = ("status", "html", "redirect", "drop_before", "reset_before", "failed_test")
#: The operation runs, late; or its answer is delayed, lost or spoilt.
AROUND = (
    "slow", "stall", "late_status", "late_html", "drop_after", "reset_after", "truncate", "empty", "not_object",
    "same_token",
)  # fmt: skip


#: Comes on top of whatever else hits the request: another client's write just before it, or headers in its answer.
BESIDE = ("other_writer", "headers")


class Fault(Strict):
    """What goes wrong with matching requests; set through the sandbox's own door or its start option.

    ``skip`` matching requests pass first, then ``times`` of them are hit, each with ``probability`` by a random number
    generator that ``seed`` starts. Each request meets one fault at most, and one of each kind in ``BESIDE``.

    ``other_writer`` is for requests to one object: a project, a database, a policy and so on. Before such a request is
    carried out, ``change`` is made to that object, as another client's update would make it; so a request with
    ``If-Match`` meets 412, and one without overwrites. Without ``method`` it is for PATCH, PUT and DELETE. A change
    that the object has no fields for does not match.
    """

    kind: Literal[INSTEAD + AROUND + BESIDE]  # type: ignore[valid-type]
    method: str | None = None
    #: The end of the path it is for; empty matches all.
    path_ends: str = ""
    #: A text in the request's body it is for; empty matches all.
    body_has: str = ""
    skip: int = 0
    times: int = 1
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    code: str = "SERVICE_UNAVAILABLE"
    #: In the message of a status, an HTML page or a failed test, and in a redirect's location: ``{key}`` and
    #: ``{password}`` stand for what the request carried, or for the password of the database that it is about, as do
    #: ``{password:json}``, ``{password:percent}`` and so on for their encoded forms.
    message: str = "The sandbox was told to fail."
    #: The Retry-After header of a status; ``date+5`` stands for the HTTP date in five seconds, ``date-60`` for the one
    #: a minute ago.
    retry_after: str | None = None
    #: What another writer changes: the members of objects that are named, new entries of lists, and all of the rest.
    change: dict[str, Any] = {}
    #: The headers that answers get: ``Deprecation``, ``Sunset`` and ``Link``, say.
    headers: dict[str, str] = {}
    #: Where a redirect leads.
    location: str = "https://elsewhere.example.com/v1"
    #: How long a slow request waits before it is looked at, or a stalled answer before it goes out.
    seconds: float = 0
