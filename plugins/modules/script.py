# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: script
author: The outofband.chr authors (@outofband)
short_description: Run a RouterOS script through the guest agent
version_added: 1.0.0
description:
  - Runs RouterOS source on a Cloud Hosted Router through its hypervisor's guest agent, and returns
    what it printed.
  - A script that RouterOS cannot parse does not run at all. One that fails while it runs stops
    there, what it did before stays done, and the task fails with RouterOS's own text.
  - A script is sent once. When the answer is lost, the task fails and says so, and never runs it
    again.
  - On backend C(xenapi), a script comes with a start of the VM or a restart, see
    O(outofband.chr.guest_agent#connection:exec_mode). So do O(unless) and O(only_if), with a boot
    of their own, and each 1.4 KB of a longer script. A script that restarts the router itself fails
    there, because its end cannot be seen.
options:
  source:
    description:
      - The script as text, as typed in a RouterOS terminal, or as a list of its lines. UTF-8, without NUL, at most 256 KiB, or
        less (32 KiB for backends C(xenapi) and C(xenstore), 96 KiB for C(libvirt)).
    type: raw
  src:
    description:
      - A script file on the controller. A relative path is looked for in C(files/) of the role or
        play, then next to it.
      - A file encrypted with Ansible Vault is decrypted in memory.
    type: path
  guest_file:
    description:
      - A script file on the router, such as one that M(outofband.chr.copy) has put there. That
        works on backends C(vmware) and C(xenstore), too, with up to 60 KiB of text.
      - The connection's O(outofband.chr.guest_agent#connection:exec_mode) says how it is run.
    type: str
  timeout:
    description:
      - Seconds to wait for the end of the script, instead of the connection's
        O(outofband.chr.guest_agent#connection:script_timeout).
      - A script that takes longer continues on the router. The task fails with RV(timed_out) and
        the job's id.
      - On backend C(xenapi) it counts for each boot, from the moment in which the VM runs, so the
        time to boot is part of it.
    type: float
  unless:
    description:
      - A RouterOS expression that is true or false. When it is true, the script is not run, and
        nothing is changed.
      - It is evaluated in check mode too, so it must not change anything.
    type: str
  only_if:
    description:
      - A RouterOS expression that is true or false. When it is false, the script is not run, and
        nothing is changed.
      - It is evaluated in check mode too, so it must not change anything.
    type: str
  read_error:
    description:
      - On backend C(vmware), which returns no output, read the last line that a script printed
        before it failed, up to 120 bytes of it, for the message. That takes 6 to 8 short jobs on the
        router for each character, so it is off by default.
      - The file with the whole text stays on the router, as it does without this option. With
        C(no_log), nothing is read. On other backends, the message has RouterOS's words anyway.
    type: bool
    default: false
extends_documentation_fragment:
  - outofband.chr.attributes
  - outofband.chr.attributes.router
attributes:
  check_mode:
    support: full
    details:
      - O(unless) and O(only_if) are evaluated, the script is not run. Without them, a change is
        predicted, and so it is on backend C(xenapi), where evaluating them needs a boot.
  diff_mode:
    support: partial
    details:
      - Shows the script that runs or would run. What it changes is not known before it runs.
      - Nothing is shown with C(no_log), and the content of a vaulted O(src) is not shown. Set
        C(diff) to V(false) if O(source) holds a secret.
seealso:
  - module: outofband.chr.copy
notes:
  - Set C(no_log) on tasks whose script holds a secret, because the script's output and RouterOS's
    errors can repeat it. The reason of a failure is then hidden. Ways that would show the script or
    leave it in a file are then not used, such as V(file) of Proxmox VE, V(commands) of
    backend C(xenstore), and pieces of a long script on both Xen backends.
"""

EXAMPLES = r"""
- name: Give the router an address
  outofband.chr.script:
    source: /ip address add address=192.0.2.1/24 interface=ether1
    unless: '[:len [/ip address find address="192.0.2.1/24"]] > 0'

- name: Run a script of the role's files folder
  outofband.chr.script:
    src: baseline.rsc

- name: Run a file on the router
  outofband.chr.script:
    guest_file: baseline.rsc
    timeout: 300

- name: Read the configuration, and fail if RouterOS says that menus are missing from it
  outofband.chr.script:
    source: /export
  register: export
  changed_when: false
  failed_when: export.rc != 0 or export.stdout is search('^# *(error exporting|interrupted)', multiline=true)

- name: Read something
  outofband.chr.script:
    source: ':put [/system resource get version]'
  register: version
  changed_when: false
"""

RETURN = r"""
rc:
  description:
    - V(0) the script ended well, V(-1) RouterOS reported an error, V(1) the agent stopped it at a
      time limit of its own.
    - Not set (null) when it was still running at the end of O(timeout).
  returned: when the script was run, and V(0) when O(unless) or O(only_if) made it unnecessary
  type: int
  sample: 0
stdout:
  description:
    - What the script printed, with C(\n) line ends and without the last line end, as
      M(ansible.builtin.command) has it. After an error, RouterOS's text stands at the end.
    - Bytes that are not UTF-8 survive into a file that M(ansible.builtin.copy) writes, and are
      shown as C(?). See O(outofband.chr.guest_agent#connection:encoding).
    - Empty when O(unless) or O(only_if) made the script unnecessary.
    - Backends C(xenapi) and C(xenstore) carry 1,536 bytes. A warning tells when the output is not
      whole.
    - At most 4 MiB and 100,000 lines are returned, see RV(truncated).
  returned: not in check mode
  type: str
  sample: "7.22 (stable)"
stdout_lines:
  description: RV(stdout) in lines.
  returned: not in check mode
  type: list
  elements: str
  sample: ["7.22 (stable)"]
truncated:
  description:
    - Whether a part of the output is missing in RV(stdout), because the way to the agent or this
      module cut it. A warning says which.
  returned: when the script was run
  type: bool
  sample: false
start:
  description: When the script was handed over, by the controller's clock.
  returned: when the script was run
  type: str
  sample: "2026-01-31T12:00:00.000000+00:00"
end:
  description: When its end was seen, by the controller's clock.
  returned: when the script was run
  type: str
  sample: "2026-01-31T12:00:00.050000+00:00"
delta:
  description: The time between.
  returned: when the script was run
  type: str
  sample: "0:00:00.050000"
timed_out:
  description: Whether the script did not end in time.
  returned: when the script was run
  type: bool
  sample: false
job:
  description: The agent's id of the job.
  returned: when the script was run
  type: str
  sample: "104"
backend:
  description: The way to the agent.
  returned: when the script was run
  type: str
  sample: qemu
exec_mode:
  description: How the script was handed over, a value of
    O(outofband.chr.guest_agent#connection:exec_mode).
  returned: when the script was run
  type: str
  sample: inline
output_available:
  description:
    - Whether this way to the agent carries a script's output. It is V(false) for backend C(vmware),
      and RV(stdout) is empty then.
  returned: when the script was run
  type: bool
  sample: true
import_confirmed:
  description:
    - Whether RouterOS itself said that the import of O(guest_file) was a success (C(Script file
      loaded and executed successfully)). Without this, the task fails on RouterOS 7.22 and later,
      which is known to say it, and warns on others.
    - Null if that cannot be seen (backend C(vmware), the way V(path) of C(chr_exec_mode), a script
      that failed, output that was cut).
  returned: when O(guest_file) was run
  type: bool
  sample: true
skipped_reason:
  description: Which condition made the script unnecessary.
  returned: when O(unless) or O(only_if) made it unnecessary
  type: str
  sample: 'unless is true on the router: [:len [/ip address find]] > 0'
"""
