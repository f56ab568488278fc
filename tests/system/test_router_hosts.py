# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks of the collection over an inventory in which there are not only routers."""

from __future__ import annotations

import json

import pytest

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer

ACCOUNT = {"license_renew_account": "me@example.com", "license_renew_password": "pass-word-1"}
# They come first, and whoever touches one of them fails.
OTHERS = {
    "a_hypervisor": {"ansible_connection": "ssh", "ansible_host": "192.0.2.1", "ansible_ssh_executable": "/bin/false"},
    "a_linux_host": {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python"},
    "localhost": {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere/python"},
}


@pytest.fixture
def inventory(lab):
    """Two free routers, and the others before them."""
    routers = {name: lab(name) for name in ("chr1", "chr2")}
    hosts = {name: {"chr_socket": str(router.address), **ACCOUNT} for name, router in routers.items()}
    with AccountServer() as accounts:
        accounts.add_account(*ACCOUNT.values())
        for router in routers.values():
            router.router.accounts = accounts
        yield {**OTHERS, **hosts}, routers


def touched(run) -> set[str]:
    return {line["host"] for line in run.lines}


def test_the_playbooks_of_the_fleet_touch_routers_only(inventory, playbook):
    """A license that ends is renewed by the first batch, which is one router."""
    hosts, routers = inventory
    routers["chr2"].router.license.system_id = routers["chr1"].router.license.system_id
    new_id = playbook("outofband.chr.generate_new_id", hosts)
    assert (new_id.rc, touched(new_id)) == (0, {"chr1", "chr2"}), new_id.output
    counts = "Routers: 2. With a new system id: 1. With the id that they had: 1. Failed or not reached: 0."
    assert counts in " ".join(new_id.output.split())
    assert routers["chr1"].router.license.system_id != routers["chr2"].router.license.system_id

    renewed = playbook("outofband.chr.license_renew", hosts, "--extra-vars=license_renew_level=p1")
    assert (renewed.rc, touched(renewed)) == (0, {"chr1", "chr2"}), renewed.output
    assert {router.router.license.level for router in routers.values()} == {"p1"}
    first = [line["host"] for line in renewed.lines if line["task"].endswith("Check what each router needs")]
    assert first == ["chr1", "chr2"]

    audit = playbook("outofband.chr.license_audit", hosts, f"--extra-vars=license_audit_dest={playbook.folder}")
    assert (audit.rc, touched(audit)) == (0, {"chr1"}), audit.output  # one task reads both
    report = json.loads((playbook.folder / "chr-licenses.json").read_text())
    assert [one["name"] for one in report["routers"]] == ["chr1", "chr2"]

    limited = playbook("outofband.chr.license_audit", hosts, "--limit=a_linux_host")
    assert (limited.rc != 0, touched(limited)) == (True, set())
    assert "There is no router to act on: none of the 1 hosts of this --limit" in " ".join(limited.output.split())

    mistyped = playbook("outofband.chr.license_audit", hosts, "--extra-vars=license_audit_hosts=chr7")
    assert (mistyped.rc != 0, touched(mistyped)) == (True, set())
    assert "There is no router to act on: the pattern 'chr7' matches no host." in " ".join(mistyped.output.split())
    chosen = {"license_audit_hosts": "chr2:localhost", "license_audit_dest": str(playbook.folder / "chosen")}
    audit = playbook("outofband.chr.license_audit", hosts, f"--extra-vars={json.dumps(chosen)}")
    assert audit.rc == 0, audit.output
    report = json.loads((playbook.folder / "chosen" / "chr-licenses.json").read_text())
    assert [one["name"] for one in report["routers"]] == ["chr2"]


def test_provision_and_the_demo_touch_routers_only_and_tags_choose_steps(inventory, playbook):
    hosts, routers = inventory
    refused = playbook("outofband.chr.provision", hosts, "--extra-vars=provision_license=true", "--tags=license")
    assert (refused.rc, touched(refused)) == (2, {"chr1", "chr2"}), refused.output
    assert "provision_license is set without license_renew_level" in refused.output

    some = playbook("outofband.chr.provision", hosts, "--tags=id,report")
    assert (some.rc, touched(some)) == (0, {"chr1", "chr2"}), some.output
    assert "chr1: qemu, level free, system id" in some.output
    steps = {line["task"].partition(" : ")[2] for line in some.lines}
    assert "Give a new system id" in steps
    assert not steps & {"Prepare the image", "Create or remove the VM on QEMU", "Renew the licenses of the others"}

    demo = {
        name: {**host, "demo_address": f"192.0.2.{number}/24"} for number, (name, host) in enumerate(hosts.items(), 1)
    }
    shown = playbook("outofband.chr.demo", demo, f"--extra-vars=demo_folder={playbook.folder}")
    assert (shown.rc, touched(shown)) == (0, {"chr1", "chr2"}), shown.output
    assert [line["host"] for line in shown.lines if line["task"] == "Reboot and wait until it is back"] == ["chr1"]
