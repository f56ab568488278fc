# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters and the test that check the plan of a VM, as a playbook uses them."""

from __future__ import annotations

LOCAL = {"localhost": {"ansible_connection": "local"}}


def test_a_playbook_can_refuse_a_plan_before_anything_is_made_of_it(playbook):
    plan = {
        "hypervisor": "vmware",
        "routeros": "{{ version }}",
        "cpus": "{{ cores }}",
        "disk_bus": "ide",
        "nics": [{"network": "lan", "model": "e1000"}] * 4,
    }
    tasks = [
        {
            "name": "good",
            "ansible.builtin.assert": {
                "that": [
                    "plan is outofband.chr.vm_supported",
                    "(plan | outofband.chr.vm_findings).warnings | length == 1",
                    "plan | combine({'memory': needed}) is outofband.chr.vm_supported",
                    "plan | combine({'memory': needed | int - 1}) is not outofband.chr.vm_supported",
                ]
            },
            "vars": {"needed": "{{ plan | outofband.chr.memory_required }}"},
        },
        {
            "name": "bad",
            "ansible.builtin.assert": {"that": "found.errors == []", "fail_msg": "{{ found.errors | join(' ') }}"},
            "vars": {"found": "{{ plan | combine({'disk_bus': 'pvscsi'}) | outofband.chr.vm_findings }}"},
            "ignore_errors": True,
        },
        {
            "name": "misspelt",
            "ansible.builtin.debug": {"msg": "{{ plan | combine({'ram': 1}) | outofband.chr.memory_required }}"},
        },
    ]
    run = playbook(tasks, LOCAL, vars={"plan": plan, "version": "6.49.18", "cores": 2})
    assert run.of("good")["status"] == "ok", run.output
    assert "the system disk must be on ide" in run.of("bad")["result"]["msg"]
    assert "ram: a VM is described by hypervisor, routeros" in str(run.of("misspelt")["result"])
