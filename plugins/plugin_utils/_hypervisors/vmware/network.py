# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The networks of a router's VM on VMware: foreign MAC addresses, VLAN tags, jumbo frames.

Source: vendor's manual, sections 6.1 (MTU), 6.3 and 6.4. Only the requested settings are changed.
An object is changed in one call. Its other settings are sent as they were read or, at a distributed
switch, not at all.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass
from urllib.parse import unquote

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput, NotPossible

from .settings import Change, differing, refused
from .vsphere import Vsphere, library

ALL = ((0, 4094),)
"""Every VLAN."""
_GUEST_TAGS = 4095  # at a standard port group, the guest gets and sends all tags
_TASK = 120.0  # seconds
_GROUP = "dvs.DistributedVirtualPortgroup"
_SECURITY = {
    "promiscuous": "allowPromiscuous",
    "mac_changes": "macChanges",
    "forged_transmits": "forgedTransmits",
}


@dataclass(frozen=True)
class NetworkSettings:
    """The requested settings. A setting that is None stays as it is."""

    promiscuous: bool | None = None
    mac_changes: bool | None = None
    forged_transmits: bool | None = None
    trunk: tuple[tuple[int, int], ...] | None = None
    """The ranges of VLANs that reach the VM with their tags. ALL stands for every VLAN."""
    mtu: int | None = None
    """The MTU of the switch in bytes."""

    @property
    def security(self) -> dict[str, t.Any]:
        return {name: getattr(self, name) for name in _SECURITY}


def ranges(texts: list[str]) -> tuple[tuple[int, int], ...]:
    """Parse and sort ``["1-100", "200"]`` or ``["all"]``. Raises InvalidInput."""
    if texts == ["all"]:
        return ALL
    found = []
    for text in texts:
        first, _dash, last = text.partition("-")
        if not first.strip().isdecimal() or (_dash and not last.strip().isdecimal()):
            raise InvalidInput(
                f"trunk: {text!r} is not a VLAN, not a range such as 1-100, and not all as the only value."
            )
        pair = int(first), int(last or first)
        if not 0 <= pair[0] <= pair[1] <= 4094:
            raise InvalidInput(f"trunk: {text!r} is not a valid range of VLANs: use numbers from 0 to 4094.")
        found.append(pair)
    if not found:
        raise InvalidInput("trunk is empty: name VLANs, or all.")
    return tuple(sorted(found))


