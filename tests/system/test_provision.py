# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbook provision and role image_import: from a ZIP archive to a licensed router on a real
libvirtd, and back."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.qemu.disk import build_disk

ACCOUNT = ("me@example.com", "pass-word-1")
BASELINE = """\
/system identity set name=edge-1
/system note set note="baseline 1"
"""


@pytest.fixture(scope="module", autouse=True)
def pool(libvirtd) -> Path:
    """The folder of the pool ``default``."""
    return libvirtd.pool("default")


@pytest.fixture
def router(libvirtd, image, tmp_path):
    """The variables of a router that is to be, with an account server that it can reach."""
    (tmp_path / "baseline.rsc").write_text(BASELINE)
    with AccountServer() as accounts:
        accounts.add_account(*ACCOUNT)
        port = accounts.listen("tcp:127.0.0.1:0").rpartition(":")[2]
        disk = build_disk(cache(), image, tmp_path / "chr.img", accounts=f"tcp:10.0.2.2:{port}")
        with zipfile.ZipFile(tmp_path / "chr-7.22.img.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(disk, "../chr.img")
        yield {
            "chr_backend": "libvirt",
            "chr_libvirt_uri": libvirtd.uri,
            "chr_connect_timeout": 120,
            "image_import_version": "7.22",
            "image_import_src": str(tmp_path / "chr-7.22.img.zip"),
            "image_import_checksum": f"sha256:{_sha256(tmp_path / 'chr-7.22.img.zip')}",
            "image_import_cache": str(tmp_path / "cache"),
            "image_import_size": "192M",
            "image_import_nics": [{"network": "user"}],
            "image_import_first_boot": '/system script add name=first source=":put 1"',
            "license_renew_level": "p1",
            "license_renew_account": ACCOUNT[0],
            "license_renew_password": ACCOUNT[1],
            "provision_baseline": str(tmp_path / "baseline.rsc"),
            "provision_baseline_unless": '[/system note get note] = "baseline 1"',
        }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def role(**variables):
    return [{"name": "role", "ansible.builtin.include_role": {"name": "outofband.chr.image_import"}, "vars": variables}]


def test_one_run_makes_a_licensed_router_of_an_archive_and_a_second_one_changes_nothing(
    playbook, libvirtd, router, tmp_path
):
    """The second run has the inventory of the daemon, where the host has another name."""
    dry = playbook("outofband.chr.provision", {"edge": router}, "--check")
    assert (dry.rc, list(Path(router["image_import_cache"]).glob("*"))) == (0, []), dry.output
    assert "edge" not in libvirtd.virsh("list", "--all", "--name").split()

    first = playbook("outofband.chr.provision", {"edge": router})
    assert first.rc == 0, first.output
    assert "edge: libvirt, level p1, system id" in first.output
    changed = {task.rpartition(" : ")[2] for _host, task in first.changed()}
    assert {"Prepare the image", "Create or remove the VM on libvirt", "Run the baseline script"} <= changed
    assert "Capacity:       192" in libvirtd.virsh("domblkinfo", "edge", "vda", "--human")

    source = {"backend": "libvirt", "libvirt_uri": libvirtd.uri, "recognise": ["mark"]}
    named = {"hostnames": ["'berlin-' ~ chr_vm_name"]}
    (tmp_path / "fleet.chr.yml").write_text(yaml.safe_dump({"plugin": "outofband.chr.routers", **source, **named}))
    others = {name: value for name, value in router.items() if name not in ("chr_backend", "chr_libvirt_uri")}
    (tmp_path / "settings.yml").write_text(yaml.safe_dump(others))
    second = playbook("outofband.chr.provision", {}, "--inventory=fleet.chr.yml", "--extra-vars=@settings.yml")
    assert (second.rc, second.changed()) == (0, set()), second.output
    assert {line["host"] for line in second.lines} == {"berlin-edge"}
    seen = playbook(
        [
            {
                "name": "seen",
                "outofband.chr.script": {
                    "source": ":put [/system identity get name]\n:put [:len [/system script find name=first]]"
                },
            }
        ],
        {"edge": router},
    )
    assert seen.of("seen")["result"]["stdout_lines"] == ["edge-1", "1"], (
        "neither the baseline nor the first boot was lost or run twice"
    )

    kept = playbook(role(image_import_state="absent"), {"edge": router})
    assert "has a license of the level p1" in kept.output
    gone = playbook(role(image_import_state="absent", image_import_confirm_licensed=True), {"edge": router})
    assert gone.rc == 0, gone.output
    assert "edge" not in libvirtd.virsh("list", "--all", "--name").split()


WRONG = {
    "card": ({"image_import_nics": [{"model": "netfront"}]}, "Network card netfront: under QEMU/KVM a CHR can use"),
    "memory": ({"image_import_memory": 128}, "128 MiB of memory: 256 are needed"),
    "disk": ({"image_import_version": "6.49.18", "image_import_size": "17GiB"}, "RouterOS 6 takes at most 16384"),
    "version": ({"image_import_version": "6.33"}, "RouterOS 6.33 has no CHR"),
    "checksum": ({"image_import_checksum": "sha256:" + "0" * 64}, "sha256"),
    "storage": ({"image_import_libvirt_storage": "nowhere"}, "nowhere"),
    "nothing": ({"image_import_version": "", "image_import_src": ""}, "Set image_import_version"),
    "no checksum": ({"image_import_src": "", "image_import_checksum": ""}, "set image_import_checksum"),
    "size": ({"image_import_size": "1Q"}, "image_import_size is a size"),
    "platform": ({"image_import_platform": "bhyve"}, "value of image_import_platform must be one of"),
}


def test_a_plan_that_cannot_work_is_refused_and_leaves_nothing(playbook, libvirtd, router, pool):
    hosts = {name: router | wrong for name, (wrong, _said) in WRONG.items()}
    refused = playbook(role(), hosts)
    said = {line["host"]: str(line["result"].get("msg")) for line in refused.lines if line["status"] == "failed"}
    assert {name: words in said.get(name, "") for name, (_wrong, words) in WRONG.items()} == dict.fromkeys(
        WRONG, True
    ), said
    assert libvirtd.virsh("list", "--all", "--name").split() == list(pool.iterdir()) == []


def test_a_baseline_without_a_sign_that_it_ran_is_refused_before_anything_is_done(playbook, router):
    refused = playbook("outofband.chr.provision", {"edge": {**router, "provision_baseline_unless": ""}})
    assert "provision_baseline_unless" in refused.output
    assert not Path(router["image_import_cache"]).exists()
