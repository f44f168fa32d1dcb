#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replica_info
short_description: Read the read replicas of a database that is registered with PgBeam
version_added: 1.0.0
description:
  - Reads the read replicas of a database that is registered with PgBeam.
  - All pages of the list are read, with O(id), too, as no replica can be read by itself.
  - The filters that are given all have to agree.
options:
  database_id:
    description:
      - The id of the registered database that the replicas belong to, as M(pgbeam.cloud.database) returns it.
    type: str
    required: true
  id:
    description:
      - Only the replica with this id.
    type: str
  host:
    description:
      - Only replicas of this host.
      - Compared as a host, without case and without a trailing dot. An IP address is compared by its value and an
        internationalized name by its IDNA form.
    type: str
  port:
    description:
      - Only replicas of this port, 1 to 65535.
    type: int
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
  - module: pgbeam.cloud.replica
  - module: pgbeam.cloud.replicas
  - module: pgbeam.cloud.database_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Find a database
  pgbeam.cloud.database_info:
    project_id: prj_01h455vb4pex5vsknk084sn02q
    host: db1.example.com
    name: orders
  register: found

- name: Read its replicas
  pgbeam.cloud.replica_info:
    database_id: "{{ found.databases[0].id }}"
  register: read

- name: Show the replicas whose certificate is not verified
  ansible.builtin.debug:
    msg: "{{ read.replicas | rejectattr('ssl_mode', 'eq', 'verify-full') | map(attribute='host') }}"

- name: Read the replicas of one host
  pgbeam.cloud.replica_info:
    database_id: db_01h455vb4pex5vsknk084sn02q
    host: replica1.example.com
"""

RETURN = r"""
replicas:
  description: The replicas, whole; empty where none agrees with the filters.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: The replica's id.
      type: str
      returned: always
      sample: rep_01h455vb4pex5vsknk084sn02q
    database_id:
      description: The id of its database.
      type: str
      returned: always
      sample: db_01h455vb4pex5vsknk084sn02q
    host:
      description: The host of the PostgreSQL server.
      type: str
      returned: always
      sample: replica1.example.com
    port:
      description: The port of the PostgreSQL server.
      type: int
      returned: always
      sample: 5432
    ssl_mode:
      description: How PgBeam uses TLS to connect to the server.
      type: str
      returned: always
      sample: verify-full
    created_at:
      description: When the replica was added.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the replica was last changed.
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
      sample: 404
    code:
      description: The API's error code.
      type: str
      returned: always
      sample: NOT_FOUND
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: database db_01h455vb4pex5vsknk084sn02q not found
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: GET
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/databases/db_01h455vb4pex5vsknk084sn02q/replicas
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

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.replica import REPLICA
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_info


def main() -> None:
    run_info(REPLICA)


if __name__ == "__main__":
    main()
