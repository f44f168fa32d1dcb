#!/usr/bin/python
# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: organization_info
short_description: Read the organizations that the PgBeam API key may see
version_added: 1.0.0
description:
  - Reads the organizations that O(api_key) may see. A key that begins with C(pbo_) sees its own organization, one that
    begins with C(pbu_) all those of its user.
  - The filters that are given all have to agree.
options:
  id:
    description:
      - Only the organization with this id.
    type: str
  name:
    description:
      - Only organizations of this name.
    type: str
  slug:
    description:
      - Only the organization with this slug, the short form of its name.
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
  - module: pgbeam.cloud.project_info
author:
  - The pgbeam.cloud contributors (@pgbeam)
"""

EXAMPLES = r"""
- name: Read all organizations that the key may see
  pgbeam.cloud.organization_info: {}

- name: Find one of them
  pgbeam.cloud.organization_info:
    slug: acme
  register: found

- name: Read its projects
  pgbeam.cloud.project_info:
    org_id: "{{ found.organizations[0].id }}"
"""

RETURN = r"""
organizations:
  description: The organizations, whole; empty where none agrees with the filters.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: The organization's id.
      type: str
      returned: always
      sample: org_01h455vb4pex5vsknk084sn02q
    name:
      description: The organization's name.
      type: str
      returned: always
      sample: Acme Corp
    slug:
      description: The short form of its name, as in addresses.
      type: str
      returned: always
      sample: acme
    role:
      description: The role of the key's user in the organization; null for a key that begins with C(pbo_).
      type: str
      returned: always
      sample: owner
error:
  description: The failed call in parts, to be tested by a playbook.
  type: dict
  returned: when a call failed
  contains:
    status:
      description: The HTTP status; null where there was no answer.
      type: int
      returned: always
      sample: 401
    code:
      description: The API's error code.
      type: str
      returned: always
      sample: UNAUTHORIZED
    message:
      description: The server's own words, or what happened where it gave none.
      type: str
      returned: always
      sample: The API key is not valid.
    method:
      description: The HTTP method of the call.
      type: str
      returned: always
      sample: GET
    path:
      description: The path of the call.
      type: str
      returned: always
      sample: /v1/organizations
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

from ansible_collections.pgbeam.cloud.plugins.module_utils._resources.organization import ORGANIZATION
from ansible_collections.pgbeam.cloud.plugins.module_utils._run import run_info


def main() -> None:
    run_info(ORGANIZATION)


if __name__ == "__main__":
    main()
