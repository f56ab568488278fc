# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: routers
author: The outofband.chr authors (@outofband)
short_description: The CHRs of hypervisors, ready to be reached through their guest agents
version_added: 1.0.0
description:
  - It lists the VMs of any number of Proxmox VE clusters, vCenters and ESXi hosts, XAPI pools,
    libvirt daemons, and machines with plain QEMU processes. Those that are CHRs become hosts with
    the connection P(outofband.chr.guest_agent#connection).
  - The name of its file ends in C(.chr.yml) or C(.chr.yaml).
  - A file is one source, with the options of its server at the top level, or it has a list
    O(sources). Then an option at the top level is the default of all sources.
  - The options that reach a server have the names that they have in
    P(outofband.chr.guest_agent#connection). They may be templates, for example with
    P(ansible.builtin.env#lookup), and values that C(ansible-vault) has encrypted. An encrypted
    value never becomes a variable.
  - B(Logins.) A password or the secret of a token never becomes a variable of a host, and is never
    in the cache. Playbooks need it, too. Give it to them in the environment, or as
    C(chr_api_password) or C(chr_api_token_secret) in C(group_vars) of the source's group. O(api_user)
    and O(api_token_id) in the file become variables of that group, which C(group_vars) can replace.
  - B(Environment.) Options that are left out may come from the environment, as in
    P(outofband.chr.guest_agent#connection). They do not become variables of hosts then, because
    a playbook has the environment, too. Only the address of the server does, that is O(api_host),
    O(api_port), O(ssh_host) on backend V(qemu), and O(libvirt_uri) unless it has parameters, such as
    C(?keyfile=).
  - B(Files.) O(ca_path), O(ssh_args) and the parameters of O(libvirt_uri) become variables only if
    the file has them as they are. From the environment or a template, they can name a file that
    exists for one job only, such as a key that AWX writes for it.
  - B(Variables of a host.) Those of its connection are C(ansible_connection), C(chr_backend),
    C(chr_vm) (a vmid, uuid or moid, which stays the same when the VM gets another name; with plain
    QEMU the path of the socket), and where its server is, such as C(chr_api_host), C(chr_node) or C(chr_socket).
  - The others are for groups and conditions. They are C(chr_source), C(chr_vm_name),
    C(chr_power_state) (C(running), C(stopped), C(suspended) or C(unknown)), C(chr_template),
    C(chr_hypervisor) (the node or host), C(chr_hypervisor_online), C(chr_cluster), C(chr_folder),
    C(chr_pool), C(chr_tags), C(chr_cpus), C(chr_memory) (in MiB), C(chr_networks), C(chr_addresses),
    C(chr_configured_os), C(chr_reported_os), C(chr_image) (the sha256 of the image that this
    collection made the VM from) and C(chr_recognised_by) (the rule of O(recognise)). Where the
    hypervisor gives no value, a variable is null or an empty list.
  - The group of a source has C(chr_source), too.
  - B(Text of others.) Names, tags and other texts of a hypervisor are never evaluated as templates.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [outofband.chr.routers]
  sources:
    description:
      - The sources, each a dictionary with O(name), O(filters), O(recognise), O(agent_timeout),
        O(details), O(addresses), O(powered_off), O(templates), O(offline_nodes),
        O(on_unreachable), and the options of its O(backend).
      - An option that a source does not have is that of the file.
    type: list
    elements: dict
  name:
    description:
      - The name of the source, which is that of a group with all its routers. It has letters, digits
        and C(_).
      - If it is left out, it is made of the backend and the server, such as
        C(proxmox_pve1_example_net).
    type: str
  filters:
    description:
      - Conditions of Jinja with the variables of a host, such as C('edge' in chr_tags). Only VMs for
        which all of them are true are looked at.
      - The conditions see what the list of VMs shows. On backends V(proxmox) and V(libvirt),
        C(chr_networks) and C(chr_image) need O(details).
    type: list
    elements: str
    default: []
  recognise:
    description:
      - The rules that decide which VMs are CHRs. They are tried in order for each VM, and the first
        rule that fits makes it a host.
      - V(mark) fits a VM that this collection has imported. On backends V(proxmox) and V(libvirt), the
        list of VMs does not show that, so the configuration of each VM that no earlier rule has
        decided is read.
      - "V(tag) fits a VM with one of the tags C(chr), C(routeros) and C(mikrotik). An entry
        C(tag: edge) or C(tag: [edge, core]) names others."
      - "V(name) fits if a regular expression is found in the name of the VM, as in C(name: ^edge-).
        Without one, it is a name with the word C(chr), C(routeros) or C(mikrotik)."
      - "V(os) fits if a regular expression is found in the guest's system, as the VM is configured or
        as its tools report it, as in C(os: RouterOS). Without one, it is C(routeros) or C(mikrotik)."
      - V(agent) fits if the guest agent says that the system is RouterOS. Only VMs that run and that
        no earlier rule has decided are asked, up to 16 of a server side by side, each for at most 5
        seconds.
      - V(all) fits every VM.
      - If it is left out, the rules are V(mark), V(tag), V(name) and V(os), with only what the list of
        VMs shows. Nothing is asked about a single VM then.
    type: raw
  agent_timeout:
    description:
      - The seconds for the agents of all VMs of a source together, with the rule V(agent) of
        O(recognise), and with O(addresses).
    type: float
    default: 60
  details:
    description:
      - Whether to read the configuration of each VM, with one call for each, before O(filters).
      - Backends V(proxmox) and V(libvirt) need this for C(chr_networks), C(chr_image) and
        C(chr_configured_os). Other backends show them in the list of VMs and read nothing more.
    type: bool
    default: false
  addresses:
    description:
      - Whether the agents of the routers are asked for C(chr_addresses) where the list of VMs does not
        have them.
    type: bool
    default: false
  powered_off:
    description:
      - Whether VMs that are off become hosts. V(group) makes them hosts in the group
        C(chr_powered_off).
    type: str
    choices: [include, exclude, group]
    default: include
  templates:
    description:
      - Whether templates become hosts. V(group) makes them hosts in the group C(chr_templates).
    type: str
    choices: [include, exclude, group]
    default: exclude
  offline_nodes:
    description:
      - Whether VMs of an offline node become hosts. V(group) makes them hosts in the group
        C(chr_offline).
    type: str
    choices: [include, exclude, group]
    default: include
  on_unreachable:
    description:
      - What happens if the VMs of a source cannot be listed, because its server is not reached or
        refuses the login, for example.
      - With V(error), the file gives no routers. Ansible then goes on with the other files, and fails
        only if no file can be read and C(ANSIBLE_INVENTORY_UNPARSED_FAILED=true) is set, or with
        C(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true) in any case.
      - With V(warn), the routers of the other sources stay, and those of this one are missing. A playbook
        cannot see that. So do not use it for an audit that raises an alarm, nor in AWX, which then
        deletes these hosts if the source has C(overwrite).
    type: str
    choices: [error, warn]
    default: error
  hostnames:
    description:
      - Expressions of Jinja for the name of a host, with its variables. The first one that gives a
        valid name is used.
      - If none does, the characters that a name cannot have are replaced, and a warning says so.
      - If two VMs have the same name, the source or C(chr_vm) is added to the names of both hosts, and
        a warning says so.
      - A host that is in the inventory already becomes the VM of this name only if it is in the group of
        the source and is not another VM. Otherwise the VM gets another name in the same way.
    type: list
    elements: str
    default: [chr_vm_name]
notes:
  - The sources are asked at the same time. A list of VMs needs at most three API calls, however many
    VMs there are.
  - A relative O(ca_path) begins in the folder of the file.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
  - outofband.chr.guest
  - outofband.chr.ssh
  - outofband.chr.api
  - outofband.chr.qemu
  - outofband.chr.qemu.inventory
  - outofband.chr.libvirt
  - outofband.chr.proxmox
  - outofband.chr.vmware
  - outofband.chr.xenapi
seealso:
  - plugin: outofband.chr.guest_agent
    plugin_type: connection
"""

EXAMPLES = r"""
# fleet.chr.yml: all CHRs of a Proxmox VE cluster. PROXMOX_TOKEN_SECRET has the secret of the token.
plugin: outofband.chr.routers
backend: proxmox
api_host: pve1.example.net
api_token_id: ansible@pve!fleet
ca_path: pve-root-ca.pem
---
# sites.chr.yml: several servers. The options at the top are for all of them.
plugin: outofband.chr.routers
on_unreachable: warn
recognise: [mark, tag, {name: '^(edge|core)-'}]
sources:
  - name: berlin
    backend: proxmox
    api_host: pve1.example.net
    api_token_id: ansible@pve!fleet
    api_token_secret: "{{ lookup('ansible.builtin.env', 'BERLIN_SECRET') }}"
    filters:
      - chr_pool == 'routers'
  - name: paris
    backend: vmware
    api_host: vcenter.example.net
    api_user: ansible@vsphere.local
    powered_off: group
  - name: rome
    backend: xenapi
    api_host: xcp1.example.net
    api_user: root
  - name: lab
    backend: libvirt
    libvirt_uri: qemu+ssh://root@kvm1.example.net/system
    recognise: [mark, agent]
  - name: bench
    backend: qemu
    ssh_host: root@kvm2.example.net
    sockets: [/run/routers]
    recognise: [all]
keyed_groups:
  - prefix: tag
    key: chr_tags
  - prefix: node
    key: chr_hypervisor
compose:
  chr_ssh_host: "'root@' ~ chr_hypervisor if chr_source == 'berlin' else omit"
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/tmp/fleet
"""

import contextlib
import dataclasses
import re
import typing as t
from collections.abc import Sequence
from pathlib import Path

from ansible import constants as C
from ansible.config.manager import ensure_type
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.outofband.chr.plugins.plugin_utils._actions.before_fork import session_run
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import told, with_topic
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.runtime_directory import runtime_directory
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import forget_empty_variables
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.inventory import FoundVm
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.qemu.options import QemuServer
from ansible_collections.outofband.chr.plugins.plugin_utils._inventory import listing, names, others
from ansible_collections.outofband.chr.plugins.plugin_utils._inventory.hosts import (
    CONNECTION,
    RouterHost,
    facts,
    router,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._inventory.sources import (
    InventorySource,
    SourceFile,
    of_the_file,
    read_sources,
)

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, what is not marked as unsafe is trusted
    trust_as_template = str

# A text in which nothing can be a template, also not with delimiters of its own (#jinja2: ...).
_PLAIN = re.compile(r"[^{}#]*")
_ENDINGS = (".chr.yml", ".chr.yaml")
_CACHE_VERSION = 1
_BEGINNING = 4096  # bytes of a file that are searched for the plugin's name
_SECRET = ("api_password", "api_token_secret")
_KINDS = {
    "str": "a text",
    "path": "a path",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "dict": "a mapping",
}
"""What a value must be, by the type of its option."""
_T = t.TypeVar("_T")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Turns sources into hosts: reads the file, lists VMs or takes the cached list, adds hosts."""

    NAME = "outofband.chr.routers"

    _path = ""

    def verify_file(self, path: str) -> bool:
        """Whether *path* is a file that may be for this plugin."""
        if not super().verify_file(path):
            return False
        if path.endswith(_ENDINGS):
            return True
        if self._is_meant(path):
            self.display.warning(
                f"{path} is for the plugin {self.NAME}, but its name does not end in {' or '.join(_ENDINGS)}. Rename it."
            )
        return False

    def _is_meant(self, path: str) -> bool:
        try:
            with Path(path).open("rb") as file:
                beginning = file.read(_BEGINNING)
        except OSError:
            return False
        return any(line.split() == [b"plugin:", self.NAME.encode()] for line in beginning.splitlines())

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Add the routers of the sources in the file *path* to *inventory*.

        *cache*: whether a cached list may be used. Raises AnsibleParserError.
        """
        super().parse(inventory, loader, path, cache)
        self._path = path
        forget_empty_variables()
        values = self._read(path)
        session_run()
        try:
            sources = read_sources(
                SourceFile(
                    values=values,
                    options=self.get_options(),
                    known=frozenset(self._definitions()),
                    convert=self._convert,
                    is_template=self.templar.is_template,
                    is_encrypted=_is_encrypted,
                    runtime_directory=runtime_directory(),
                )
            )
            routers = self._routers(sources, cache)
        except ChrError as error:
            raise AnsibleParserError(with_topic(told(f"{path}: {error}"), type(error))) from None
        self._add(sources, routers)

    # -- the file ----------------------------------------------------------------------------------

    def _read(self, path: str) -> t.Mapping[str, t.Any]:
        """Read the file, and let Ansible set the options. Raises AnsibleParserError."""
        try:
            return self._read_config_data(path)
        except ChrError as error:
            raise AnsibleParserError(with_topic(told(f"{path}: {error}"), type(error))) from None
        except AnsibleError as error:
            text = str(error)
        try:
            # Ansible's own words name neither the file nor, for each version of it, the key.
            values = self.loader.load_from_file(path)
            for name in sorted(values.keys() & self._definitions().keys()):
                self._convert(name, values[name], name)
        except (ChrError, AnsibleError, AttributeError) as error:
            text = str(error) if isinstance(error, ChrError) else text
        raise AnsibleParserError(told(f"{path}: {text}"))

    def set_options(self, task_keys: t.Any = None, var_options: t.Any = None, direct: t.Any = None) -> None:
        """Resolve templates of numbers and choices first: Ansible checks them before it does that.

        Raises InvalidInput.
        """
        resolved = {
            name: self._convert(name, value, name)
            for name, value in (direct or {}).items()
            if self._is_checked(name) and self.templar.is_template(value)
        }
        super().set_options(task_keys, var_options, direct and {**direct, **resolved})

    def _is_checked(self, name: str) -> bool:
        definition = self._definitions().get(name, {})
        return definition.get("type") in ("int", "float") or "choices" in definition

    def _definitions(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", C.config.get_configuration_definitions("inventory", self._load_name))

    def _convert(self, name: str, value: t.Any, place: str) -> t.Any:
        """The value of an option of a source. Templates are resolved. Raises InvalidInput."""
        definition = self._definitions()[name]
        if value is None or definition["type"] == "raw":
            return value
        if definition["type"] == "list":
            of_texts = definition.get("elements") == "str"
            if not isinstance(value, list) or (of_texts and not all(isinstance(one, str) for one in value)):
                raise InvalidInput(f"{place} must be a list{' of texts' if of_texts else ''}.")
            return value
        try:
            if _is_encrypted(value):
                value = str(value)
            if isinstance(value, str) and self.templar.is_template(value):
                value = self.templar.template(value)
            return self._of_type(definition, value)
        except (ValueError, TypeError):
            wanted = (
                f"one of {', '.join(definition['choices'])}" if "choices" in definition else _KINDS[definition["type"]]
            )
            raise InvalidInput(f"{place} {'' if name in _SECRET else f'is {value!r}, and '}must be {wanted}.") from None
        except AnsibleError as error:
            raise InvalidInput(f"{place} is a template that cannot be resolved: {told(str(error))}") from None

    def _of_type(self, definition: dict[str, t.Any], value: t.Any) -> t.Any:
        kind = definition["type"]
        if kind == "bool":
            return boolean(value)
        if kind == "path":
            return str(Path(self._path).absolute().parent / Path(str(value)).expanduser())
        if kind == "str" and not isinstance(value, (str, int, float)):
            raise ValueError
        if kind == "str":
            value = str(value)
        if "choices" in definition and value not in definition["choices"]:
            raise ValueError
        return ensure_type(value, kind)

    # -- the routers -------------------------------------------------------------------------------

    def _routers(self, sources: list[InventorySource], cache: bool) -> list[list[RouterHost]]:
        """The routers of each of *sources*. Raises ChrError."""
        key = self.get_cache_key(self._path)
        caching = self.get_option("cache")
        kept = self._kept(key) if caching and cache else {}
        found = {one.name: kept[one.fingerprint()] for one in sources if one.fingerprint() in kept}
        missing = [one for one in sources if one.name not in found]
        asked, whole = self._listed(missing)
        whole |= found.keys()
        found |= asked
        if caching and missing:
            self._cache[key] = {
                "version": _CACHE_VERSION,
                "sources": {
                    one.fingerprint(): [dataclasses.asdict(router) for router in found[one.name]]
                    for one in sources
                    if one.name in whole
                },
            }
        return [found.get(one.name, []) for one in sources]

    def _kept(self, key: str) -> dict[str, list[RouterHost]]:
        """The cached routers of each source, by its fingerprint."""
        try:
            kept = self._cache.get(key)
            if kept is None:
                return {}
            if kept["version"] != _CACHE_VERSION:
                raise ValueError("another version of the collection wrote it")
            return {
                str(fingerprint): [RouterHost.kept(one) for one in routers]
                for fingerprint, routers in kept["sources"].items()
            }
        except (AttributeError, IndexError, KeyError, TypeError):  # what somebody else has written into it
            reason = "it is not a list of this plugin"
        except Exception as error:  # of the cache's own plugin
            reason = str(error).rstrip(".")
        self._warn(f"{self._path}: cache: The cached list of routers cannot be used, and is replaced: {reason}.")
        return {}

    def _listed(self, sources: list[InventorySource]) -> tuple[dict[str, list[RouterHost]], set[str]]:
        """List the VMs of *sources*, and return the routers of each that was reached.

        Also returns the names of the sources whose lists are whole. Raises ChrError.
        """
        lists = self._reached(sources, listing.for_each(sources, listing.listed))
        reached = [one for one, _list in lists]
        vms = {one.name: answer.value for one, answer in lists}
        wanted = {one.name: listing.wanted(one, vms[one.name]) for one in reached}
        filtered = {one.name: self._filtered(one, wanted[one.name]) for one in reached}
        answers = listing.for_each(reached, lambda source: listing.recognised(source, filtered[source.name]))
        recognised = self._reached(reached, answers)
        for _source, answer in [*lists, *recognised]:
            for text in answer.warnings:
                self._warn(f"{self._path}: {text}")
        found = {}
        for source, answer in recognised:
            found[source.name] = self._as_routers(source, answer.value)
            if not found[source.name]:
                nothing = _nothing(source, vms[source.name], wanted[source.name], filtered[source.name])
                self._warn(f"{self._path}: {source.label} {nothing}")
        return found, found.keys() - {one.name for one, answer in [*lists, *recognised] if not answer.whole}

    def _reached(
        self, sources: list[InventorySource], answers: list[_T | ChrError]
    ) -> list[tuple[InventorySource, _T]]:
        """Return each source with its answer, and warn of those that were not reached.

        Raises ChrError if that is an error for one of them.
        """
        reached, errors = [], []
        for source, answer in zip(sources, answers, strict=True):
            if not isinstance(answer, ChrError):
                reached.append((source, answer))
                continue
            text = f"{source.label}: {of_the_file(str(answer))}"
            if source.on_unreachable == "warn":
                self._warn(f"{self._path}: {text} Its routers are missing.")
            else:
                errors.append(text)
        if errors:
            raise ChrError(" ".join(errors))
        return reached

    def _filtered(self, source: InventorySource, vms: list[FoundVm]) -> list[FoundVm]:
        """Those of *vms* for which all filters are true. Raises InvalidInput."""
        if not source.filters:
            return vms
        found, undecided = [], []
        for vm in vms:
            variables = _untrusted({**source.variables(), **facts(vm, source), "chr_vm": vm.id, **vm.variables})
            for number, condition in enumerate(source.filters):
                try:
                    if not self._compose(condition, variables):
                        break
                except Exception as error:
                    text = (
                        f"{source.key('filters')}[{number}]: {condition!r} cannot be decided for "
                        f"{listing.called(vm)}: {error}"
                    )
                    if vm.node_online:
                        raise InvalidInput(text) from None
                    undecided.append(text)
                    break
            else:
                found.append(vm)
        if undecided:
            # Most variables of a VM are null while its node is offline.
            self._warn(
                f"{self._path}: {source.label} is listed without {_vms(undecided)} of offline nodes, because "
                f"{undecided[0].rstrip('.')}."
            )
        return found

    def _as_routers(self, source: InventorySource, found: list[listing.Recognised]) -> list[RouterHost]:
        routers = []
        for vm, rule in found:
            one = router(vm, source, rule, listing.groups(source, vm))
            if one is None:
                self._warn(
                    f"{self._path}: {source.name}: The VM {vm.name!r} is left out, because its id {vm.id!r} cannot be used."
                )
            else:
                routers.append(one)
        return routers

    # -- the hosts ---------------------------------------------------------------------------------

    def _add(self, sources: list[InventorySource], routers: list[list[RouterHost]]) -> None:
        variables = {one.name: one.variables() for one in sources}
        for source in sources:
            self.inventory.add_group(source.name)
            for name, value in {others.SOURCE: source.name, **source.account()}.items():
                self.inventory.set_variable(source.name, name, _untrusted(value))
        found = [
            (source, _untrusted({"ansible_connection": CONNECTION, **variables[source.name], **one.variables}), one)
            for source, ones in zip(sources, routers, strict=True)
            for one in ones
        ]
        hosts = self._names(found)
        for host, (source, values, one) in zip(hosts, found, strict=True):
            self._add_host(host, source, values, one)
        for host, own, group, other in others.leave_groups(self.inventory):
            # Whoever may tag a VM could otherwise give it the login of another source.
            leads = "that is" if group == other else f"its hosts are also in {other},"
            self._warn(
                f"{self._path}: {host} of {own} is left out of the group {group}, because {leads} the group of another source."
            )
        if several := [(vm, same) for vm, same in others.same_vms(self.inventory) if not set(same).isdisjoint(hosts)]:
            vm, same = several[0]
            more = f", and so it is for {_vms(several[1:])} more" if several[1:] else ""
            self._warn(
                f"{self._path}: The hosts {' and '.join(same)} are one VM, {vm}{more}. Let filters leave it out of all sources "
                "but one."
            )

    def _names(self, found: list[tuple[InventorySource, dict[str, t.Any], RouterHost]]) -> list[str]:
        """A name for the host of each VM. Raises AnsibleParserError."""
        taken = {*self.inventory.groups, *(self.get_option("groups") or {})}
        changed: list[str] = []
        wanted = [self._name(values, one, taken, changed) for _source, values, one in found]
        if changed:
            self._warn(
                f"{self._path}: hostnames: {len(changed)} of {len(found)} VMs do not have a name that Ansible takes, so "
                f"their hosts have others, such as {changed[0]}."
            )

        def is_other(place: int, name: str) -> bool:
            return others.is_other(self.inventory, name, found[place][1])

        named = [names.Named(name, source.name, one.id) for name, (source, _v, one) in zip(wanted, found, strict=True)]
        hosts = names.distinct(named, is_other)
        vms: dict[str, set[tuple[str, ...]]] = {}
        for name, (_source, values, _one) in zip(wanted, found, strict=True):
            vms.setdefault(name, set()).add(others.vm_of(name, values).key)
        if twice := sorted(name for name, several in vms.items() if len(several) > 1):
            self._warn(
                f"{self._path}: More than one VM has the name {', '.join(map(repr, twice))}. Each has its source or its id in the "
                "name of its host."
            )
        if others_have := [
            f"{hosts[place]!r} for {name!r}" for place, name in enumerate(wanted) if is_other(place, name)
        ]:
            self._warn(
                f"{self._path}: The inventory has hosts of other files with the names of {_vms(others_have)}, so their "
                f"hosts have others, such as {others_have[0]}."
            )
        return hosts

    def _name(self, variables: dict[str, t.Any], one: RouterHost, taken: set[str], changed: list[str]) -> str:
        """The name of a host, which Ansible takes. What had to be *changed* is added there.

        Raises AnsibleParserError.
        """
        wanted, failed = [], ""
        for number, expression in enumerate(self.get_option("hostnames")):
            try:
                name = self._compose(expression, variables)
            except Exception as error:
                text = f"hostnames[{number}]: {expression!r} cannot be used for {one.name!r}: {error}"
                if self.get_option("strict"):
                    raise AnsibleParserError(told(f"{self._path}: {text}")) from None
                failed = failed or text
                continue
            name = str(name or "")
            if names.valid(name, taken):
                return name
            wanted.append(name)
        given = next(filter(None, wanted), "")
        name = names.similar(given, one.id, taken)
        why = f", because {failed}" if failed and not given else ""
        changed.append(f"{name!r} for {given!r} (VM {one.id} of {variables['chr_source']}){why}")
        return name

    def _add_host(self, host: str, source: InventorySource, values: dict[str, t.Any], one: RouterHost) -> None:
        self.inventory.add_host(host, group=source.name)
        for name, value in values.items():
            self.inventory.set_variable(host, name, value)
        for group in one.groups:
            self.inventory.add_group(group)
            self.inventory.add_child(group, host)
        strict = self.get_option("strict")
        with self._of("compose"):
            self._set_composite_vars(self.get_option("compose"), values, host, strict=strict)
        composed = {**values, **self.inventory.get_host(host).get_vars()}
        with self._of("groups"):
            self._add_host_to_composed_groups(self.get_option("groups"), composed, host, strict, fetch_hostvars=False)
        with self._of("keyed_groups"):
            self._add_host_to_keyed_groups(
                self.get_option("keyed_groups"), composed, host, strict, fetch_hostvars=False
            )

    def _sanitize_group_name(self, name: str) -> str:
        """Return a name of a group that Ansible takes. ``_meta`` is not one in a list of hosts."""
        safe = str(super()._sanitize_group_name(name))
        if safe != "_meta":
            return safe
        self._warn(f"{self._path}: keyed_groups: A group cannot have the name '_meta', so its name is '_meta_'.")
        return "_meta_"

    def _compose(self, template: t.Any, variables: dict[str, t.Any], *args: t.Any, **more: t.Any) -> t.Any:
        """The value of an expression. Ansible compiles it for each host, even if it is a name."""
        if isinstance(template, str) and template in variables and not self.get_option("use_extra_vars"):
            return variables[template]
        return super()._compose(template, variables, *args, **more)

    @contextlib.contextmanager
    def _of(self, option: str) -> t.Iterator[None]:
        """Name the file and *option* in Ansible's own errors. Raises AnsibleParserError."""
        try:
            yield
        except AnsibleError as error:
            raise AnsibleParserError(told(f"{self._path}: {option}: {error}")) from None

    def _warn(self, text: str) -> None:
        self.display.warning(told(text))


def _nothing(source: InventorySource, vms: list[FoundVm], wanted: list[FoundVm], filtered: list[FoundVm]) -> str:
    """What to say of a source without a router: which step left no VM."""
    if filtered:
        rules = ", ".join(one.kind for one in source.rules)
        return f"has {_vms(filtered)}, but none is a CHR by the rules in recognise ({rules})."
    if wanted:
        return f"has {_vms(wanted)}, but none for which all filters are true."
    if vms:
        return f"has {_vms(vms)}, but powered_off, templates and offline_nodes leave all of them out."
    if isinstance(source.options, QemuServer):
        return f"has no VM: there is nothing at sockets ({', '.join(source.options.sockets)})."
    node = getattr(source.options, "node", None)
    return f"has no VM that this login sees{f' on node {node}' if node else ''}. Look at the rights of the login."


def _vms(vms: Sequence[t.Any]) -> str:
    return f"{len(vms)} VM{'' if len(vms) == 1 else 's'}"


def _is_encrypted(value: t.Any) -> bool:
    """Whether *value*, from a YAML file, is one that ansible-vault has encrypted."""
    return not isinstance(value, (str, bool, int, float, list, dict, type(None)))


def _untrusted(value: t.Any) -> t.Any:
    """Return *value* so that Ansible never takes a text in it for a template.

    A text that cannot be one stays an ordinary text: ansible-inventory would show an unsafe text in
    a form of its own, which programs that read it do not expect.
    """
    if isinstance(value, str):
        return trust_as_template(str(value)) if _PLAIN.fullmatch(value) else wrap_var(str(value))
    if isinstance(value, dict):
        return {name: _untrusted(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_untrusted(one) for one in value]
    return value
