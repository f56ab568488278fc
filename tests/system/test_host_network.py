# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role host_network and the module vmware_network: real Linux bridges, virsh, the vCenter
simulator, strict doubles."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = [{"name": "role", "ansible.builtin.include_role": {"name": "outofband.chr.host_network"}}]
SET = "outofband.chr.host_network : Set the port groups and switches of the router's VM"


class Host:
    """A hypervisor: doubles of its programs in front of PATH, and where *inside* is given, network
    and /etc of its own."""

    def __init__(self, folder: Path, state: dict[str, t.Any], programs: tuple[str, ...], inside: int = 0) -> None:
        self._file, self._inside = folder / "host.json", inside
        self._file.write_text(json.dumps(state))
        tools = folder / "bin"
        tools.mkdir()
        for program in programs:
            double = tools / program
            script = ROOT / "tests" / "lab" / "network_tools.py"
            double.write_text(f'#!/bin/sh\nLAB_HOST={self._file} exec {sys.executable} {script} {program} "$@"\n')
            double.chmod(0o755)
        self._python = tools / "python"
        enter = " ".join(self.entering)
        self._python.write_text(f'#!/bin/sh\nPATH={tools}:$PATH exec {enter} {sys.executable} "$@"\n')
        self._python.chmod(0o755)

    @property
    def entering(self) -> list[str]:
        if not self._inside:
            return []
        return ["nsenter", f"--target={self._inside}", "--user", "--net", "--mount", "--preserve-credentials"]

    @property
    def state(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads(self._file.read_text()))

    def hosts(self, **variables: t.Any) -> dict[str, dict[str, t.Any]]:
        """Modules run by way of the interpreter, so it puts them where they belong."""
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(self._python),
            "ansible_pipelining": True,
        }
        return {"hypervisor": {**here, **{f"host_network_{key}": value for key, value in variables.items()}}}

    def run(self, *command: str) -> str:
        done = subprocess.run([*self.entering, *command], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()


# -- Linux bridges ---------------------------------------------------------------------------------


@pytest.fixture
def bridged(tmp_path: Path) -> t.Iterator[Host]:
    """A host with the bridges br0 and br1, in namespaces of its own; whoever runs the tests is root
    there."""
    mounts = "mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /etc/systemd/system; mount -t tmpfs tmpfs /usr/local/sbin"
    links = "for one in br0 br1; do ip link add $one type bridge; ip link set $one up; done"
    process = subprocess.Popen(
        [
            "unshare",
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "sh",
            "-ec",
            f"{mounts}; {links}; echo ready; exec sleep 600",
        ],
        env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    host = None
    try:
        assert process.stdout.readline() == "ready\n"
        host = Host(tmp_path, {}, ("systemctl",), process.pid)
        yield host
    finally:
        for unit in host.state.get("units", {}).values() if host else ():
            if unit["pid"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(unit["pid"], signal.SIGKILL)
        process.kill()
        process.communicate()


def snooping(host: Host, bridge: str) -> str:
    return host.run("cat", f"/sys/class/net/{bridge}/bridge/multicast_snooping")


def wait_for(expected: str, ask: t.Callable[[], str]) -> None:
    deadline = time.monotonic() + 120
    while ask() != expected:
        assert time.monotonic() < deadline, ask()
        time.sleep(0.2)


def test_multicast_snooping_is_off_and_stays_off_whoever_changes_it(bridged, playbook):
    """Manual 6.2, bridge: through netlink and sysfs, as network managers do it, and on a bridge
    that is made anew."""
    hosts = bridged.hosts(platform="qemu", bridges=["br0"])
    checked = playbook(ROLE, hosts, "--check")
    assert checked.rc == 0, checked.output
    assert snooping(bridged, "br0") == "1"
    run = playbook(ROLE, hosts)
    assert run.rc == 0, run.output
    assert (snooping(bridged, "br0"), snooping(bridged, "br1")) == ("0", "1")
    (unit,) = [one for one in bridged.state["units"].values() if one["enabled"]]
    assert unit["pid"]
    again = playbook(ROLE, hosts)
    assert (again.rc, again.changed()) == (0, set()), again.output

    # Whatever switches it on: its events are the service's.
    bridged.run("ip", "link", "set", "br0", "type", "bridge", "mcast_snooping", "1")
    wait_for("0", lambda: snooping(bridged, "br0"))
    bridged.run("sh", "-c", "echo 1 > /sys/class/net/br0/bridge/multicast_snooping")
    wait_for("0", lambda: snooping(bridged, "br0"))
    bridged.run("ip", "link", "del", "br0")
    bridged.run("ip", "link", "add", "br0", "type", "bridge")
    bridged.run("ip", "link", "set", "br0", "up")
    wait_for("0", lambda: snooping(bridged, "br0"))


def test_what_is_not_a_bridge_is_told_before_anything_is_installed(bridged, playbook):
    run = playbook(ROLE, bridged.hosts(platform="linux_bridge", bridges=["br0", "lo", "vmbr9"]))
    assert run.rc == 2
    assert "lo is not a Linux bridge" in run.output
    assert "vmbr9 is not a Linux bridge" in run.output
    assert snooping(bridged, "br0") == "1"
    assert bridged.run("ls", "/usr/local/sbin") == ""


def test_the_program_and_its_service_are_sound(tmp_path):
    files = ROOT / "roles" / "host_network" / "files"
    subprocess.run(["shellcheck", files / "outofband-chr-snooping-off"], check=True)
    if analyze := shutil.which("systemd-analyze"):
        unit = tmp_path / "outofband-chr-snooping-off@.service"
        text = (files / unit.name).read_text().replace("/usr/local/sbin/outofband-chr-snooping-off", "/bin/true")
        unit.write_text(text)
        done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
        assert "snooping" not in done.stderr, done.stderr


# -- one hypervisor after the other ----------------------------------------------------------------


UUIDS = [f"0000000{number}-0000-0000-0000-000000000000" for number in range(5)]
PVE_CARDS = {
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
    "net1": "e1000=BC:24:11:00:00:02,bridge=vmbr1,trunks=5",
}
HYPERVISORS: dict[str, tuple[str, dict[str, t.Any], dict[str, t.Any]]] = {
    "proxmox": (
        "pvesh",
        {"101": {"firewall/options": {}, "config": {"name": "chr1", **PVE_CARDS}}},
        {"platform": "proxmox", "vms": [101], "trunk": ["2-100", "200"]},
    ),
    "one_card": (
        "pvesh",
        {"101": {"firewall/options": {"macfilter": 0}, "config": {"name": "chr1", **PVE_CARDS}}},
        {"platform": "proxmox", "vms": [101], "trunk": ["7"], "nics": [2]},
    ),
    "xen": (
        "xe",
        {
            UUIDS[0]: {
                "name": "chr1",
                "vifs": {UUIDS[3]: {"locking-mode": "network_default"}, UUIDS[4]: {"locking-mode": "unlocked"}},
            }
        },
        {"platform": "xenapi", "vms": ["chr1"]},
    ),
    "virtualbox": (
        "VBoxManage",
        {
            "on": {"running": True, "cards": {"1": "deny", "2": "allow-all"}},
            "off": {"running": False, "cards": {"1": "allow-vms"}},
        },
        {"platform": "virtualbox", "vms": ["on", "off"]},
    ),
    "twins": (
        "xe",
        {UUIDS[1]: {"name": "twin", "vifs": {}}, UUIDS[2]: {"name": "twin", "vifs": {}}},
        {"platform": "xenapi", "vms": ["twin"]},
    ),
    "nobody": ("xe", {}, {"platform": "xe", "vms": ["none"]}),
}
CONFIG = "/nodes/localhost/qemu/101/config"
CHANGES = {
    "proxmox": [
        ["/nodes/localhost/qemu/101/firewall/options", "--macfilter", "0"],
        [CONFIG, "--net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,trunks=2-100;200"],
        [CONFIG, "--net1", "e1000=BC:24:11:00:00:02,bridge=vmbr1,trunks=2-100;200"],
    ],
    "one_card": [[CONFIG, "--net1", "e1000=BC:24:11:00:00:02,bridge=vmbr1,trunks=7"]],
    "xen": [[UUIDS[3], "unlocked"]],
    "virtualbox": [["on", "nicpromisc1", "allow-all"], ["off", "--nicpromisc1", "allow-all"]],
}
"""By hypervisor, each call that changes something."""


def test_what_is_missing_is_set_once_with_the_hypervisors_own_program(tmp_path, playbook):
    """Manual 6.3, MAC addresses, VLAN tags: in check mode nothing, then what differs, then nothing;
    a name means one VM."""
    machines, hosts = {}, {}
    for name, (program, vms, variables) in HYPERVISORS.items():
        (tmp_path / name).mkdir()
        machines[name] = Host(tmp_path / name, {"vms": vms}, (program,))
        hosts[name] = machines[name].hosts(**variables)["hypervisor"]
    checked = playbook(ROLE, hosts, "--check")
    assert [machine.state.get("changes", []) for machine in machines.values()] == [[]] * len(machines)
    run = playbook(ROLE, hosts)
    for one in (checked, run):
        assert "The pool has 2 VMs named twin." in one.output
        assert "The pool has 0 VMs named none." in one.output
    for name, machine in machines.items():
        assert machine.state.get("changes", []) == CHANGES.get(name, []), run.output
    again = playbook(ROLE, {name: hosts[name] for name in CHANGES})
    assert (again.rc, again.changed()) == (0, set()), again.output


DOMAIN = """<domain type="qemu"><name>{name}</name><memory unit="MiB">32</memory><os><type arch="x86_64">hvm</type></os>
<devices><interface type="user">{filter}</interface></devices></domain>"""


def test_libvirt_tells_of_a_filter_that_drops_other_mac_addresses(libvirtd, playbook, tmp_path):
    for name, filter_ in (("free", ""), ("filtered", '<filterref filter="clean-traffic"/>')):
        definition = tmp_path / f"{name}.xml"
        definition.write_text(
            DOMAIN.format(name=name, filter=filter_)
            .replace('type="user"', 'type="bridge"')
            .replace('<interface type="bridge">', '<interface type="bridge"><source bridge="br0"/>')
        )
        libvirtd.virsh("define", str(definition))
    here = {
        "ansible_connection": "local",
        "host_network_platform": "libvirt",
        "host_network_libvirt_uri": libvirtd.uri,
        "host_network_vms": ["free"],
    }
    run = playbook(ROLE, {"kvm1": here})
    assert run.rc == 0, run.output
    run = playbook(ROLE, {"kvm1": {**here, "host_network_vms": ["free", "filtered"]}})
    assert run.rc == 2
    assert "filtered has the filter clean-traffic" in run.output
    assert "virsh edit filtered" in run.output


# The parameters of the cmdlets of module Hyper-V that are used, by their documentation.
CMDLETS = {
    "Get-VMNetworkAdapter": {"VMName"},
    "Set-VMNetworkAdapter": {"VMNetworkAdapter", "MacAddressSpoofing"},
    "Get-VMNetworkAdapterVlan": {"VMNetworkAdapter"},
    "Set-VMNetworkAdapterVlan": {"VMNetworkAdapter", "Trunk", "AllowedVlanIdList", "NativeVlanId"},
    "Sort-Object": {"Unique"},
}


def test_hyper_v_is_asked_only_what_its_cmdlets_take():
    """There is no PowerShell here: cmdlets, parameters and brackets are compared with the
    documentation."""
    (task,) = yaml.safe_load((ROOT / "roles" / "host_network" / "tasks" / "platforms" / "hyperv.yml").read_text())
    script = task["ansible.windows.win_powershell"]["script"]
    code = re.sub(r"#.*|'[^'\n]*'", "", script)
    for opening, closing in ("()", "{}", "[]"):
        assert code.count(opening) == code.count(closing)
    used = re.findall(r"\b([A-Z][a-z]+-[A-Z]\w+)\b([^|\n)]*)", code)
    assert {cmdlet for cmdlet, _rest in used} == CMDLETS.keys()
    for cmdlet, rest in used:
        assert set(re.findall(r" -([A-Z]\w*)", re.sub(r"-join.*", "", rest))) <= CMDLETS[cmdlet]
    (parameters,) = re.findall(r"(?s)param \(.*?\n\)", script)
    declared = set(re.findall(r"\] \$(\w+)(?= =|,|\n)", parameters))
    assert declared == task["ansible.windows.win_powershell"]["parameters"].keys()


# -- VMware ----------------------------------------------------------------------------------------


class Networks:
    """What another client sees and sets: the networks of a VM of the simulator."""

    def __init__(self, vcenter: t.Any, vmware_guest: t.Callable[..., t.Any], name: str) -> None:
        self._guest = vmware_guest(vcenter, name)
        self._vsphere, self._moid = self._guest._vsphere, vcenter.vm(name)["moid"]

    def card(self) -> t.Any:
        devices = self._vsphere.properties(self._moid, ["config.hardware.device"])["config.hardware.device"]
        (found,) = [one for one in devices if hasattr(one, "macAddress")]
        return found

    def connect(self, network: str) -> None:
        """The card goes to a port group of a standard switch."""
        from pyVmomi import vim

        card = self.card()
        card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
        spec = vim.vm.ConfigSpec(deviceChange=[change])
        vm = self._vsphere.object("VirtualMachine", self._moid)
        self._vsphere.call("ReconfigVM_Task", lambda: vm.ReconfigVM_Task(spec))

    def switch_off(self) -> None:
        vm = self._vsphere.object("VirtualMachine", self._moid)
        self._vsphere.call("PowerOffVM_Task", vm.PowerOffVM_Task)

    def standard(self) -> list[tuple[t.Any, t.Any]]:
        """The port group "VM Network" and its switch, on each host."""
        (network,) = self._vsphere.properties(self._moid, ["network"])["network"]
        found = []
        for host in self._vsphere.properties(network._moId, ["host"], "Network")["host"]:
            system = self._vsphere.properties(host._moId, ["configManager.networkSystem"], "HostSystem")
            moid = system["configManager.networkSystem"]._moId
            info = self._vsphere.properties(moid, ["networkInfo"], "host.NetworkSystem")["networkInfo"]
            found += [(group, info.vswitch[0]) for group in info.portgroup if group.spec.name == "VM Network"]
        return found

    def distributed(self) -> tuple[t.Any, t.Any]:
        """The configuration of the port group, and of its switch."""
        (network,) = self._vsphere.properties(self._moid, ["network"])["network"]
        kind = "dvs.DistributedVirtualPortgroup"
        group = self._vsphere.properties(network._moId, ["config"], kind)["config"]
        switch = group.distributedVirtualSwitch
        kind = type(switch).__name__.removeprefix("vim.")
        return group, self._vsphere.properties(switch._moId, ["config"], kind)["config"]


def test_a_port_group_of_a_standard_switch_passes_everything_on_each_host(vcenter, playbook, vmware_guest):
    """Manual 6.4, ESXi: promiscuous mode; and 6.3: other MAC addresses, VLAN tags; 6.1: MTU.

    What is not named stays.
    """
    vc = vcenter("chr1")
    seen = Networks(vc, vmware_guest, "chr1")
    seen.connect("VM Network")
    before = seen.standard()
    assert len(before) == 3
    hosts = {"chr1": vc.variables(host_network_platform="vmware", host_network_trunk=["all"], host_network_mtu=9000)}
    checked = playbook(ROLE, hosts, "--check", "--diff")
    assert checked.rc == 0, checked.output
    assert "promiscuous: True" in checked.output
    assert [switch.mtu for _group, switch in seen.standard()] == [switch.mtu for _group, switch in before]
    run = playbook(ROLE, hosts)
    assert run.rc == 0, run.output
    for (group, switch), (old, _switch) in zip(seen.standard(), before, strict=True):
        security = group.computedPolicy.security
        assert (security.allowPromiscuous, security.macChanges, security.forgedTransmits) == (True, True, True)
        assert (group.spec.vlanId, group.spec.vswitchName, switch.mtu) == (4095, old.spec.vswitchName, 9000)
        assert repr(group.spec.policy.nicTeaming) == repr(old.spec.policy.nicTeaming)
    again = playbook(ROLE, hosts)
    assert (again.rc, again.changed()) == (0, set()), again.output


def test_a_distributed_port_group_passes_ranges_of_vlans(vcenter, playbook, vmware_guest):
    """Manual 6.3, VLAN tags: only what is named is sent to VMware, and the rest stays."""
    vc = vcenter("chr1")
    seen = Networks(vc, vmware_guest, "chr1")
    old, _switch = seen.distributed()
    more = {"host_network_trunk": ["100-199", "7"], "host_network_mtu": 9000, "host_network_promiscuous": False}
    hosts = {"chr1": vc.variables(host_network_platform="vmware", **more)}
    run = playbook(ROLE, hosts)
    assert run.rc == 0, run.output
    group, switch = seen.distributed()
    port = group.defaultPortConfig
    assert [(one.start, one.end) for one in port.vlan.vlanId] == [(7, 7), (100, 199)]
    assert (port.securityPolicy.forgedTransmits.value, port.securityPolicy.macChanges.value) == (True, True)
    assert not getattr(port.securityPolicy.allowPromiscuous, "value", False)
    assert (group.name, group.numPorts, group.type) == (old.name, old.numPorts, old.type)
    assert switch.maxMtu == 9000
    again = playbook(ROLE, hosts)
    assert (again.rc, again.changed()) == (0, set()), again.output


def test_a_card_from_before_the_mtu_was_raised_is_added_again_as_it_was(vcenter, playbook, vmware_guest):
    """Manual 6.1, re-adding: in one step, with its MAC address and network, while the router is
    off."""
    vc = vcenter("chr1")
    seen = Networks(vc, vmware_guest, "chr1")
    old = seen.card()
    hosts = {"chr1": vc.variables(host_network_platform="vmware", host_network_add_again=[old.macAddress.upper()])}
    run = playbook(ROLE, hosts)
    assert "is not switched off" in run.of(SET)["result"]["msg"]
    assert seen.distributed()[0].defaultPortConfig.securityPolicy is None
    seen.switch_off()
    run = playbook(ROLE, hosts)
    assert run.rc == 0, run.output
    new = seen.card()
    assert new.key != old.key
    for part in ("macAddress", "addressType", "unitNumber", "wakeOnLanEnabled"):
        assert getattr(new, part) == getattr(old, part)
    assert (type(new), new.backing.port.portgroupKey) == (type(old), old.backing.port.portgroupKey)


def test_a_router_that_runs_is_restarted_for_its_card_if_that_is_allowed(vcenter, playbook, vmware_guest):
    vc = vcenter("chr1")
    seen = Networks(vc, vmware_guest, "chr1")
    old = seen.card()
    settings = {"host_network_add_again": [old.macAddress], "host_network_restart": True}
    hosts = {"chr1": vc.variables(host_network_platform="vmware", **settings)}
    would = playbook(ROLE, hosts, "--check")
    assert (would.rc, seen.card().key) == (0, old.key), would.output
    vc.router("chr1").run('/system script add name=poweroff source="/system identity set name=was-off"')
    run = playbook(ROLE, hosts)
    assert run.rc == 0, run.output
    assert (seen.card().key != old.key, seen.card().macAddress) == (True, old.macAddress)
    assert vmware_guest(vc, "chr1").power().is_on()
    assert vc.router("chr1").identity == "was-off"


def test_a_card_that_was_added_again_is_a_change_although_the_router_is_not_back(vcenter, playbook, vmware_guest):
    vc = vcenter("chr1")
    seen = Networks(vc, vmware_guest, "chr1")
    old = seen.card()
    vc.fault("PowerOnVM_Task", "NotEnoughLicenses")
    task = {"name": "again", "outofband.chr.vmware_network": {"add_again": [old.macAddress], "restart": True}}
    run = playbook([task], {"chr1": vc.variables()})
    line = run.of("again")
    assert (line["status"], line["result"]["changed"], seen.card().key != old.key) == ("failed", True, True), run.output


BAD: dict[str, tuple[dict[str, t.Any], str]] = {
    "network": ({"networks": ["LAN"]}, "'chr1' has no network card on LAN. Its networks are DC0_DVPG0."),
    "vlan": ({"trunk": ["1-5000"]}, "'1-5000' is not a valid range of VLANs: use numbers from 0 to 4094"),
    "word": ({"trunk": ["some"]}, "'some' is not a VLAN"),
    "mtu": ({"mtu": 9216}, "mtu 9216 is not valid: it must be 1280 to 9000"),
    "card": ({"add_again": ["00:00:00:00:00:01"]}, "'chr1' has no network card 00:00:00:00:00:01. It has 00:"),
    "denied": ({"promiscuous": True}, "may not change distributed port group DC0_DVPG0"),
}


def test_what_cannot_be_is_told_and_nothing_is_set(vcenter, playbook, vmware_guest):
    vc = vcenter("chr1")
    vc.fault("ReconfigureDVPortgroup_Task", "NoPermission")
    hosts = {name: vc.variables(chr_vm="chr1", options=options) for name, (options, _said) in BAD.items()}
    tasks = [{"name": "set", "outofband.chr.vmware_network": "{{ options }}"}]
    run = playbook(tasks, hosts)
    for name, (_options, said) in BAD.items():
        assert said in run.of("set", name)["result"]["msg"]
    seen = Networks(vc, vmware_guest, "chr1")
    assert seen.distributed()[0].defaultPortConfig.securityPolicy is None
    seen.connect("VM Network")
    one = {"name": "set", "outofband.chr.vmware_network": {"trunk": ["7"]}}
    assert "Ranges need a distributed switch" in playbook([one], {"chr1": vc.variables()}).of("set")["result"]["msg"]
