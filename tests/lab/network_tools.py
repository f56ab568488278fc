# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``pvesh``, ``xe``, ``VBoxManage`` and ``systemctl``, as far as network cards need them.

They read and set network cards; ``systemctl`` needs no systemd.

The first argument is the program's name. What they know is the file ``$LAB_HOST``, in JSON, by
program; whatever the real programs do not take is refused, and each change is noted under
``changes``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

FILE = Path(os.environ["LAB_HOST"])
STATE = json.loads(FILE.read_text())
NET = re.compile(
    r"(virtio|e1000|vmxnet3|rtl8139)=([0-9A-F]{2}:){5}[0-9A-F]{2}(,(bridge=\w+|firewall=[01]|tag=\d+|trunks=\d+(-\d+)?(;\d+(-\d+)?)*))*"
)


def pvesh(verb: str, path: str, *options: str) -> None:
    found = re.fullmatch(r"/nodes/localhost/qemu/(\d+)/(config|firewall/options)", path)
    if not found:
        sys.exit(f"No '{verb}' handler defined for '{path}'")
    vm = STATE["vms"].get(found[1])
    if vm is None:
        sys.exit(f"Configuration file 'nodes/pve1/qemu-server/{found[1]}.conf' does not exist")
    section = vm[found[2]]
    if verb == "get" and options == ("--output-format", "json"):
        print(json.dumps(section))
    elif verb == "set" and len(options) == 2:
        name, value = options
        right = r"[01]" if found[2] != "config" and name == "--macfilter" else None
        if found[2] == "config" and re.fullmatch(r"--net\d+", name):
            right = NET.pattern
        if right is None or not re.fullmatch(right, value):
            sys.exit(f"400 Parameter verification failed.\n{name}: {value}")
        section[name[2:]] = int(value) if value.isdigit() else value
        changed(path, name, value)
    else:
        sys.exit(f"400 unable to parse option: {options}")


def xe(command: str, *arguments: str) -> None:
    minimal = "--minimal" in arguments
    given = dict(one.split("=", 1) for one in arguments if one != "--minimal")
    if command == "vm-list" and minimal and set(given) == {"name-label", "is-control-domain", "params"}:
        print(",".join(uuid for uuid, vm in STATE["vms"].items() if vm["name"] == given["name-label"]))
    elif command == "vif-list" and minimal and set(given) == {"vm-uuid", "params"}:
        print(",".join(STATE["vms"][given["vm-uuid"]]["vifs"]))
    elif command == "vif-param-get" and set(given) == {"uuid", "param-name"}:
        print(vif(given["uuid"])[given["param-name"]])
    elif command == "vif-param-set" and set(given) == {"uuid", "locking-mode"}:
        if given["locking-mode"] not in ("network_default", "locked", "unlocked", "disabled"):
            sys.exit("Failed to parse parameter 'locking-mode'")
        vif(given["uuid"])["locking-mode"] = given["locking-mode"]
        changed(*given.values())
    else:
        sys.exit(f"Error: unknown command or parameter: {command} {arguments}")


def vif(uuid: str) -> dict[str, str]:
    for vm in STATE["vms"].values():
        if uuid in vm["vifs"]:
            return t.cast("dict[str, str]", vm["vifs"][uuid])
    sys.exit("The uuid you supplied was invalid.")


def vboxmanage(command: str, name: str, *arguments: str) -> None:
    vm = STATE["vms"].get(name)
    if vm is None:
        sys.exit(f"VBoxManage: error: Could not find a registered machine named '{name}'")
    if (command, arguments) == ("showvminfo", ()):
        print(f"Name:                        {name}")
        print(
            f"State:                       {'running' if vm['running'] else 'powered off'} (since 2026-11-28T10:00:00.0)"
        )
        for number, policy in vm["cards"].items():
            print(
                f"NIC {number}:                       MAC: 0800270000{number:0>2}, Attachment: Bridged Interface 'eth0', Cable "
                f"connected: on, Trace: off (file: none), Type: 82540EM, Reported speed: 0 Mbps, Boot priority: 0, Promisc Policy: "
                f"{policy}, Bandwidth group: none"
            )
        print("NIC 8:                       disabled")
        return
    option, policy = arguments
    prefix = "nicpromisc" if command == "controlvm" else "--nicpromisc"
    if command not in ("controlvm", "modifyvm") or not re.fullmatch(rf"{prefix}[1-8]", option):
        sys.exit(f"VBoxManage: error: Unknown option: {option}")
    if policy not in ("deny", "allow-vms", "allow-all"):
        sys.exit(f"VBoxManage: error: Unknown promiscuous mode policy: {policy}")
    if (command == "controlvm") is not vm["running"]:
        sys.exit(f"VBoxManage: error: The machine '{name}' is {'' if vm['running'] else 'not '}running")
    vm["cards"][option[-1]] = policy
    changed(name, option, policy)


def systemctl(command: str, *arguments: str) -> None:
    units = STATE.setdefault("units", {})
    if (command, arguments) == ("daemon-reload", ()):
        STATE["loaded"] = {file.name: file.read_text() for file in Path("/etc/systemd/system").iterdir()}
        return
    name, *rest = arguments
    if rest not in ([], ["-l"] if command == "is-enabled" else []):
        sys.exit(f"Unknown argument: {rest}")
    template = re.sub(r"@.*\.", "@.", name)
    text = STATE.get("loaded", {}).get(template)
    unit = units.setdefault(name, {"enabled": False, "pid": 0})
    if command == "show":
        print(
            f"Id={name}\nLoadState={'loaded' if text else 'not-found'}\nActiveState={'active' if unit['pid'] else 'inactive'}"
        )
        return
    if text is None:
        sys.exit(f"Unit {name} could not be found.")
    if command == "is-enabled":
        print("enabled" if unit["enabled"] else "disabled")
        sys.exit(0 if unit["enabled"] else 1)
    if command == "enable":
        unit["enabled"] = "WantedBy=multi-user.target" in text
    elif command in ("start", "restart"):
        if unit["pid"]:
            os.killpg(unit["pid"], 15)
        (line,) = re.findall(r"(?m)^ExecStart=(.*)$", text)
        instance = name.partition("@")[2].rpartition(".")[0]
        process = subprocess.Popen(
            [word.replace("%i", instance) for word in line.split()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        unit["pid"] = process.pid
    else:
        sys.exit(f"Unknown command verb {command}.")
    changed(command, name)


def changed(*what: str) -> None:
    STATE.setdefault("changes", []).append(list(what))


PROGRAMS: dict[str, t.Callable[..., None]] = {
    "pvesh": pvesh,
    "xe": xe,
    "VBoxManage": vboxmanage,
    "systemctl": systemctl,
}

if __name__ == "__main__":
    try:
        PROGRAMS[sys.argv[1]](*sys.argv[2:])
    finally:
        FILE.write_text(json.dumps(STATE))
