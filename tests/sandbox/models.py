# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies of requests, as strict as the contract: unknown fields, nulls, other types and ranges are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Host = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\s\x00]+$")]
Text = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]+$")]
AnyText = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
Connections = Annotated[int, Field(ge=1, le=10000)]
Milliseconds = Annotated[int, Field(ge=0, le=300000)]
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Role = Literal["primary", "replica"]


#: Stands for a field that is not given. A null that is given is refused, since no type here allows it.
UNSET: Any = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CacheConfig(Strict):
    enabled: bool
    ttl_seconds: Seconds
    max_entries: Annotated[int, Field(ge=0, le=1000000)]
    swr_seconds: Seconds


class PoolConfig(Strict):
    pool_size: Connections
    min_pool_size: Connections
    pool_mode: Literal["session", "transaction", "statement"]
    max_active: Connections = 200


class CreateDatabase(Strict):
    host: Host
    port: Port
    name: Text
    username: Text
    password: Text
    ssl_mode: SslMode = "prefer"
    role: Role = "primary"
    pool_region: AnyText = ""
    query_timeout_ms: Milliseconds = 0
    auto_read_routing: bool = False
    cache_config: CacheConfig = CacheConfig(enabled=True, ttl_seconds=60, max_entries=10000, swr_seconds=30)
    pool_config: PoolConfig = PoolConfig(pool_size=10, min_pool_size=1, pool_mode="session")


class UpdateDatabase(Strict):
    host: Text = UNSET
    port: Port = UNSET
    name: AnyText = UNSET
    username: AnyText = UNSET
    password: AnyText = UNSET
    ssl_mode: SslMode = UNSET
    role: Role = UNSET
    pool_region: AnyText = UNSET
    query_timeout_ms: Milliseconds = UNSET
    auto_read_routing: bool = UNSET
    cache_config: CacheConfig = UNSET
    pool_config: PoolConfig = UNSET


class ProjectSettings(Strict):
    """How a project behaves: set through the sandbox's own door, not part of the API."""

    #: What the connection test answers in the place of connecting, for hosts that do not exist.
    connection_test: dict[str, Any] | None = None
    plan_limit: int | None = None
    #: The most items on a page, whatever page_size asks for.
    page_limit: int = 100
    envelope: Literal["error", "problem"] = "error"
    #: Leave optional fields out of answers where they have their zero value, as many servers do.
    omit_zero: bool = False


class Fault(Strict):
    """What goes wrong with the next matching requests; set through the sandbox's own door."""

    kind: Literal["status", "html", "drop_before", "drop_after", "slow", "truncate", "redirect"]
    method: str | None = None
    #: The end of the path it is for; empty matches all.
    path_ends: str = ""
    #: A text in the request's body it is for; empty matches all.
    body_has: str = ""
    times: int = 1
    status: int = 503
    code: str = "SERVICE_UNAVAILABLE"
    message: str = "The sandbox was told to fail."
    retry_after: str | None = None
    seconds: float = 0
