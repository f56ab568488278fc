# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as ansible-inventory and ansible-playbook use it, with real components, and
beside the inventory plugins of other collections, which read the same servers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import Mark
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.chr_image import build_chr_image
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.missing import Missing
from ansible_collections.outofband.chr.tests.lab.peers import collections
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.routeros import Router

IMAGE = "ab" * 32
ASKED = ":put [/system identity get name]"
NAMES = {"chr1": "chr1", "chr2": "chr2"}
# What a router needs beside what says where it is: the same in one file for all kinds.
COMPOSE = {
    "chr_exec_mode": "'reboot' if chr_backend == 'xenapi' else 'auto'",
    "chr_connect_timeout": "90",
}


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run a program of Ansible in *folder*, which must succeed, and return what it printed."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=folder,
        env=os.environ
        | {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1", "PWD": str(folder)}
        | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed to parse" not in done.stderr
    return done.stdout


def listed(folder: Path, file: str, **environment: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads(run(folder, "ansible-inventory", "-i", file, "--list", **environment)))


def plain(value: t.Any) -> t.Any:
    """The values of another collection, without the mark of what is not a template."""
    if isinstance(value, dict):
        return value.get("__ansible_unsafe") or {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def write(folder: Path, name: str, content: dict[str, t.Any]) -> None:
    (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))


def source(host: dict[str, t.Any]) -> tuple[dict[str, t.Any], dict[str, str]]:
    """The options of a source for the server of a host of the lab, and the secrets as variables."""
    backend = BACKENDS[host["chr_backend"]]
    assert backend.server is not None
    found: dict[str, t.Any] = {"backend": host["chr_backend"], "name": host["chr_backend"]}
    secrets = {}
    for field in dataclasses.fields(backend.server):
        value = host.get(f"chr_{field.name}")
        if value is not None and not field.repr:
            secrets[backend.server.ENVIRONMENT[field.name][0]] = str(value)
        elif value is not None:
            found[field.name] = value
    if "chr_socket" in host:
        found["sockets"] = [str(Path(host["chr_socket"]).parent)]
    return found, secrets


def test_from_an_empty_folder_one_file_over_servers_of_several_kinds_runs_the_playbooks(tmp_path):
    """The routers are found among 1,000 other VMs. No secret is in the file, in what
    ansible-inventory prints, or in the cache. The routers of libvirt reach no account server."""
    others = {"sockets": 250, "proxmox": 250, "vmware": 250, "xenapi": 250}
    kinds = ["sockets" if name == "qemu" else name for name, backend in BACKENDS.items() if backend.server]
    sources, secrets, missing = [], {}, {}
    routers: dict[str, Router] = {}
    account = {"OUTOFBAND_ACCOUNT": "me@example.com", "OUTOFBAND_ACCOUNT_PASSWORD": "pass-word-1"}
    with contextlib.ExitStack() as running:
        accounts = running.enter_context(AccountServer())
        accounts.add_account(*account.values())
        for kind in kinds:
            try:
                several = hypervisor(kind, [f"chr-{kind}"], cache(), routers, listed=others.get(kind, 0))
                hosts = running.enter_context(several)
            except Missing as error:
                missing[kind] = str(error)
                continue
            made, secret = source(hosts[f"chr-{kind}"])
            sources.append(made)
            secrets |= secret
        keeping = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": "cached"}
        file = {
            "plugin": "outofband.chr.routers",
            "sources": sources,
            "recognise": ["name"],
            "compose": COMPOSE,
            **keeping,
        }
        write(tmp_path, "fleet.chr.yml", file)
        inventory = listed(tmp_path, "fleet.chr.yml", **secrets)

        def play(name: str, *arguments: str) -> str:
            command = ("ansible-playbook", "-i", "fleet.chr.yml", f"outofband.chr.{name}", *arguments)
            return run(tmp_path, *command, **secrets, **account)

        play("license_audit")
        for router in routers.values():
            router.accounts = accounts
        reached = ["--limit", ",".join(routers), "-e", "license_renew_level=p1"]
        play("license_renew", *reached)
        shown = play("provision", *reached, "--tags", "id,license,report")
        assert {name for name in routers if f"{name}: " in shown} == routers.keys()
        assert {router.license.level for router in routers.values()} == {"p1"}
    wanted = {f"chr-{kind}" for kind in kinds if kind not in missing}
    assert inventory["_meta"]["hostvars"].keys() == wanted
    assert {one["chr_source"] for one in inventory["_meta"]["hostvars"].values()} == {one["name"] for one in sources}
    seen = json.dumps(inventory) + "".join(one.read_text() for one in (tmp_path / "cached").iterdir())
    assert len(secrets) == len({"proxmox", "vmware", "xenapi"} - set(missing))
    for secret in secrets.values():
        assert secret not in seen
    report = json.loads((tmp_path / "license_audit" / "chr-licenses.json").read_text())
    assert {one["name"] for one in report["routers"]} == wanted
    assert report["not_read"] == []
    if missing:
        raise Missing("; ".join(missing.values()))


@pytest.fixture
def pve(tmp_path):
    """A cluster with routers and something else."""
    folder = tmp_path / "pve"
    folder.mkdir()
    with LabProxmox(folder) as cluster:
        for number, name in enumerate(["chr1", "chr2", "web"]):
            cluster.add(101 + number, name, f"pve{number % 2 + 1}", accepts_null_path=True)
        cluster.vms[102].config["tags"] = "edge"
        yield cluster


def test_a_new_router_in_a_file_beside_the_source_becomes_the_same_host_when_its_vm_exists(pve, tmp_path):
    pve.behaviour = {"accepts_null_path": True}
    own, secrets = source(pve.variables())
    folder = tmp_path / "inventory"
    folder.mkdir()
    write(folder, "berlin.chr.yml", {"plugin": "outofband.chr.routers", **own, "name": "berlin"})
    new = {f"chr_{name}": own[name] for name in ("backend", "api_host", "api_port", "api_token_id", "ca_path")}
    new["ansible_connection"] = "outofband.chr.guest_agent"
    write(folder, "new.yml", {"berlin": {"vars": new, "hosts": {"chr9": None}}})
    before = listed(tmp_path, "inventory", **secrets)["_meta"]["hostvars"]
    assert before.keys() == {"chr1", "chr2", "chr9"}
    assert "chr_vm" not in before["chr9"]
    image = {
        "image_import_src": str(build_chr_image(tmp_path / "chr.img")),
        "image_import_checksum": "waived",
        "image_import_cache": str(tmp_path / "images"),
        "image_import_proxmox_node": "pve1",
    }
    write(tmp_path, "image.yml", image)
    provision = (
        "ansible-playbook",
        "-i",
        "inventory",
        "outofband.chr.provision",
        "--limit",
        "chr9",
        "-e",
        "@image.yml",
    )
    said = run(tmp_path, *provision, **secrets)
    assert "chr9: proxmox, level free" in said
    after = listed(tmp_path, "inventory", **secrets)["_meta"]["hostvars"]
    assert after.keys() == before.keys()
    (made,) = (str(vmid) for vmid, vm in pve.vms.items() if vm.name == "chr9")
    assert after["chr9"]["chr_vm"] == made
    again = run(tmp_path, *provision, **secrets)
    assert re.search(r"chr9 .* changed=0 ", again), again


def test_community_proxmox_reads_the_same_cluster_and_its_hosts_reach_the_same_routers(pve, tmp_path):
    write(
        tmp_path,
        "theirs.proxmox.yml",
        {
            "plugin": "community.proxmox.proxmox",
            "url": f"https://localhost:{pve.port}",
            "user": "root@pam",
            "token_id": "chr",
            "token_secret": "t0ken-secret",
            "want_facts": True,
            "exclude_nodes": True,
            "filters": ["proxmox_name is match('chr')"],
            "compose": {
                "ansible_connection": "'outofband.chr.guest_agent'",
                "chr_backend": "'proxmox'",
                "chr_vm": "proxmox_vmid | string",
                "chr_api_host": "'localhost'",
                "chr_api_port": str(pve.port),
                "chr_api_token_id": "'root@pam!chr'",
                "chr_ca_path": f"'{pve.certificate}'",
            },
        },
    )
    own, secrets = source(pve.variables())
    write(tmp_path, "ours.chr.yml", {"plugin": "outofband.chr.routers", **own})
    reach = {
        "ANSIBLE_COLLECTIONS_PATH": f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections(cache(), 'community.proxmox')}",
        "REQUESTS_CA_BUNDLE": str(pve.certificate),
        **secrets,
    }
    theirs = plain(listed(tmp_path, "theirs.proxmox.yml", **reach))["_meta"]["hostvars"]
    calls = len(pve.log)
    ours = listed(tmp_path, "ours.chr.yml", **reach)["_meta"]["hostvars"]
    assert len(pve.log) - calls == 2 < calls
    assert ours.keys() == theirs.keys() == {"chr1", "chr2"}
    for name, host in ours.items():
        assert {one: host[one] for one in host if one in ("ansible_connection", "chr_backend", "chr_vm")} == {
            one: theirs[name][one] for one in ("ansible_connection", "chr_backend", "chr_vm")
        }
        assert host["chr_hypervisor"] == theirs[name]["proxmox_node"]
        assert host["chr_tags"] == theirs[name].get("proxmox_tags_parsed", [])
    for file in ("theirs.proxmox.yml", "ours.chr.yml"):
        said = run(tmp_path, "ansible", "-i", file, "all", "-o", "-m", "raw", "-a", ASKED, **reach)
        answers = dict(re.findall(r"^(chr\d) .*\(stdout\) (chr\d)", said, re.MULTILINE))
        assert answers == NAMES


