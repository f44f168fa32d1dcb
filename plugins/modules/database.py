#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database
short_description: Register a PostgreSQL database with PgBeam
version_added: 1.0.0
description:
  - Registers one upstream PostgreSQL database with a PgBeam project, changes its registration, or deletes it.
  - What the task does not name is neither compared nor changed.
  - For many databases use M(pgbeam.cloud.databases), which lists the project once and writes in parallel.
options:
  project_id:
    description:
      - The id of the project that the databases are registered with.
      - In check mode it may be empty or null, for a project that is not there yet. Without check mode that fails.
    type: str
    required: true
  state:
    description:
      - V(present) registers the database, or makes an existing registration as the task says.
      - V(absent) deletes the registration. The PostgreSQL database itself is not touched.
    type: str
    choices: [present, absent]
    default: present
  id:
    description:
      - The registration's id. With it, O(host), O(port), O(name) and
        O(username) can be changed in place, but not to those of another registration.
      - Without it, the registration is found by O(host), O(port) and O(name).
        Where several are found, O(username) chooses between them; several that are left fail the task.
    type: str
  host:
    description:
      - The host name or address of the PostgreSQL server, as PgBeam reaches it.
      - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
        internationalized name by its IDNA form.
      - Needed unless O(id) is given.
    type: str
  port:
    description:
      - The port of the PostgreSQL server, 1 to 65535.
      - Without it, V(5432) is used to find and to register a database.
    type: int
  name:
    description:
      - The name of the PostgreSQL database.
      - Needed unless O(id) is given.
    type: str
  username:
    description:
      - The PostgreSQL role that PgBeam connects as. Needed to register a database.
      - Where exactly one registration of the database is found, and it has another username, that is changed;
        with O(state=absent) it is left alone.
      - A changed username does not send its password. Set O(update_password=always) in that run.
    type: str
  password:
    description:
      - The password of O(username), a string. Needed to register a database.
      - It cannot be read back, so it is never compared. O(update_password) says when it is sent again.
    type: raw
  ssl_mode:
    description:
      - How PgBeam uses TLS to connect to the PostgreSQL server.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  role:
    description:
      - Whether the server takes writes (V(primary)) or reads only (V(replica)).
    type: str
    choices: [primary, replica]
  pool_region:
    description:
      - The region that holds the connection pool, near the database. Empty means a direct connection.
    type: str
  query_timeout_ms:
    description:
      - The C(statement_timeout) of upstream connections in milliseconds, 0 to 300000. V(0) means none.
    type: int
  auto_read_routing:
    description:
      - Whether queries that only read go to read replicas without being marked to.
    type: bool
  cache_config:
    description:
      - The query cache. Keys that you omit are neither compared nor changed.
      - When a database is registered, PgBeam sets the others.
    type: dict
    suboptions:
      enabled:
        description:
          - Whether query results are cached.
        type: bool
      ttl_seconds:
        description:
          - How long a result stays fresh in seconds, 0 to 86400.
        type: int
      max_entries:
        description:
          - How many results are kept, 0 to 1000000.
        type: int
      swr_seconds:
        description:
          - How long a stale result may be served while it is fetched anew, in seconds, 0 to 86400.
        type: int
  pool_config:
    description:
      - The connection pool. Keys that you omit are neither compared nor changed.
      - When a database is registered, PgBeam sets the others.
    type: dict
    suboptions:
      pool_size:
        description:
          - How many connections the pool holds at most, 1 to 10000.
        type: int
      min_pool_size:
        description:
          - How many idle connections the pool keeps, 1 to 10000.
        type: int
      pool_mode:
        description:
          - When a connection goes back to the pool.
        type: str
        choices: [session, transaction, statement]
      max_active:
        description:
          - How many upstream connections a pool opens at most, 1 to 10000.
        type: int
  update_password:
    description:
      - V(on_create) sends the password when a database is registered, and never again.
      - V(always) sends it on every run. Such a run is always reported as changed.
    type: str
    choices: [on_create, always]
    default: on_create
  test_connection:
    description:
      - Whether PgBeam is asked to connect to the database after it is as it should be. The task fails where it cannot.
      - Not done in check mode, nor for an absent registration.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(update_password=always) every run sends the password and is reported as changed.
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.databases
  - module: pgbeam.cloud.database_info
  - module: pgbeam.cloud.project
  - module: pgbeam.cloud.replica
  - module: pgbeam.cloud.region_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Register a database
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
    username: app
    password: "{{ vault_orders_password }}"
    ssl_mode: verify-full

- name: Tune its cache and its pool; what is not named stays as it is
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
    cache_config:
      ttl_seconds: 300
    pool_config:
      pool_mode: transaction

# A loop shows its items in the output, so it goes over names, never over dictionaries that hold a secret.
- name: Register several databases of one server
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: "{{ item }}"
    username: "{{ item }}_app"
    password: "{{ vault_passwords[item] }}"
  loop:
    - orders
    - invoices

- name: Send a new password, and let PgBeam try it
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
    password: "{{ vault_orders_password }}"
    update_password: always
    test_connection: true

- name: Move a registration to another server
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    id: db_01h455vb4pex5vsknk084sn02q
    host: db2.example.com

