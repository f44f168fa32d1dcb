# Copyright (c) 2026 The pgbeam.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key reaches the API and no other host, whatever the environment and the network are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificate import self_signed
from tests.harness import API_KEY, Project, Sandbox
from tests.integration.conftest import PASSWORD_LOOKUP, Ansible, Run
from tests.relay import Relay

ENTRY: dict[str, Any] = {"host": "db1.example.com", "name": "orders", "username": "app", "password": PASSWORD_LOOKUP}


def run_module(ansible: Ansible, module: str, options: dict[str, Any], env: dict[str, str]) -> Run:
    """Run one task of a module in this environment; its result has the module's name."""
    task = {"name": module, f"pgbeam.cloud.{module}": {"retries": 0, "timeout": 5, **options}}
    path = ansible.write("play.yml", [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}])
    return ansible.playbook(path, env=env)


def info(ansible: Ansible, project: Project, url: str, env: dict[str, str], **options: Any) -> Run:
    return run_module(ansible, "database_info", {"project_id": project.id, "api_url": url, **options}, env)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls_sandbox(certificate: Path) -> Iterator[Sandbox]:
    with Sandbox.start("prj_tls", certificate=certificate) as running:
        yield running


def test_connections_are_kept_and_netrc_does_not_replace_the_key(ansible: Ansible, project: Project) -> None:
    """A connection for the listing and one for each thread."""
    (ansible.home / ".netrc").write_text("machine 127.0.0.1 login someone password else\ndefault login a password b\n")
    entries = [{**ENTRY, "name": f"db{n}"} for n in range(20)]
    with Relay.start(to=int(project.url.rpartition(":")[2])) as relay:
        url = f"http://127.0.0.1:{relay.port}"
        result = ansible.databases(project, entries, parallel=4, api_url=url).result("databases")
    assert result["msg"] == "20 created"
    assert relay.connections <= 5
    assert relay.seen.count(f"Bearer {API_KEY}".encode()) == 21


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_plain_http_to_this_machine_goes_through_no_proxy(ansible: Ansible, project: Project, name: str) -> None:
    with Relay.start() as proxy:
        run = info(ansible, project, project.url, {name: f"http://127.0.0.1:{proxy.port}"})
    assert run.status == 0, run.output
    assert proxy.connections == 0


def test_a_proxy_of_the_environment_sees_no_key(ansible: Ansible, tls_sandbox: Sandbox, certificate: Path) -> None:
    project = Project(tls_sandbox.url, "prj_tls")
    with Relay.start() as proxy:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        run = info(ansible, project, tls_sandbox.url, env, ca_path=str(certificate))
        assert run.status == 0, run.output
    assert proxy.connections == 1
    assert bytes(proxy.seen).startswith(b"CONNECT 127.0.0.1:")
    assert API_KEY.encode() not in proxy.seen


def test_a_create_whose_answer_is_lost_behind_a_proxy(
    ansible: Ansible, tls_sandbox: Sandbox, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 reports a failure of the proxy, although the registration exists."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    project = Project(tls_sandbox.url, "prj_tls")
    project.fault("drop_after", method="POST")
    with Relay.start() as proxy:
        options = {**ENTRY, "project_id": project.id, "api_url": project.url, "ca_path": str(certificate)}
        run = run_module(ansible, "database", options, {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
    assert run.status == 0, run.output
    assert run.result("database")["action"] == "created"
    assert [item["name"] for item in project.databases()] == ["orders"]


def test_a_proxy_that_refuses(ansible: Ansible, tls_sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    env = {"HTTPS_PROXY": f"http://user:pr0xy-s3cret@127.0.0.1:{port}"}
    run = info(ansible, Project(tls_sandbox.url, "prj_tls"), tls_sandbox.url, env)
    assert "the proxy for https://127.0.0.1" in run.result("database_info")["msg"]
    assert "check HTTPS_PROXY and NO_PROXY" in run.result("database_info")["msg"]
    assert "pr0xy-s3cret" not in run.output


def test_a_self_signed_server(ansible: Ansible, tls_sandbox: Sandbox, certificate: Path) -> None:
    project = Project(tls_sandbox.url, "prj_tls")
    refused = info(ansible, project, tls_sandbox.url, {}).result("database_info")
    assert "no trusted TLS connection to https://127.0.0.1" in refused["msg"]
    assert "check ca_path" in refused["msg"]
    assert (refused["error"]["code"], refused["error"]["attempts"]) == ("TLS", 1)
    assert info(ansible, project, tls_sandbox.url, {}, ca_path=str(certificate)).status == 0
    assert info(ansible, project, tls_sandbox.url, {}, validate_certs=False).status == 0
    assert info(ansible, project, tls_sandbox.url, {"REQUESTS_CA_BUNDLE": str(certificate)}).status == 0


def test_netrc_does_not_replace_the_key_over_tls(ansible: Ansible, tls_sandbox: Sandbox, certificate: Path) -> None:
    """Over http, requests does not read it."""
    (ansible.home / ".netrc").write_text("machine 127.0.0.1 login someone password else\ndefault login a password b\n")
    run = info(ansible, Project(tls_sandbox.url, "prj_tls"), tls_sandbox.url, {}, ca_path=str(certificate))
    assert run.status == 0, run.output


def test_a_redirect_is_not_followed(ansible: Ansible, project: Project) -> None:
    with Relay.start(to=1) as other:
        project.fault("redirect", location=f"http://127.0.0.1:{other.port}/v1", times=9)
        run = info(ansible, project, project.url, {})
        result = ansible.database(project, **ENTRY).result("database")
    assert f"307 redirects to http://127.0.0.1:{other.port}/v1" in run.result("database_info")["msg"]
    assert "redirects are not followed: set api_url" in result["msg"]
    assert other.connections == 0
