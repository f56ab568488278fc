# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox


@pytest.fixture
def cluster(tmp_path):
    """Start a simulated cluster: ``cluster("8.4")``."""
    with contextlib.ExitStack() as running:

        def start(version: str = "9.1", **more):
            folder = tmp_path / f"pve{len(list(tmp_path.glob('pve*')))}"
            folder.mkdir()
            return running.enter_context(LabProxmox(folder, version, **more))

        yield start


@pytest.fixture
def reach(tmp_path):
    """A guest of a cluster: ``reach(pve, "100")``."""

    def one(pve, vm, exec_mode: str = "auto", connect_timeout: float = 2.0, **more):
        values = {
            "api_host": "localhost",
            "api_port": pve.port,
            "api_token_id": "root@pam!chr",
            "api_token_secret": "t0ken-secret",
            "ca_path": str(pve.certificate),
        } | more
        return open_guest(options_for("proxmox", vm, connect_timeout, exec_mode, tmp_path / "run", **values))

    return one
