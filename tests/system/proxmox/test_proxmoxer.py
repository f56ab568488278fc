# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""proxmoxer gets along with the lab's Proxmox VE."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

import pytest
from proxmoxer import ProxmoxAPI, ResourceException
from proxmoxer.tools import Tasks

from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

NAME = ":put [/system identity get name]"


def test_proxmoxer_runs_a_file_moves_files_and_takes_a_snapshot(short_path: Path) -> None:
    with LabProxmox(short_path, "8.4") as pve:
        pve.add(
            100,
            "chr1",
            path_mode="works",
            accepts_path_with_arg=True,
            write_modes=("w", "wb"),
            close_answers=True,
        )
        login = {"user": "root@pam", "token_name": "chr", "token_value": "t0ken-secret"}
        api = ProxmoxAPI("localhost", port=pve.port, verify_ssl=str(pve.certificate), **login)
        (vm,) = api.cluster.resources.get(type="vm")
        assert (vm["name"], vm["node"]) == ("chr1", "pve1")
        agent = api.nodes(vm["node"]).qemu(vm["vmid"]).agent
        assert agent("get-osinfo").get()["result"]["id"] == "routeros"
        assert agent("get-host-name").get()["result"]["host-name"] == "chr1"
        with pytest.raises(ResourceException, match="Base64 decode error"):  # the server adds newlines
            agent("file-write").post(file="x.rsc", content=NAME)
        agent("file-write").post(file="x.rsc", content=base64.b64encode(NAME.encode()).decode(), encode=0)
        assert agent("file-read").get(file="x.rsc")["content"] == NAME
        pid = agent("exec").post(command="x.rsc")["pid"]
        status: dict[str, t.Any] = {"exited": 0}
        while not status["exited"]:
            status = agent("exec-status").get(pid=pid)
        assert (status["exitcode"], status["out-data"]) == (0, "chr1\r\n")
        assert agent("get-users").get()["result"]["error"]["desc"] == "Command not supported"
        with pytest.raises(ResourceException, match="No such file"):
            agent("file-read").get(file="nothere")
        upid = api.nodes(vm["node"]).qemu(vm["vmid"]).snapshot.post(snapname="before")
        assert Tasks.blocking_status(api, upid, timeout=60, polling_interval=0.1)["exitstatus"] == "OK"
        assert "before" in [one["name"] for one in api.nodes(vm["node"]).qemu(vm["vmid"]).snapshot.get()]
        assert pve.invalid == []
