# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One playbook leads routers of three hypervisors from their image to their removal, and each of
its steps changes nothing when it is done again."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

import pytest

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk
from ansible_collections.outofband.chr.tests.lab.routeros.packages import npk

VERSION = "7.23.1"
PASSWORD = "n3w-pass-w0rd"
USER = "ops"
GIVES_OUTPUT = "chr_backend != 'vmware'"


def role(step: str, **variables: t.Any) -> dict[str, t.Any]:
    return {
        "name": step,
        "ansible.builtin.include_role": {"name": "outofband.chr.image_import", "apply": {"tags": [step]}},
        "vars": {f"image_import_{name}": value for name, value in variables.items()},
        "tags": [step],
    }


def task(step: str, module: str, *, when: str = "true", **arguments: t.Any) -> dict[str, t.Any]:
    return {"name": f"{step} {module}", f"outofband.chr.{module}": arguments, "when": when, "tags": [step]}


def steps(package: dict[str, str]) -> list[dict[str, t.Any]]:
    upgrade = {"version": VERSION, "snapshot": "before", "timeout": 240}
    login = {"user": USER, "password": PASSWORD, "admin": "disabled", "identity": "{{ inventory_hostname }}"}
    return [
        role("image"),
        task("image", "wait_for_agent", timeout=120, interfaces=1),
        task("login", "first_login", **login, disable_services=["telnet", "ftp"]),
        task("backup", "backup", when=GIVES_OUTPUT, dest="kept", binary=True, password="b4ckup-pass"),
        task("upgrade", "upgrade", when=GIVES_OUTPUT, **upgrade, packages=[package], backup_dest="before"),
        task("upgrade", "upgrade", when=f"not ({GIVES_OUTPUT})", **upgrade),
        task("upgrade", "snapshot", name="before", state="absent"),
        role("drift", memory=512, reconcile=True, restart=True),
        task("drift", "wait_for_agent", timeout=120),
        role("removal", state="absent"),
    ]


@pytest.fixture(scope="module")
def pool(libvirtd):
    """libvirt's pool for images."""
    libvirtd.pool("default")


@pytest.mark.parametrize(
    "names",
    [("two", "three"), pytest.param(("one", "two", "three"), marks=pytest.mark.slow)],
    ids=["without boots", "with a boot of QEMU"],
)
def test_one_playbook_takes_routers_from_their_image_to_their_removal_each_step_twice(
    playbook, libvirtd, pool, vcenter, image, short_path, tmp_path, names
):
    content = npk("routeros", VERSION)
    package = tmp_path / f"routeros-{VERSION}.npk"
    package.write_bytes(content)
    disk = build_disk(cache(), image, tmp_path / "chr.img")
    common = {
        "chr_connect_timeout": 120,
        "image_import_src": str(disk),
        "image_import_version": "7.22",
        "image_import_checksum": "waived",
        "image_import_cache": str(tmp_path / "cache"),
    }
    with contextlib.ExitStack() as running:
        pve = running.enter_context(LabProxmox(short_path / "pve"))
        pve.behaviour = {"accepts_null_path": True}
        vc = vcenter("other", boot=0.2)
        hosts = {
            "one": {
                "chr_backend": "libvirt",
                "chr_libvirt_uri": libvirtd.uri,
                "image_import_nics": [{"network": "user"}],
            },
            "two": {**pve.variables(), "image_import_proxmox_node": "pve1"},
            "three": vc.variables(chr_guest_user=[USER, "admin"], chr_guest_password=[PASSWORD, ""]),
        }
        hosts = {name: {**common, **hosts[name]} for name in names}
        listed = steps({"src": str(package), "checksum": f"sha256:{hashlib.sha256(content).hexdigest()}"})

        def both(step: str) -> t.Any:
            """Run a step twice. VMware carries no files, so there is no backup of its router."""
            changed = set(hosts) - ({"three"} if step == "backup" else set())
            first = playbook(listed, hosts, f"--tags={step}", "--forks=3")
            assert first.rc == 0, first.output
            assert {host for host, _task in first.changed()} == changed, (step, first.output)
            again = playbook(listed, hosts, f"--tags={step}", "--forks=3")
            assert (again.rc, again.changed()) == (0, set()), again.output
            return first

        both("image")
        router = vc.routers.router(vc.made("three")["moid"])
        router.offers = {"stable": VERSION}
        for step in ("login", "backup", "upgrade", "drift", "removal"):
            both(step)
        assert router.version == VERSION
