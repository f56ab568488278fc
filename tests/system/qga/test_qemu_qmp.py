# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""QEMU's own client of QMP and of guest agents gets along with the lab's agent."""

from __future__ import annotations

import asyncio
import base64
import typing as t
from pathlib import Path

from qemu.qmp import Message, QMPClient

from ansible_collections.outofband.chr.tests.lab.serve import LabRouter

NAME = ":put [/system identity get name]"


def test_qemu_qmp_speaks_with_the_agent(lab: t.Callable[..., LabRouter], short_path: Path) -> None:
    """QEMU's own client (which sends an ``id`` only on request): questions, a script, an error."""
    lab("chr1", close_answers=True)

    async def talk() -> None:
        client = QMPClient("chr1")
        client.await_greeting = client.negotiate = False

        async def ask(command: str, **arguments: t.Any) -> t.Any:
            named = {name.replace("_", "-"): value for name, value in arguments.items()}
            return await client._raw(Message({"execute": command, "arguments": named}), assign_id=False)

        await client.connect(str(short_path / "chr1.sock"))
        assert (await ask("guest-sync", id=4711))["return"] == 4711
        assert (await ask("guest-get-osinfo"))["return"]["id"] == "routeros"
        source = base64.b64encode(NAME.encode()).decode()
        pid = (await ask("guest-exec", input_data=source, capture_output=True))["return"]["pid"]
        status: dict[str, t.Any] = {"exited": False}
        while not status["exited"]:
            status = (await ask("guest-exec-status", pid=pid))["return"]
        assert (status["exitcode"], base64.b64decode(status["out-data"])) == (0, b"chr1\r\n")
        assert (await ask("guest-get-users"))["error"]["desc"] == "Command not supported"
        handle = (await ask("guest-file-open", path="x.rsc", mode="w"))["return"]
        assert (await ask("guest-file-write", handle=handle, buf_b64=source))["return"]["count"] == len(NAME)
        assert (await ask("guest-file-close", handle=handle))["return"] == {}
        await client.disconnect()

    asyncio.run(asyncio.wait_for(talk(), 60))
