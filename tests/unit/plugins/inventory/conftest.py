# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible import constants as C
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader

from ansible_collections.outofband.chr.plugins.inventory import routers
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

NAME = "outofband.chr.routers"


def options() -> dict[str, dict]:
    """The options of the plugin, with those of the fragments, as Ansible's loader merges them."""
    page = yaml.safe_load(routers.DOCUMENTATION)
    found = dict(page["options"])
    for fragment in page["extends_documentation_fragment"]:
        of_ansible = fragment.startswith("ansible.builtin.")
        file, _unused, part = fragment.removeprefix("ansible.builtin.").removeprefix("outofband.chr.").partition(".")
        package = "ansible.plugins" if of_ansible else "ansible_collections.outofband.chr.plugins"
        module = importlib.import_module(f"{package}.doc_fragments.{file}")
        text = getattr(module.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        found = yaml.safe_load(text)["options"] | found
    return found


@pytest.fixture
def plugin() -> routers.InventoryModule:
    """The plugin, loaded without Ansible's loader, which knows no collection in unit tests."""
    C.config.initialize_plugin_configuration_definitions("inventory", NAME, options())
    made = routers.InventoryModule()
    made._load_name = made.ansible_name = NAME
    made._redirected_names = [NAME]
    return made


@dataclass
class Parsed:
    """What a file of the plugin gave."""

    data: InventoryData
    warnings: list[str]

    @property
    def hosts(self) -> dict[str, dict]:
        """The variables of each host, as it has them with those of its groups."""
        found = {}
        for name, host in self.data.hosts.items():
            inherited = {}
            for group in sorted(host.get_groups(), key=lambda one: (one.depth, one.name)):
                inherited |= group.get_vars()
            found[name] = inherited | host.get_vars()
        return found

    def group(self, name: str) -> set[str]:
        return {host.name for host in self.data.groups[name].get_hosts()}

    def text(self) -> str:
        return json.dumps(self.hosts, default=str)


@pytest.fixture
def parse(tmp_path, monkeypatch, plugin):
    """Read a file of the plugin: ``parse({"backend": "qemu", ...})``, or text.

    *into*: the inventory that other files have been read into.
    """
    monkeypatch.setattr(C, "ANSIBLE_HOME", str(tmp_path / "home"))

    def run(content, name: str = "fleet.chr.yml", cache: bool = True, into: InventoryData | None = None) -> Parsed:
        path = Path(tmp_path / name)
        if isinstance(content, dict):
            content = yaml.safe_dump({"plugin": NAME, **content}, sort_keys=False)
        path.write_text(content)
        plugin._options.clear()
        warnings: list[str] = []
        monkeypatch.setattr(plugin.display, "warning", lambda text, *args, **more: warnings.append(text))
        data = InventoryData() if into is None else into
        data.current_source = str(path)
        assert plugin.verify_file(str(path)), warnings
        plugin.parse(data, DataLoader(), str(path), cache=cache)
        if plugin.get_option("cache"):
            plugin.update_cache_if_changed()  # as Ansible does
        data.reconcile_inventory()
        return Parsed(data, warnings)

    return run


@pytest.fixture
def cached(tmp_path):
    """The options of a file whose list is kept in a folder."""
    return {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(tmp_path / "cache")}


@pytest.fixture
def cluster(tmp_path):
    """Start a simulated cluster: ``cluster("8.4")``."""
    with contextlib.ExitStack() as running:

        def start(version: str = "9.1") -> LabProxmox:
            folder = tmp_path / f"pve{len(list(tmp_path.glob('pve*')))}"
            folder.mkdir()
            return running.enter_context(LabProxmox(folder, version))

        yield start


def source(pve: LabProxmox, **more) -> dict:
    """The options of a source that lists a cluster."""
    return {
        "backend": "proxmox",
        "api_host": "localhost",
        "api_port": pve.port,
        "api_token_id": "root@pam!chr",
        "api_token_secret": "t0ken-secret",
        "ca_path": str(pve.certificate),
        **more,
    }
