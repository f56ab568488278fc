# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection network_cli, with the modules of others that it is for."""

from __future__ import annotations

import os

import pytest

from ansible_collections.outofband.chr.tests.lab.peers import collections

from .conftest import Playbook, cache

CLI = {"ansible_connection": "outofband.chr.network_cli"}
IDENTITY = {"name": "identity", "community.routeros.command": {"commands": ["/system identity print"]}}


@pytest.fixture
def cli(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> Playbook:
    """ansible-playbook with the collections whose modules are meant."""
    for name in ("community.routeros", "ansible.netcommon", "ansible.utils"):
        folder = collections(cache(), name)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{folder}")
    return playbook


def test_modules_of_others_run_unmodified(cli, lab):
    router = lab("chr1")
    run = cli(
        [
            IDENTITY,
            {"name": "facts", "community.routeros.facts": {"gather_subset": ["default", "hardware", "interfaces", "config"]}},
            {"name": "cli_command", "ansible.netcommon.cli_command": {"command": "/system identity print"}},
        ],
        {"chr1": {**CLI, "chr_socket": router.address}},
        "-vvvv",
    )
    print(run.output)
    assert run.rc == 0, run.output
    for name in ("identity", "cli_command"): print(run.of(name)["result"])
    print(run.of("facts")["result"])
    import time; time.sleep(1)
    print(os.popen("ps aux | grep stub; ls -la %s/home/pc" % cli.folder).read())
    assert 0
