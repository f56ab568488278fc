# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``qm guest exec <vmid> --pass-stdin 1 --synchronous 0`` of a node, for agents at ``$LAB_QGA_FOLDER/<vmid>.qga``."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys


def main(arguments: list[str]) -> int:
    if arguments[:2] != ["guest", "exec"] or arguments[3:] != ["--pass-stdin", "1", "--synchronous", "0"]:
        sys.stderr.write("400 not enough arguments\n")
        return 255
    vmid = arguments[2]
    path = f"{os.environ['LAB_QGA_FOLDER']}/{vmid}.qga"
    if not os.path.exists(path):  # noqa: PTH110
        sys.stderr.write(f"Configuration file 'nodes/pve1/qemu-server/{vmid}.conf' does not exist\n")
        return 2
    script = base64.b64encode(sys.stdin.buffer.read()).decode()
    request = {"execute": "guest-exec", "arguments": {"input-data": script, "capture-output": True}}
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(path)
        agent.sendall(json.dumps(request).encode() + b"\n")
        reply = json.loads(agent.makefile().readline())
    if "error" in reply:
        sys.stderr.write(f"Agent error: {reply['error']['desc']}\n")
        return 255
    sys.stdout.write(json.dumps({"pid": reply["return"]["pid"]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
