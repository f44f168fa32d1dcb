# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options and the requirements of every module. Private to this collection."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_key:
    description:
      - The PgBeam API key or token, sent as bearer token. It begins with C(pbu_) (personal) or C(pbo_) (organization).
      - Without it, the first of the environment variables E(PGBEAM_API_KEY), E(PGBEAM_TOKEN) and E(PGBEAM_API_TOKEN)
        that is not empty is used.
      - Take it from a vaulted variable, a lookup or the environment, never as a literal.
    type: str
  api_url:
    description:
      - The address of the PgBeam API.
      - Without it, the environment variable E(PGBEAM_API_URL) is used where it is set.
      - Plain C(http://) is allowed to a loopback address only.
    type: str
    default: https://api.pgbeam.com
  timeout:
    description:
      - How long one attempt may take, from its connection to the end of the answer, in seconds.
      - At least 1 and at most 86400.
    type: int
    default: 30
  retries:
    description:
      - How many times a call is tried again after a network failure or one of the statuses 408, 429, 502, 503 and 504.
      - The waits grow from half a second; a C(Retry-After) of the server replaces them.
      - A repeated write carries the same idempotency key, so it is made once.
      - At most 100.
    type: int
    default: 5
  retry_budget:
    description:
      - How long one call may take with all its attempts and waits, in seconds.
      - Where all calls fail, the time since the first failure counts for each of them, so that a run does not wait anew
        for every object.
      - A run that finds another one of this user on the machine at work on the same objects waits as long for its turn.
      - At least 1 and at most 86400.
    type: int
    default: 120
  validate_certs:
    description:
      - Whether the server's certificate is verified.
    type: bool
    default: true
  ca_path:
    description:
      - A PEM file, or a folder of certificates, to verify the server's certificate with.
      - Without it, the bundle is used that the environment variables E(REQUESTS_CA_BUNDLE) or E(CURL_CA_BUNDLE) name,
        else that of the C(requests) library.
    type: path
notes:
  - A proxy is taken from the environment variables E(HTTPS_PROXY) and E(NO_PROXY).
  - Secrets are masked by their text. A password that is also part of a host name hides that part of the results too.
    Numbers, the collection's own words and names, and ids that hold a password of less than eight characters by chance
    are left as they are. A part of a secret that the server itself has cut off cannot be known for one.
requirements:
  - python >= 3.10
  - requests
"""
