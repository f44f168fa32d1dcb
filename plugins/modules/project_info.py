#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: project_info
short_description: Read the projects of a PgBeam organization
version_added: 1.0.0
description:
  - Reads the projects of a PgBeam organization, or one project by its id.
  - All pages of the list are read. Projects that PgBeam shows with the status C(deleted) are left out.
options:
  org_id:
    description:
      - The id of the organization that owns the projects. M(pgbeam.cloud.organization_info) tells it.
      - Needed unless O(id) is given. With O(id), it is not compared.
    type: str
  id:
    description:
      - Only the project with this id. It is read by itself, without a list.
    type: str
  name:
    description:
      - Only projects of this name. PgBeam allows several of one name; a warning tells where there are.
    type: str
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
  - module: pgbeam.cloud.project
  - module: pgbeam.cloud.organization_info
  - module: pgbeam.cloud.database_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Read all projects of an organization
  pgbeam.cloud.project_info:
    org_id: org_01h455vb4pex5vsknk084sn02q
  register: found

- name: Show the projects that let every address in
  ansible.builtin.debug:
    msg: "{{ found.projects | rejectattr('allowed_cidrs') | map(attribute='name') }}"

- name: Read the project of a name
  pgbeam.cloud.project_info:
    org_id: org_01h455vb4pex5vsknk084sn02q
    name: shop

- name: Read one project by its id
  pgbeam.cloud.project_info:
    id: prj_01h455vb4pex5vsknk084sn02q
"""

RETURN = r"""
projects:
  description: The projects, whole; empty where none agrees with the filters.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: The project's id.
      type: str
      returned: always
      sample: prj_01h455vb4pex5vsknk084sn02q
    org_id:
      description: The id of the organization that owns the project.
      type: str
      returned: always
      sample: org_01h455vb4pex5vsknk084sn02q
    name:
      description: The project's name.
      type: str
      returned: always
      sample: shop
    description:
      description: What the project is for.
      type: str
      returned: always
      sample: Databases of the web shop
    tags:
      description: The project's tags.
      type: list
      elements: str
      returned: always
      sample: [production, shop]
    cloud:
      description: The cloud that the project runs in.
      type: str
      returned: always
      sample: aws
    self_hosted:
      description: Whether the project's proxies run in a network of your own.
      type: bool
      returned: always
      sample: false
    allowed_cidrs:
      description: The addresses that clients may connect from; empty for all.
      type: list
      elements: dict
      returned: always
      contains:
        cidr:
          description: The network, as the server writes it.
          type: str
          returned: always
          sample: 10.0.0.0/8
        label:
          description: What the entry is called.
          type: str
          returned: always
          sample: VPC
    agents_disabled:
      description: Whether connections with agent credentials are refused.
      type: bool
      returned: always
      sample: false
    default_policy_profile_id:
      description: The id of the policy profile that the other connections are held to; empty or null for none.
      type: str
      returned: always
      sample: pol_01h455vb4pex5vsknk084sn02q
    residency:
      description: Where connections may be served.
      type: str
      returned: always
      sample: any
    status:
      description: The project's state.
      type: str
      returned: always
      sample: active
    proxy_host:
      description: The host name that clients connect to.
      type: str
      returned: always
      sample: myproject.proxy.pgbeam.app
    queries_per_second:
      description: How many queries a second the project may make; 0 for no limit.
      type: int
      returned: always
      sample: 1000
    burst_size:
      description: How many queries more a short burst may make; 0 for as many as RV(projects[].queries_per_second).
      type: int
      returned: always
      sample: 200
    max_connections:
      description: How many clients may be connected at once; 0 for no limit.
      type: int
      returned: always
      sample: 500
    database_count:
      description: How many databases are registered in the project.
      type: int
      returned: always
      sample: 3
    active_connections:
      description: How many clients were connected when PgBeam last counted.
      type: int
      returned: always
      sample: 12
    created_at:
      description: When the project was made.
      type: str
      returned: always
      sample: "2026-11-01T08:00:00Z"
    updated_at:
      description: When the project was last changed.
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
      sample: /v1/projects
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

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.project import PROJECT
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_info


def main() -> None:
    run_info(PROJECT)


if __name__ == "__main__":
    main()