- name: Delete a registration
  pgbeam.cloud.database:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
    state: absent
"""

RETURN = r"""
database:
  description:
    - The registration as it is after the task; empty where it is absent.
    - In check mode what only the server knows is null.
  type: dict
  returned: once it was clear what had to be done
  contains:
    id:
      description: The registration's id.
      type: str
      returned: always
      sample: db_01h455vb4pex5vsknk084sn02q
    project_id:
      description: The id of its project.
      type: str
      returned: always
      sample: prj_01h455vb4pex5vsknk084sn02q
    connection_string:
      description:
        - How clients connect through PgBeam. C(YOUR_PASSWORD) stands in the place of the password.
        - The filter P(pgbeam.cloud.connection_string#filter) puts the password in.
      type: str
      returned: always
      sample: postgresql://app:YOUR_PASSWORD@myproject.proxy.pgbeam.app:5432/orders
    host:
      description: The host of the PostgreSQL server.
      type: str
      returned: always
      sample: db1.example.com
    port:
      description: The port of the PostgreSQL server.
      type: int
      returned: always
      sample: 5432
    name:
      description: The name of the PostgreSQL database.
      type: str
      returned: always
      sample: orders
    username:
      description: The PostgreSQL role that PgBeam connects as.
      type: str
      returned: always
      sample: app
    ssl_mode:
      description: How PgBeam uses TLS to connect to the server.
      type: str
      returned: always
      sample: require
    role:
      description: Whether the server takes writes or reads only.
      type: str
      returned: always
      sample: primary
    pool_region:
      description: The region that holds the connection pool; empty for a direct connection.
      type: str
      returned: always
      sample: us-east-1
    query_timeout_ms:
      description: The C(statement_timeout) of upstream connections in milliseconds; 0 for none.
      type: int
      returned: always
      sample: 0
    auto_read_routing:
      description: Whether queries that only read go to read replicas.
      type: bool
      returned: always
      sample: false
    cache_config:
      description: The query cache.
      type: dict
      returned: always
      contains:
        enabled:
          description: Whether query results are cached.
          type: bool
          returned: always
          sample: true
        ttl_seconds:
          description: How long a result stays fresh, in seconds.
          type: int
          returned: always
          sample: 60
        max_entries:
          description: How many results are kept.
          type: int
          returned: always
          sample: 10000
        swr_seconds:
          description: How long a stale result may be served while it is fetched anew, in seconds.
          type: int
          returned: always
          sample: 30
    pool_config:
      description: The connection pool.
      type: dict
      returned: always
      contains:
        pool_size:
          description: How many connections the pool holds at most.
          type: int
          returned: always
          sample: 10
        min_pool_size:
          description: How many idle connections the pool keeps.
          type: int
          returned: always
          sample: 1
        pool_mode:
          description: When a connection goes back to the pool.
          type: str
          returned: always
          sample: transaction
        max_active:
          description: How many upstream connections a pool opens at most.
          type: int
          returned: always
          sample: 200
    created_at:
      description: When the database was registered.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the registration was last changed.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
action:
  description:
    - What was done, or in check mode would be done; V(created), V(updated), V(deleted) or V(unchanged).
    - V(failed) where nothing was, or where nothing shows that it was.
  type: str
  returned: once it was clear what had to be done
  sample: updated
changes:
  description: The names of the fields that moved; those of an object's members have a dot in them.
  type: list
  elements: str
  returned: once it was clear what had to be done
  sample: [ssl_mode, cache_config.ttl_seconds]
connection_test:
  description: What PgBeam's attempt to connect to the database gave; null in check mode and where none was made.
  type: dict
  returned: with O(test_connection=true)
  contains:
    ok:
      description: Whether PgBeam could connect.
      type: bool
      returned: always
      sample: true
    latency_ms:
      description: How long connecting took, in milliseconds.
      type: float
      returned: when the connection was made
      sample: 12.4
    server_version:
      description: The version of the PostgreSQL server.
      type: str
      returned: when the server tells it
      sample: "17.2"
    error:
      description: Why PgBeam could not connect.
      type: str
      returned: when it could not
      sample: password authentication failed for user "app"
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when a call failed
  contains:
    status:
      description: The HTTP status; null where there was no answer.
      type: int
      returned: always
      sample: 403
    code:
      description: The API's error code; C(CONNECTION_TEST_FAILED) where PgBeam cannot connect to the database.
      type: str
      returned: always
      sample: PLAN_LIMIT_REACHED
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: The plan allows 10 databases.
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: POST
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/projects/prj_01h455vb4pex5vsknk084sn02q/databases
    request_id:
      description: The id of the request, to be quoted to PgBeam's support.
      type: str
      returned: always
      sample: req_01h455vb4pex5vsknk084sn02q
    attempts:
      description: How many times the call was tried; 0 for one that was not begun.
      type: int
      returned: always
      sample: 1
    fields:
      description: The fields that the server refused, each with C(field) and C(detail).
      type: list
      elements: dict
      returned: always
      sample: []
    maybe_done:
      description: Whether a write may have been made although it failed. A second run tells.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_item


def main() -> None:
    run_item(DATABASE)


if __name__ == "__main__":
    main()
