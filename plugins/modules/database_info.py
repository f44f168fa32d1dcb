#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_info
short_description: Read the databases registered with PgBeam
version_added: 1.0.0
description:
  - Reads the upstream PostgreSQL databases that are registered with a PgBeam project.
  - All pages of the list are read. The filters that are given all have to agree.
options:
  project_id:
    description:
      - The id of the project that the databases are registered with.
    type: str
    required: true
  id:
    description:
      - Only the registration with this id.
    type: str
  host:
    description:
      - Only registrations of this host.
      - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
        internationalized name by its IDNA form.
    type: str
  port:
    description:
      - Only registrations of this port, 1 to 65535.
    type: int
  name:
    description:
      - Only registrations of databases of this name.
    type: str
  role:
    description:
      - Only registrations of this role.
    type: str
    choices: [primary, replica]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    support: full
extends_documentation_fragment:
  - pgbeam.cloud._connection
  - pgbeam.cloud._attributes
seealso:
  - module: pgbeam.cloud.database
  - module: pgbeam.cloud.databases
  - module: pgbeam.cloud.project_info
  - module: pgbeam.cloud.replica_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Read all databases of a project
  pgbeam.cloud.database_info:
    project_id: prj_01h455vb4pex5vsknk084sn02q
  register: registered

- name: Show how to connect to each
  ansible.builtin.debug:
    msg: "{{ registered.databases | map(attribute='connection_string') }}"

- name: Read the replicas of one server
  pgbeam.cloud.database_info:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db2.example.com
    role: replica

- name: Read one registration by its id
  pgbeam.cloud.database_info:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    id: db_01h455vb4pex5vsknk084sn02q
"""

RETURN = r"""
databases:
  description: The registrations, whole; empty where none agrees with the filters.
  type: list
  elements: dict
  returned: success
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
      description: The API's error code.
      type: str
      returned: always
      sample: FORBIDDEN
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: This key is not one of the organization.
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: GET
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
      description: How many times the call was tried.
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
      description: Always V(false), because reading changes nothing. The modules that write set it.
      type: bool
      returned: always
      sample: false
"""

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.database import DATABASE
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_info


def main() -> None:
    run_info(DATABASE)


if __name__ == "__main__":
    main()
