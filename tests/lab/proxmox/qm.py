# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``qm`` of a node.

``guest exec`` reaches agents at ``$LAB_QGA_FOLDER/<vmid>.qga``; ``config``, ``set`` and
``importdisk`` act as root of the simulated cluster.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import ssl
import sys
import typing as t
import urllib.error
import urllib.parse
import urllib.request

FOLDER = os.environ.get("LAB_QGA_FOLDER", ".")
NODE = os.environ.get("LAB_NODE", "pve1")


def main(arguments: list[str]) -> int:
    if arguments[:2] == ["guest", "exec"]:
        return guest_exec(arguments[2:])
    if arguments[:1] == ["config"]:
        return config(arguments[1:])
    if arguments[:1] == ["set"]:
        return set_options(arguments[1:])
    if arguments[:1] == ["importdisk"]:
        return import_disk(arguments[1:])
    sys.stderr.write(f"ERROR: unknown command 'qm {' '.join(arguments)}'\n")
    return 255


def guest_exec(arguments: list[str]) -> int:
    if arguments[1:] != ["--pass-stdin", "1", "--synchronous", "0"]:
        sys.stderr.write("400 not enough arguments\n")
        return 255
    vmid = arguments[0]
    path = f"{FOLDER}/{vmid}.qga"
    if not os.path.exists(path):  # noqa: PTH110
        sys.stderr.write(f"Configuration file 'nodes/{NODE}/qemu-server/{vmid}.conf' does not exist\n")
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


def config(arguments: list[str]) -> int:
    (vmid,) = arguments
    answer = ask("GET", f"/nodes/{NODE}/qemu/{vmid}/config")
    for key, value in sorted(answer.items()):
        if key != "digest":
            sys.stdout.write(f"{key}: {value}\n")
    return 0


def set_options(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("qm set")
    parser.add_argument("vmid")
    for option in ("--args", "--delete", "--digest"):
        parser.add_argument(option)
    # Perl's Getopt::Long takes a value that begins with a dash, argparse only behind an equals
    # sign.
    joined = [arguments[0], *(f"{name}={value}" for name, value in zip(arguments[1::2], arguments[2::2], strict=True))]
    values = {key: value for key, value in vars(parser.parse_args(joined)).items() if value is not None}
    vmid = values.pop("vmid")
    ask("PUT", f"/nodes/{NODE}/qemu/{vmid}/config", values)
    sys.stdout.write(f"update VM {vmid}\n")
    return 0


def import_disk(arguments: list[str]) -> int:
    """``qm importdisk <vmid> <source> <storage>``; the lab itself makes the disk."""
    parser = argparse.ArgumentParser("qm importdisk")
    for name in ("vmid", "source", "storage"):
        parser.add_argument(name)
    parser.add_argument("--format", choices=["qcow2", "raw", "vmdk"])
    values = vars(parser.parse_args(arguments))
    if not os.path.exists(values["source"]):  # noqa: PTH110
        sys.stderr.write(f"{values['source']}: non-existent or non-regular file\n")
        return 255
    sys.stdout.write(f"importing disk '{values['source']}' to VM {values['vmid']} ...\n")
    made = ask("POST", "/lab/importdisk", {"node": NODE, **{key: value for key, value in values.items() if value}})
    sys.stdout.write(f"Successfully imported disk as '{made}'\n")
    return 0


def ask(method: str, path: str, values: dict[str, str] | None = None) -> t.Any:
    """One call as root@pam; the program ends with the server's words where it refuses."""
    with open(f"{FOLDER}/pve.json") as file:  # noqa: PTH123
        about = json.load(file)
    context = ssl.create_default_context(cafile=about["ca"])
    base = f"https://localhost:{about['port']}/api2/json"

    def send(how: str, where: str, given: dict[str, str] | None, headers: dict[str, str]) -> t.Any:
        body = urllib.parse.urlencode(given).encode() if given is not None else None
        request = urllib.request.Request(base + where, body, headers, method=how)
        with urllib.request.urlopen(request, context=context) as reply:
            return json.load(reply)["data"]

    try:
        login = send("POST", "/access/ticket", {"username": "root@pam", "password": about["password"]}, {})
        ticket = {"Cookie": f"PVEAuthCookie={login['ticket']}", "CSRFPreventionToken": login["CSRFPreventionToken"]}
        return send(method, path, values, ticket)
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{error.reason}\n")
        sys.exit(2 if "does not exist" in str(error.reason) else 255)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