class VmwareNetwork:
    """The networks of one VM."""

    def __init__(self, vsphere: Vsphere, moid: str, vm: str) -> None:
        self._vsphere, self._moid, self._vm = vsphere, moid, vm

    def plan(self, wanted: NetworkSettings, names: list[str] | None) -> list[Change]:
        """The changes to the VM's networks *names*, or to all of them if *names* is None.

        Raises ChrError.
        """
        connected = self._vsphere.properties(self._moid, ["network"]).get("network") or []
        networks = {}
        for one in connected:
            kind = _kind(one)
            name = unquote(str(self._vsphere.properties(one._moId, ["name"], kind).get("name")))
            networks[name] = (kind, one)
        if missing := [name for name in names or () if name not in networks]:
            raise InvalidInput(
                f"{self._vm!r} has no network card on {', '.join(missing)}. Its networks are {', '.join(sorted(networks))}."
            )
        changes: dict[str, Change] = {}
        for name in names or sorted(networks):
            kind, network = networks[name]
            if kind == "OpaqueNetwork":
                raise NotPossible(f"The network {name!r} is managed by NSX. Set its segment profiles there.")
            plan = self._distributed if kind == _GROUP else self._standard
            for change in plan(name, network, wanted):
                changes.setdefault(change.of, change)  # two port groups can have one switch
        return list(changes.values())

    # -- standard switches -------------------------------------------------------------------------

    def _standard(self, name: str, network: t.Any, wanted: NetworkSettings) -> t.Iterator[Change]:
        """The changes on every host that has the port group, as the VM can move to it."""
        if wanted.trunk not in (None, ALL):
            raise NotPossible(
                f"The port group {name!r} is on a standard switch, which passes all VLANs or one, so trunk can only be all. "
                "Ranges need a distributed switch."
            )
        hosts = self._vsphere.properties(network._moId, ["host"], "Network").get("host") or []
        for host in hosts:
            about = self._vsphere.properties(host._moId, ["name", "configManager.networkSystem"], "HostSystem")
            system = about["configManager.networkSystem"]._moId
            info = self._vsphere.properties(system, ["networkInfo"], "host.NetworkSystem")["networkInfo"]
            group = next((one for one in info.portgroup if one.spec.name == name), None)
            if group is None:
                continue
            if wanted.mtu is not None:
                for switch in info.vswitch:
                    if switch.name == group.spec.vswitchName:
                        yield from self._vswitch(about["name"], system, switch, wanted.mtu)
            yield from self._port_group(about["name"], system, group, wanted)

    def _vswitch(self, host: str, system: str, switch: t.Any, mtu: int) -> t.Iterator[Change]:
        if switch.mtu == mtu:
            return
        spec = switch.spec
        spec.mtu = mtu
        of = f"switch {switch.name} on {host}"
        update = functools.partial(self._call, of, system, "UpdateVirtualSwitch", switch.name, spec)
        yield Change(of, {"mtu": switch.mtu}, {"mtu": mtu}, update)

    def _port_group(self, host: str, system: str, group: t.Any, wanted: NetworkSettings) -> t.Iterator[Change]:
        """Override on the port group only the settings whose effective value differs.

        The effective value may be inherited from the switch.
        """
        spec = group.spec
        in_force = group.computedPolicy.security if group.computedPolicy else None
        now = {name: getattr(in_force, of, None) for name, of in _SECURITY.items()} | {"vlan": spec.vlanId}
        vlan = _GUEST_TAGS if wanted.trunk else None
        change = differing(now, {**wanted.security, "vlan": vlan})
        if not change:
            return
        host_types = library().vim.host.NetworkPolicy
        spec.policy = spec.policy or host_types()
        spec.policy.security = spec.policy.security or host_types.SecurityPolicy()
        for name in change.keys() & _SECURITY.keys():
            setattr(spec.policy.security, _SECURITY[name], change[name])
        if "vlan" in change:
            spec.vlanId = vlan
        of = f"port group {spec.name} on {host}"
        update = functools.partial(self._call, of, system, "UpdatePortGroup", spec.name, spec)
        yield Change(of, {name: now[name] for name in change}, change, update)

    def _call(self, of: str, system: str, method: str, *arguments: t.Any) -> None:
        def send() -> None:
            getattr(self._vsphere.object("host.NetworkSystem", system), method)(*arguments)

        try:
            self._vsphere.call(method, send, changes=True)
        except library().vmodl.MethodFault as error:
            raise refused(self._vsphere, of, error) from error

    # -- distributed switches ----------------------------------------------------------------------

    def _distributed(self, name: str, network: t.Any, wanted: NetworkSettings) -> t.Iterator[Change]:
        dvs = library().vim.dvs
        config = self._vsphere.properties(network._moId, ["config"], _GROUP)["config"]
        if wanted.mtu is not None:
            yield from self._dvs(config.distributedVirtualSwitch, wanted.mtu)
        port = config.defaultPortConfig
        policy = getattr(port, "securityPolicy", None)
        now: dict[str, t.Any] = {
            name: bool(getattr(getattr(policy, of, None), "value", False)) for name, of in _SECURITY.items()
        }
        now["trunk"] = _trunk(getattr(port, "vlan", None))
        change = differing(now, {**wanted.security, "trunk": wanted.trunk})
        if not change:
            return
        vmware = dvs.VmwareDistributedVirtualSwitch
        setting = vmware.VmwarePortConfigPolicy()
        if flags := change.keys() & _SECURITY.keys():
            setting.securityPolicy = vmware.SecurityPolicy(inherited=False)
            for one in flags:
                value = library().vim.BoolPolicy(inherited=False, value=change[one])
                setattr(setting.securityPolicy, _SECURITY[one], value)
        if "trunk" in change:
            spans = [library().vim.NumericRange(start=first, end=last) for first, last in change["trunk"]]
            setting.vlan = vmware.TrunkVlanSpec(inherited=False, vlanId=spans)
        spec = dvs.DistributedVirtualPortgroup.ConfigSpec(configVersion=config.configVersion, defaultPortConfig=setting)
        of = f"distributed port group {name}"
        update = functools.partial(self._task, of, _GROUP, network._moId, "ReconfigureDVPortgroup_Task", spec)
        yield Change(of, {key: now[key] for key in change}, change, update)

    def _dvs(self, switch: t.Any, mtu: int) -> t.Iterator[Change]:
        kind, moid = _kind(switch), switch._moId
        state = self._vsphere.properties(moid, ["name", "config"], kind)
        config = state["config"]
        if config.maxMtu == mtu:
            return
        spec = library().vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(
            configVersion=config.configVersion, maxMtu=mtu
        )
        of = f"distributed switch {state['name']}"
        update = functools.partial(self._task, of, kind, moid, "ReconfigureDvs_Task", spec)
        yield Change(of, {"mtu": config.maxMtu}, {"mtu": mtu}, update)

    def _task(self, of: str, kind: str, moid: str, method: str, *arguments: t.Any) -> None:
        def start() -> t.Any:
            return getattr(self._vsphere.object(kind, moid), method)(*arguments)

        try:
            self._vsphere.run(method, start, Deadline(_TASK), of)
        except library().vmodl.MethodFault as error:
            raise refused(self._vsphere, of, error) from error

    # -- cards that are older than the MTU ---------------------------------------------------------

    def plan_again(self, macs: list[str], *, may_run: bool = False) -> list[Change]:
        """Plan to remove the cards with these MAC addresses and add them again, in one step.

        Unless the VM *may_run* now, because it will be off then, it must be off. Raises ChrError.
        """
        if not macs:
            return []
        state = self._vsphere.properties(self._moid, ["config.hardware.device", "runtime.powerState"])
        cards = {
            str(one.macAddress).lower(): one
            for one in state.get("config.hardware.device") or []
            if isinstance(one, library().vim.vm.device.VirtualEthernetCard)
        }
        wanted = [mac.lower() for mac in macs]
        if missing := [mac for mac in wanted if mac not in cards]:
            raise InvalidInput(
                f"{self._vm!r} has no network card {', '.join(missing)}. It has {', '.join(sorted(cards))}."
            )
        if not may_run and str(state.get("runtime.powerState")) != "poweredOff":
            raise NotPossible(
                f"{self._vm!r} is not switched off. Shut it down first, or allow a restart with restart: true. How a running "
                "router takes the loss of a card is unknown."
            )
        changes = [change for mac in wanted for change in _again(cards[mac])]
        spec = library().vim.vm.ConfigSpec(deviceChange=changes)
        of = f"the network cards {', '.join(wanted)} of {self._vm!r}"
        update = functools.partial(self._task, of, "VirtualMachine", self._moid, "ReconfigVM_Task", spec)
        return [Change(of, {"added": "before"}, {"added": "again"}, update)]