def test_vmware_vms_as_in_the_guide_reads_the_same_vcenter_and_its_hosts_reach_the_same_routers(vcenter, tmp_path):
    """It asks many times for each VM, and we once for all."""
    vc = vcenter("chr1", "chr2", "web")
    for name in ("chr1", "chr2"):
        vc.change(name, config__annotation=str(Mark(IMAGE, complete=True, owner="0" * 16)))
    guide = (Path(__file__).parents[2] / "docs" / "docsite" / "rst" / "vmware_guide.rst").read_text()
    block = re.findall(r"code-block:: yaml\n\n((?:  .*\n)+)", guide[guide.index("An inventory of vmware.vmware") :])[0]
    theirs = yaml.safe_load(block)
    own, secrets = source(vc.variables())
    reached = {name: theirs["compose"][name] for name in ("ansible_connection", "chr_backend", "chr_vm")}
    theirs |= {"hostname": own["api_host"], "port": own["api_port"]}
    theirs["compose"] = reached | {f"chr_{name}": f"{own[name]!r}" for name in ("api_host", "api_port", "ca_path")}
    write(tmp_path, "theirs.vms.yml", theirs)
    write(tmp_path, "ours.chr.yml", {"plugin": "outofband.chr.routers", **own, "recognise": ["mark"]})
    reach = {
        "ANSIBLE_COLLECTIONS_PATH": f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections(cache(), 'vmware.vmware')}",
        "SSL_CERT_FILE": own["ca_path"],
        "VMWARE_USER": own["api_user"],
        **secrets,
    }

    def calls() -> int:
        return sum(vc.counts().values())

    found, asked = {}, {}
    for file in ("theirs.vms.yml", "ours.chr.yml"):
        before = calls()
        found[file] = plain(listed(tmp_path, file, **reach))["_meta"]["hostvars"]
        asked[file] = calls() - before
    run(tmp_path, "ansible", "-i", "theirs.vms.yml", "all", "-m", "raw", "-a", "/system note set note=theirs", **reach)
    notes = [vc.router(name).run(":put [/system note get note]").output.strip() for name in ("chr1", "chr2", "web")]
    assert notes == [b"theirs", b"theirs", b""]
    same = [{name: {one: host[one] for one in reached} for name, host in hosts.items()} for hosts in found.values()]
    assert same[0] == same[1]
    assert same[0].keys() == {"chr1", "chr2"}
    assert asked["ours.chr.yml"] < asked["theirs.vms.yml"] / 5


