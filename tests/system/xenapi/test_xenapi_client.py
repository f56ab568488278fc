# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XenAPI package of the vendor gets along with the lab's pool."""

from __future__ import annotations

import base64
import time
import typing as t
from pathlib import Path

import pytest
import XenAPI

from ansible_collections.outofband.chr.tests.lab.xen.guest import SCRIPT, STATUS
from ansible_collections.outofband.chr.tests.lab.xenapi.server import PASSWORD, USER, LabPool

NAME = ":put [/system identity get name]"


def test_xenapi_gives_a_script_starts_the_vm_and_follows_its_events(xen: t.Any, short_path: Path) -> None:
    with LabPool(xen, short_path) as pool:
        pool.vm("chr1")
        session = XenAPI.Session(f"https://localhost:{pool.port}", ignore_ssl=True)
        session.xenapi.login_with_password(USER, PASSWORD, "1.0", "test")
        (vm,) = session.xenapi.VM.get_by_name_label("chr1")
        session.xenapi.VM.add_to_xenstore_data(vm, SCRIPT, base64.b64encode(NAME.encode()).decode())
        with pytest.raises(XenAPI.Failure) as twice:
            session.xenapi.VM.add_to_xenstore_data(vm, SCRIPT, "")
        assert twice.value.details[0] == "MAP_DUPLICATE_KEY"
        session.xenapi.VM.start(vm, False, False)
        data: dict[str, str] = {}
        token, end = "", time.monotonic() + 60
        while data.get(STATUS) == "running" or not any(key.startswith(f"{SCRIPT}/o") for key in data):
            assert time.monotonic() < end, data
            batch = session.xenapi.event_from([f"vm/{vm}"], token, 5.0)
            token = batch["token"]
            for event in batch["events"]:
                if event["ref"] == vm:
                    data = event["snapshot"]["xenstore_data"]
        (output,) = [value for key, value in data.items() if key.startswith(f"{SCRIPT}/o")]
        assert base64.b64decode(output) == b"chr1\r\n"
        assert session.xenapi.VM.get_record(vm)["power_state"] == "Running"
        session.xenapi.VM.hard_shutdown(vm)
        ref = session.handle
        session.xenapi.session.logout()
        assert ref not in pool.sessions
        assert pool.invalid == []
