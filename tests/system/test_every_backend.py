# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One playbook, unchanged, on every hypervisor."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import KINDS, hypervisor
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.routeros.backup import ENCRYPTED

WRITES_FILES = "chr_backend != 'xenapi'"
FULL = sorted(set(BACKENDS) & set(KINDS) - {"vmrun"})
"""The backends that do more than power, and do it quickly; see workstation/test_guest for vmrun."""
READS_FILES = "chr_backend not in ['vmware', 'xenapi']"
COUNT = {"outofband.chr.script": {"source": ":put [:len [/file find]]"}}
KEEP = {
    "dest": "kept",
    "binary": "{{ chr_backend != 'xenstore' }}",
    "password": "{{ 'b4ckup' if chr_backend != 'xenstore' else omit }}",
}
TASKS = [
    {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 90}},
    {"name": "files before", **COUNT},
    {
        "name": "script",
        "outofband.chr.script": {
            "source": '/system note set note="{{ inventory_hostname }}"',
            "unless": '[/system note get note] = "{{ inventory_hostname }}"',
        },
    },
    {
        "name": "fail",
        "outofband.chr.script": {"source": '/system identity set name=wrong\n:error "no"'},
        "register": "failing",
        "failed_when": "failing.rc != -1",
    },
    {
        "name": "name",
        "outofband.chr.script": {
            "source": '/system identity set name="{{ inventory_hostname }}"',
            "unless": '[/system identity get name] = "{{ inventory_hostname }}"',
        },
    },
    {
        "name": "again",
        "outofband.chr.script": {
            "source": "/system identity set name=never",
            "unless": '[/system identity get name] = "{{ inventory_hostname }}"',
        },
    },
    {"name": "copy", "outofband.chr.copy": {"content": "# é\n", "dest": "x.rsc"}, "when": WRITES_FILES},
    {"name": "fetch", "outofband.chr.fetch": {"src": "x.rsc", "dest": "got/"}, "when": READS_FILES},
    {"name": "facts", "outofband.chr.facts": {"gather_subset": ["default"]}},
    {"name": "info", "outofband.chr.guest_info": None},
    {"name": "backup", "outofband.chr.backup": KEEP, "when": "chr_backend not in ['vmware', 'xenapi']"},
    {"name": "files after", **COUNT},
    {"name": "reboot", "outofband.chr.power": {"state": "rebooted"}},
    {"name": "after", "outofband.chr.facts": {"gather_subset": ["default"]}},
    {"name": "off", "outofband.chr.power": {"state": "shutdown"}},
]


def test_the_same_playbook_passes_on_every_backend(playbook, tmp_path):
    """Script, copy and fetch where they are possible, facts and power, all backends in one run."""
    hosts = {}
    missing = {}
    with contextlib.ExitStack() as running:
        for backend in FULL:
            name = f"chr-{backend}"
            try:
                hosts |= running.enter_context(hypervisor(backend, [name], cache()))
            except Missing as error:
                missing[backend] = str(error)
        run = playbook(TASKS, hosts, "--forks=8", strategy="free")
    assert run.rc == 0, run.output
    assert {host["chr_backend"] for host in hosts.values()} == set(FULL) - set(missing)
    for name, host in hosts.items():
        assert run.of("script", name)["result"]["backend"] == host["chr_backend"]
        assert run.of("name", name)["result"]["changed"]
        assert not run.of("again", name)["result"]["changed"]
        if run.of("backup", name)["status"] == "ok":
            assert f"set note={name}" in (tmp_path / "kept" / f"{name}.rsc").read_text()
            kept = run.of("backup", name)["result"]["binary"]
            assert kept is None or Path(kept).read_bytes().startswith(ENCRYPTED)
        assert run.of("info", name)["result"]["backend"] == host["chr_backend"]
        assert run.of("facts", name)["result"]["ansible_facts"]["ansible_net_hostname"] == name
        assert run.of("after", name)["result"]["ansible_facts"]["ansible_net_version"].startswith("7.")
        count = [run.of(f"files {when}", name)["result"]["stdout"].strip() for when in ("before", "after")]
        # The file that copy writes stays. VMware gives no output; see test_nothing_is_left.
        assert count == {"vmware": ["", ""], "xenapi": ["0", "0"]}.get(host["chr_backend"], ["0", "1"])
        assert (run.of("copy", name)["status"] == "ok") == (host["chr_backend"] != "xenapi")
        if run.of("fetch", name)["status"] == "ok":
            assert (tmp_path / "got" / name / "x.rsc").read_text() == "# é\n"
    fetched = {host for host in hosts if run.of("fetch", host)["status"] == "ok"}
    assert fetched == {f"chr-{backend}" for backend in {"qemu", "libvirt", "proxmox", "xenstore"} - set(missing)}
    if missing:
        raise Missing(", ".join(f"{backend}: {reason}" for backend, reason in missing.items()))