def test_what_ansible_vault_has_encrypted_is_used_and_becomes_no_variable(pve, tmp_path):
    """Not only a secret: who encrypts another option does not want to see it, either."""
    (tmp_path / "key").write_text("opensesame")
    own, _secrets = source(pve.variables())
    hidden = {"api_token_secret": "t0ken-secret"} | {name: own.pop(name) for name in ("api_token_id", "api_host")}
    secret = "".join(
        run(tmp_path, "ansible-vault", "encrypt_string", "--vault-password-file=key", str(value), "-n", name)
        for name, value in hidden.items()
    )
    text = yaml.safe_dump({"plugin": "outofband.chr.routers", **own})
    entry = yaml.safe_dump({"plugin": "outofband.chr.routers", "sources": [own]})
    (tmp_path / "top.chr.yml").write_text(f"{text}{secret}")
    (tmp_path / "entry.chr.yaml").write_text(entry + "".join(f"  {line}\n" for line in secret.splitlines()))
    for file in ("top.chr.yml", "entry.chr.yaml"):
        said = listed(tmp_path, file, ANSIBLE_VAULT_PASSWORD_FILE="key")
        assert said["_meta"]["hostvars"].keys() == {"chr1", "chr2"}
        for value in hidden.values():
            assert value not in json.dumps(said)