def _kind(thing: t.Any) -> str:
    """The type of a managed object, as a value for ``Vsphere.object``."""
    return type(thing).__name__.removeprefix("vim.")


def _trunk(vlan: t.Any) -> tuple[tuple[int, int], ...] | None:
    """The ranges of a trunk. None if *vlan* is not a trunk."""
    if not isinstance(vlan, library().vim.dvs.VmwareDistributedVirtualSwitch.TrunkVlanSpec):
        return None
    return tuple(sorted((one.start, one.end) for one in vlan.vlanId))


def _again(card: t.Any) -> list[t.Any]:
    """Remove *card* and add a new one with the same type, network, MAC address and slot.

    The API reference says that a client may set ``macAddress`` with every type of address. The type
    stays the same.
    """
    device = library().vim.vm.device
    backing = card.backing
    if isinstance(backing, device.VirtualEthernetCard.DistributedVirtualPortBackingInfo):
        port = library().vim.dvs.PortConnection(
            switchUuid=backing.port.switchUuid, portgroupKey=backing.port.portgroupKey
        )
        backing = device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    new = type(card)(
        key=-1,
        backing=backing,
        connectable=card.connectable,
        controllerKey=card.controllerKey,
        unitNumber=card.unitNumber,
        addressType=card.addressType,
        macAddress=card.macAddress,
        wakeOnLanEnabled=card.wakeOnLanEnabled,
    )
    spec = device.VirtualDeviceSpec
    return [spec(operation="remove", device=card), spec(operation="add", device=new)]
