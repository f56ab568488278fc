# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: power
author: The outofband.chr authors (@outofband)
short_description: Start, stop, reset, reboot or shut down a router
version_added: 1.0.0
description:
  - Turns the machine of a Cloud Hosted Router on or off, or resets it, through its hypervisor. The
    router need not answer for that, so it works on a router that is off, that hangs or that has no
    agent.
  - Reboots a router through RouterOS or its agent and waits until it is back with a new uptime, or
    shuts it down and waits until its hypervisor says that the machine is off.
options:
  state:
    description:
      - V(started) turns the machine on. Nothing is changed if it is on.
      - V(stopped) turns the machine off, as if its power was cut. Nothing is changed if it is off.
        RouterOS does not write what it has only in memory, so use V(shutdown) for a router that
        answers.
      - V(reset) lets a machine that is on start anew, each time, as if its reset button was
        pressed. RouterOS does not write what it has only in memory.
      - V(rebooted) reboots the router, each time.
      - V(shutdown) shuts it down. Only the state of the machine ends the task successfully. An
        agent that has become silent, or a hypervisor that cannot be reached, does not. Before the
        order, the module looks whether it can see that state, and does nothing if it cannot.
      - For V(rebooted) and V(shutdown), a router whose agent does not answer before the order is
        unreachable, not off.
      - V(started), V(stopped) and V(reset) are refused for a VM that is paused or suspended, and for a
        template. A VM that is locked or in the hands of another task of the hypervisor, such as a
        backup or a migration, is waited for within O(timeout). Then the task fails and names who
        has it, as far as the hypervisor shows that.
    type: str
    required: true
    choices: [started, stopped, reset, rebooted, shutdown]
  method:
    description:
      - How V(rebooted) and V(shutdown) are carried out. The other states are always carried out by
        the hypervisor and take no other value than V(auto).
      - V(script) uses RouterOS's own C(/system reboot) and C(/system shutdown).
      - V(agent) uses the agent's command. It has been observed to shut a CHR down. It is not
        known to reboot one; it may shut the router down instead.
      - On backend C(xenapi), V(agent) is XAPI's clean reboot or clean shutdown, and V(script) is
        refused.
      - For backend C(xenstore), V(agent) is Xen's own request in C(control/shutdown), which is
        withdrawn when the router does not take it within 10 s; and V(script) starts the command in
        the background, 2 s later, so that no toolstack can hand it to the router again when it
        boots.
      - V(auto) is V(script) for a reboot and V(agent) for a shutdown; on backend C(xenapi) it is
        V(agent) for both.
      - On VMware, V(agent) has RouterOS run its script C(poweroff) first, if there is such a
        script. If it has an error or takes longer than 30 seconds, the router stays up and the task
        fails, as soon as VMware reports it in an event, or after a minute. A second run of the same
        task ignores the script's errors and succeeds. What the script printed is in the router's
        file C(poweroff-script.log).
    type: str
    default: auto
    choices: [auto, script, agent]
  wait:
    description:
      - What V(started), V(reset) and V(rebooted) wait for, also if the machine was on already. It
        is ignored for V(stopped) and V(shutdown).
      - V(agent) waits until the guest's agent answers, after V(reset) and V(rebooted) with a new
        uptime. Where no script can be run, such as on VMware without the login of RouterOS, a
        warning after V(reset) says that the uptime was not read.
      - V(ready) also waits until the router has an Ethernet interface, as
        M(outofband.chr.wait_for_agent) does with
        O(outofband.chr.wait_for_agent#module:interfaces=1). It is refused on backend C(xenapi),
        where a script runs only at a boot.
      - By default it is V(agent), and V(none) on the backends V(virtualbox) and V(hyperv), which have
        no agent and refuse the other values.
      - V(none) does not wait for the router. After V(started) and V(reset) the hypervisor has said
        that the machine is on. After V(rebooted) the order was given, and nothing was seen of it.
    type: str
    choices: [none, agent, ready]
  timeout:
    description:
      - The seconds in which the machine must be on or off, and the router back.
    type: float
    default: 300
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details:
      - It shows the state of the machine before and after V(started), V(stopped) and V(reset).
notes:
  - The state of the machine is the one that its hypervisor shows. On backend
    C(xenstore) it is the end of the domain. On backend C(qemu) it is the end of the process that
    listens at C(chr_socket); behind SSH, the module reads it from C(/proc/net)
    of that machine.
  - An order to the hypervisor is sent once. If its answer is lost, the state of the machine decides
    whether V(started) and V(stopped) succeed. A V(reset) cannot be seen in this way, so the task
    fails and says that its outcome is unknown.
  - The privileges for V(started), V(stopped) and V(reset) are C(VM.PowerMgmt) and C(VM.Audit) on
    Proxmox VE; C(VirtualMachine.Interact.PowerOn), C(PowerOff) and C(Reset) on VMware; the role
    C(vm-operator) for XAPI; and with access control in libvirtd, C(start), C(stop) and C(reset).
  - On backend C(qemu), V(started), V(stopped) and V(reset) work for VMs that
    M(outofband.chr.qemu_vm) made, whose C(chr_socket) is the C(agent.sock) in their folder. With
    systemd, a start uses the unit of the VM. A reset uses the monitor of QEMU.
  - On backend C(xenstore), they use C(xl) in dom0. C(xl) remembers nothing about a domain that is
    off, so V(started) and V(reset) need the file C(/etc/xen/NAME.cfg) that M(outofband.chr.xl_vm)
    makes, and C(chr_vm) must be that name. A reset destroys the domain and makes it anew. In a dom0
    of XenServer or XCP-ng they are refused, because XAPI starts and stops the VMs there; use
    backend C(xenapi).
  - On the backends C(virtualbox) and C(hyperv), which reach no agent, only V(started), V(stopped) and
    V(reset) work. C(hyperv) uses the OpenSSH server of Windows (C(chr_ssh_host)), and its user must
    be in the group Hyper-V Administrators.
  - On backend C(vmrun), V(rebooted) and V(shutdown) with O(method=agent) are C(vmrun reset) and
    C(vmrun stop) with C(soft). An encrypted VM is refused.
seealso:
  - module: outofband.chr.wait_for_agent
"""

EXAMPLES = r"""
- name: Reboot the router
  outofband.chr.power:
    state: rebooted

- name: Shut it down
  outofband.chr.power:
    state: shutdown
    timeout: 60

- name: Turn it on again, and wait until it has its interfaces
  outofband.chr.power:
    state: started
    wait: ready

- name: Reset a router that does not answer any more
  outofband.chr.power:
    state: reset

# The playbook outofband.chr.device_mode changes a router's device-mode in this way
- name: Let RouterOS begin to wait for its power to be cut
  outofband.chr.script:
    source: ':execute script=":delay 2s; /system device-mode update container=yes"'

- name: Cut the power within five minutes
  outofband.chr.power:
    state: stopped
"""

RETURN = r"""
state:
  description: What was asked for.
  returned: success
  type: str
  sample: rebooted
method:
  description: How it was done, V(script), V(agent) or V(hypervisor).
  returned: success, not in check mode
  type: str
  sample: script
elapsed:
  description: Seconds it took.
  returned: success, not in check mode
  type: float
  sample: 21.4
"""