def test_domains_of_libvirt_are_listed_beside_community_libvirt(libvirtd, tmp_path):
    for name in ("chr-a", "edge7", "web"):
        libvirtd.define(name)
    mark = Mark(IMAGE, complete=True, owner="0" * 16)
    described = libvirtd.virsh("dumpxml", "edge7").replace(
        "</name>",
        f'</name><metadata><chr:import xmlns:chr="https://github.com/outofband/chr/libvirt/1" pool="p" volume="v">{mark}'
        "</chr:import></metadata>",
        1,
    )
    (tmp_path / "edge7.xml").write_text(described)
    libvirtd.virsh("define", str(tmp_path / "edge7.xml"))
    try:
        own = {"plugin": "outofband.chr.routers", "backend": "libvirt", "libvirt_uri": libvirtd.uri}
        write(tmp_path, "default.chr.yml", own)
        write(tmp_path, "marked.chr.yml", {**own, "recognise": ["mark"], "details": True})
        write(tmp_path, "all.chr.yml", {**own, "recognise": ["all"], "details": True})
        assert listed(tmp_path, "default.chr.yml")["_meta"]["hostvars"].keys() == {"chr-a"}
        marked = listed(tmp_path, "marked.chr.yml")["_meta"]["hostvars"]
        assert marked.keys() == {"edge7"}
        assert marked["edge7"]["chr_image"] == IMAGE
        ours = listed(tmp_path, "all.chr.yml")["_meta"]["hostvars"]
        other = {"plugin": "community.libvirt.libvirt", "uri": libvirtd.uri, "inventory_hostname": "name"}
        write(tmp_path, "theirs.libvirt.yml", other)
        path = f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections(cache(), 'community.libvirt')}"
        theirs = plain(listed(tmp_path, "theirs.libvirt.yml", ANSIBLE_COLLECTIONS_PATH=path))["_meta"]["hostvars"]
        assert ours.keys() == theirs.keys()
        for name, host in ours.items():
            assert host["chr_vm"] == libvirtd.virsh("domuuid", name).strip()
            assert host["chr_power_state"] == "stopped"
            assert host["chr_memory"] and host["chr_cpus"]
    finally:
        for name in ("chr-a", "edge7", "web"):
            libvirtd.virsh("undefine", name)


def test_a_list_of_libvirt_takes_two_calls_however_many_domains_there_are(libvirtd, tmp_path):
    """Counted in what libvirt's own client says that it sends, without opening and closing."""
    own = {"plugin": "outofband.chr.routers", "backend": "libvirt", "libvirt_uri": libvirtd.uri}
    write(tmp_path, "fleet.chr.yml", own)
    # In libvirt's protocol: REMOTE_PROC_CONNECT_OPEN, _CLOSE and _SUPPORTS_FEATURE, and _AUTH_LIST.
    around = {"1", "2", "60", "66"}
    names = [f"chr-{number}" for number in range(20)]
    calls = {}
    try:
        for count in (1, 20):
            for name in names[len(calls) : count]:
                libvirtd.define(name)
            log = tmp_path / f"log{count}"
            says = {"LIBVIRT_LOG_FILTERS": "1:rpc", "LIBVIRT_LOG_OUTPUTS": f"1:file:{log}"}
            found = listed(tmp_path, "fleet.chr.yml", **says)["_meta"]["hostvars"]
            assert found.keys() == set(names[:count])
            sent = re.findall(r"RPC_CLIENT_MSG_TX_QUEUE:.* proc=(\d+) ", log.read_text())
            calls[count] = [one for one in sent if one not in around]
    finally:
        for name in libvirtd.virsh("list", "--all", "--name").split():
            libvirtd.virsh("undefine", name)
    assert calls[1] == calls[20]
    assert len(calls[20]) == 2
