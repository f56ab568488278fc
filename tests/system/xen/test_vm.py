# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs on Xen Project of an image, through OpenSSH and on dom0 itself.

Each configuration is read by the real ``xl`` (a dry run); what it means becomes a domain of a real
oxenstored, with a router in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.action.xl_vm import ActionModule
from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import Deadline
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import ChrError, InvalidInput, NotPossible
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.ensure import (
    Allowed,
    ensure_absent,
    ensure_present,
)
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.guest import Guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.hardware import DISK, Card, Hardware
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.power import Power
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vm import NameTaken, Nic, Outcome, VmSpec
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen import power
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.options import XenstoreOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.xen.vm import XlPlatform
from ansible_collections.outofband.chr.plugins.plugin_utils._image.inspect import Image, inspect
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.vm_settings import settings_of
from ansible_collections.outofband.chr.tests.lab.xen.xl import XlHost
from ansible_collections.outofband.chr.tests.system.conftest import assert_told_to_differ, differing

MIB = 1024**2
SIZE = 128 * MIB


@pytest.fixture
def dom0(xen, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[XlHost]:
    """This machine as dom0."""
    with XlHost(xen, short_path) as one:
        for name, value in one.environment.items():
            monkeypatch.setenv(name, value)
        (short_path / "etc").mkdir()
        yield one


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "chr-7.22.img"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(510)
        file.write(b"\x55\xaa")
        file.truncate(SIZE)
    return path


@pytest.fixture
def options(dom0: XlHost, tmp_path: Path) -> XenstoreOptions:
    return options_for(
        backend="xenstore", vm="chr1", connect_timeout=30.0, exec_mode="auto", runtime_directory=tmp_path / "run"
    )


@pytest.fixture
def platform(options: XenstoreOptions, image: Path, short_path: Path) -> t.Callable[..., XlPlatform]:
    """That of chr1, without Ansible: ``platform(nics=(...))``."""

    def make(**different: t.Any) -> XlPlatform:
        spec = {"name": "chr1", "cpus": 1, "memory": 256, "nics": (Nic(None, "netfront"),), "image": inspect(image)}
        own: dict[str, t.Any] = {"directory": f"{short_path}/images", "config_directory": f"{short_path}/etc"}
        spec |= {key: value for key, value in different.items() if key not in own}
        own |= {key: value for key, value in different.items() if key in own}
        return XlPlatform(VmSpec(**t.cast("t.Any", spec)), options, settings_of(ActionModule, **own), lambda line: None)

    return make


def have(short_path: Path, name: str = "have", **arguments: t.Any) -> dict[str, t.Any]:
    folders = {"directory": f"{short_path}/images", "config_directory": f"{short_path}/etc"}
    return {"name": name, "outofband.chr.xl_vm": {**folders, **arguments}}


def shadow(dom0: XlHost, program: str, script: str) -> None:
    """Have another *program* on dom0."""
    path = dom0.programs / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def files(short_path: Path) -> list[str]:
    found = [*short_path.joinpath("etc").rglob("*"), *short_path.joinpath("images").rglob("*")]
    return sorted(str(one.relative_to(short_path)) for one in found if not one.is_dir())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_from_an_image_to_a_router_that_answers_and_back(dom0, playbook, image, short_path):
    """Over OpenSSH: create, first contact, a script, a second run without change, absent, and
    absent again."""
    server = Sshd(short_path)
    environment = " ".join(f'"{name}={value}"' for name, value in dom0.environment.items())
    server.start(f'SetEnv {environment} "SHLVL=2"')
    hosts = {
        "chr1": {
            "chr_backend": "xenstore",
            **server.variables,
            "chr_socket": str(dom0.xen.daemon.socket),
            "chr_connect_timeout": 30,
        }
    }
    nics = [{"network": "lo", "mac": "00:16:3e:00:00:01"}, {"network": "lo.5", "model": "e1000"}, {}]
    wanted = {"image": str(image), "routeros": "7.22", "cpus": 2, "nics": nics, "autostart": True}
    tasks = [
        have(short_path, **wanted),
        {"name": "wait", "outofband.chr.wait_for_agent": {"timeout": 30}},
        {"name": "script", "outofband.chr.script": {"source": ":put [/system identity get name]"}},
        have(short_path, "again", **wanted),
        differing(have(short_path, **wanted)),
    ]
    try:
        run = playbook(tasks, hosts)
        assert run.rc == 0, run.output
        (domain,) = dom0.running
        result = run.of("have")["result"]
        assert (result["changed"], result["id"], result["state"]) == (True, domain.uuid, "running")
        assert result["image"] == sha256(image) == sha256(short_path / "images" / "chr1.img")
        assert run.of("script")["result"]["stdout_lines"] == ["chr1"]
        assert not run.of("again")["result"]["changed"]
        assert_told_to_differ(run, "again")
        assert files(short_path) == ["etc/auto/chr1.cfg", "etc/chr1.cfg", "images/chr1.img"]
        assert (short_path / "etc/auto/chr1.cfg").resolve() == (short_path / "etc/chr1.cfg").resolve()
        gone = playbook([have(short_path, "gone", state="absent"), have(short_path, "again", state="absent")], hosts)
        assert gone.rc == 0, gone.output
        assert (gone.of("gone")["result"]["changed"], gone.of("again")["result"]["changed"]) == (True, False)
    finally:
        server.stop()
    assert (dom0.running, files(short_path)) == ([], [])
    found = dom0.configurations["chr1"]
    hvm = found["b_info"]["type.hvm"]
    assert found["c_info"]["type"] == "hvm"
    assert (hvm["boot"], hvm["viridian"], hvm["serial"], hvm["vnc"]) == ("c", "False", "pty", {"enable": "False"})
    assert (found["b_info"]["max_vcpus"], found["b_info"]["target_memkb"]) == (2, 288 * 1024)
    assert found["disks"] == [
        {"pdev_path": f"{short_path}/images/chr1.img", "vdev": "hda", "format": "raw", "readwrite": 1}
    ]
    first, second, third = found["nics"]
    assert (first["mac"], first["bridge"], first["nictype"]) == ("00:16:3e:00:00:01", "lo", "vif")
    assert (second["model"], second["bridge"], second["nictype"]) == ("e1000", "lo.5", "vif_ioemu")
    assert re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", third["mac"])
    assert "bridge" not in third


@pytest.mark.parametrize("key", ["builder", "type"])
def test_the_kind_of_guest_is_understood_by_old_and_new_versions(dom0, platform, short_path, key):
    """Xen 4.6 knows ``builder`` only; since 4.10 it is deprecated, and ``type`` is there."""
    path = short_path / "chr1.cfg"
    path.write_text(re.sub(rf"^{key} = .*$", "", platform()._domain(), flags=re.MULTILINE))
    assert f"\n{key} =" not in path.read_text()
    status, output, errors = dom0.parse(path)
    assert status == 0, errors
    assert '"type": "hvm"' in output


def test_the_agent_finds_its_part_of_xenstore_when_it_boots(dom0, platform):
    """xl makes no vm-data. It is there, and the guest's own, before the guest runs."""
    ensure_present(platform(), running=True, check_mode=False)
    (domain,) = dom0.running
    assert dom0.xen.store.permissions(f"{domain.path}/vm-data") == [f"n{domain.domid}"]
    assert [argv[0] for argv in dom0.log if argv[0] != "vm-list"] == ["create", "unpause"]


def test_check_mode_says_what_would_be_and_does_nothing(platform, short_path):
    outcome = ensure_present(platform(), running=True, check_mode=True)
    assert (outcome.before, outcome.after) == ("absent", "running")
    assert (files(short_path), short_path.joinpath("images").exists()) == ([], False)


def test_an_import_that_was_killed_is_begun_anew(dom0, playbook, platform, image, short_path):
    """SIGKILL while the disk is on its way; the folder for it is another one the next time."""
    shadow(dom0, "openssl", f'while [ -e {short_path}/hold ]; do sleep 0.05; done; exec /usr/bin/openssl "$@"')
    (short_path / "hold").touch()
    process = playbook.start([have(short_path, image=str(image))], {"chr1": {"chr_backend": "xenstore"}})
    part = short_path / "images" / "chr1.img.part"
    end = time.monotonic() + 60
    while not part.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    playbook.kill(process)
    (short_path / "hold").unlink()
    assert "importing" in (short_path / "etc/chr1.cfg").read_text()
    elsewhere = platform(directory=f"{short_path}/images/other")
    outcome = ensure_present(elsewhere, running=True, check_mode=False)
    assert (outcome.before, outcome.after) == ("unfinished", "running")
    assert files(short_path) == ["etc/chr1.cfg", "images/other/chr1.img"]
    assert [one.name for one in dom0.running] == ["chr1"]


def test_a_disk_that_arrives_as_another_one_is_removed(dom0, platform, short_path):
    shadow(dom0, "openssl", "cat > /dev/null; echo 0000000000000000000000000000000000000000000000000000000000000000")
    with pytest.raises(ChrError, match="arrived with the sha256 0{64}, not [0-9a-f]{64}; it was removed"):
        ensure_present(platform(), running=True, check_mode=False)
    assert files(short_path) == []


def test_what_belongs_to_somebody_else_is_not_touched(dom0, platform, short_path):
    """A configuration without the mark, a domain without a configuration, a disk without one."""
    config = short_path / "etc" / "chr1.cfg"
    config.write_text('name = "chr1"\n')
    for change in (ensure_absent, lambda one, check_mode: ensure_present(one, running=True, check_mode=check_mode)):
        with pytest.raises(NameTaken, match="etc/chr1.cfg.*did not import it"):
            change(platform(), check_mode=False)
    config.unlink()
    (short_path / "images").mkdir()
    (short_path / "images" / "chr1.img").touch()
    with pytest.raises(NameTaken, match="already has the file .*/images/chr1.img"):
        ensure_present(platform(), running=True, check_mode=False)
    assert files(short_path) == ["images/chr1.img"]
    other = dom0.xen.domain("chr1", "xl")
    dom0.domains.append(other)
    with pytest.raises(NameTaken, match=f"domain {other.uuid}.*did not import it"):
        ensure_absent(platform(), check_mode=False)
    assert dom0.running == [other]


def test_one_that_does_not_start_is_there_and_starts_with_the_next_run(dom0, platform):
    dom0.faults["create"] = "libxl: error: failed to free memory for the domain"
    with pytest.raises(ChrError, match="'xl create -p .*/chr1.cfg' on .* failed .*failed to free memory"):
        ensure_present(platform(), running=True, check_mode=False)
    outcome = ensure_present(platform(), running=True, check_mode=False)
    assert (outcome.before, outcome.after) == ("stopped", "running")


def test_without_the_right_to_use_xl_it_says_what_is_needed(dom0, platform):
    dom0.faults["vm-list"] = (
        "xencall: error: Could not obtain handle on privileged command interface: Permission denied"
    )
    with pytest.raises(ChrError, match="Permission denied. xl needs root in dom0"):
        ensure_present(platform(), running=True, check_mode=False)


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"name": "chr 1"}, "'chr 1' is not a valid name for xl and its files"),
        ({"directory": "images"}, "directory 'images' is not an absolute path"),
        ({"directory": '/x"y'}, "is not an absolute path of plain letters"),
        ({"config_directory": "/nowhere"}, "has no folder /nowhere"),
        ({"directory": "/proc/images"}, "/proc on this machine has 0 MB free, and the disk needs 134 MB"),
        ({"nics": (Nic(None, "netfront", vlan=5),)}, "vlan 5, which not every version of xl can set"),
        ({"nics": (Nic("nowhere0", "netfront"),)}, "has no bridge 'nowhere0'"),
        ({"nics": (Nic('lo" ]', "netfront"),)}, "has no bridge"),
        ({"image": Image(Path("/x.qcow2"), "qcow2", SIZE)}, "xl needs a raw image, but '/x.qcow2' is qcow2"),
    ],
    ids=["name", "path", "quote", "folder", "space", "vlan", "bridge", "injection", "format"],
)
def test_what_cannot_go_well_is_told_before_anything_is_made(platform, short_path, different, said):
    with pytest.raises(ChrError, match=re.escape(said)):
        ensure_present(platform(**different), running=True, check_mode=False)
    assert files(short_path) == []


def test_a_device_that_a_configuration_names_now_is_not_removed(dom0, platform, short_path):
    """Somebody moved the disk to a volume, and keeps the mark."""
    ensure_present(platform(), running=False, check_mode=False)
    config, volume = short_path / "etc" / "chr1.cfg", short_path / "volume"
    volume.touch()
    config.write_text(config.read_text().replace(f"{short_path}/images/chr1.img", str(volume)))
    ensure_absent(platform(), check_mode=False)
    assert volume.exists()
    assert files(short_path) == []


def test_the_lab_knows_what_xl_does_not(dom0, short_path):
    """The double refuses what the real command has not."""
    config = short_path / "x.cfg"
    config.write_text('name = "x"\nbogus = 1\n')
    for argv in (["frob"], ["create", "--bogus", str(config)], ["create", str(config)], ["vm-list", "-v"]):
        assert subprocess.run(["xl", *argv], check=False, capture_output=True).returncode != 0


# -- power -----------------------------------------------------------------------------------------


@pytest.fixture
def router(
    dom0: XlHost, options: XenstoreOptions, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Callable[[], Guest]:
    """The guest chr1, as a new task gets it."""
    monkeypatch.setattr(power, "CONFIG_DIRECTORY", f"{short_path}/etc")
    return lambda: open_guest(dataclasses.replace(options, socket=str(dom0.xen.daemon.socket)))


@pytest.fixture
def switch(router: t.Callable[[], Guest]) -> t.Callable[[], Power]:
    return lambda: router().power()


def test_a_domain_is_stopped_started_and_reset_by_xl(dom0, platform, router, switch):
    ensure_present(platform(), running=True, check_mode=False)
    (first,) = dom0.running
    switch().check()
    assert switch().is_on()
    switch().stop(Deadline(30))
    assert dom0.running == []
    assert not switch().is_on()
    switch().start(Deadline(30))
    (second,) = dom0.running
    assert (second.uuid, second.domid != first.domid) == (first.uuid, True)
    one = router()
    one.ping(30)
    before = second.domid
    one.power().reset(Deadline(30))
    (third,) = dom0.running
    assert (third.uuid, third.domid != before) == (first.uuid, True)
    one.ping(30)
    assert [words[0] for words in dom0.log if words[0] in ("create", "destroy")] == [
        "create",
        "destroy",
        "create",
        "destroy",
        "create",
    ]


def test_a_domain_that_nothing_describes_is_not_started_and_one_that_is_described_otherwise_is_not_reset(
    dom0, platform, switch, short_path
):
    with pytest.raises(NotPossible, match="xl knows nothing about one that is off. A start needs the file"):
        switch().is_on()
    ensure_present(platform(), running=True, check_mode=False)
    config = short_path / "etc" / "chr1.cfg"
    other = "00000000-0000-4000-8000-000000000001"
    config.write_text(power.UUID.sub(f'uuid = "{other}"', config.read_text()))
    with pytest.raises(NotPossible, match=f"'chr1' was not reset: .*describes the VM {other}"):
        switch().reset(Deadline(30))
    config.write_text(config.read_text().replace('name = "chr1"', 'name = "chr2"'))
    with pytest.raises(NotPossible, match="A start needs the file"):
        switch().reset(Deadline(30))
    assert len(dom0.running) == 1


def test_a_dom0_of_xenserver_is_left_to_xapi(dom0, switch):
    shadow(dom0, "xe", "exit 0")
    with pytest.raises(NotPossible, match="whose VMs XAPI starts and stops. Use backend xenapi"):
        switch().check()


def test_a_domain_that_was_destroyed_and_does_not_start_again_is_told(dom0, platform, switch):
    ensure_present(platform(), running=True, check_mode=False)
    dom0.faults["create"] = "libxl: error: no memory"
    with pytest.raises(ChrError, match="no memory. Its old domain has been destroyed"):
        switch().reset(Deadline(30))
    assert dom0.running == []


# -- drift, and domains of others ------------------------------------------------------------------


def reconciled(platform: t.Callable[..., XlPlatform], *, adopt: bool = False, **wanted: t.Any) -> Outcome:
    allowed = Allowed(adopt=adopt, reconcile=True, restart=True)
    return ensure_present(platform(**wanted), running=True, check_mode=False, allowed=allowed)


def test_a_domain_that_drifted_is_reconciled_once_and_the_rest_of_its_configuration_stays(dom0, platform, short_path):
    nics = (Nic(None, "netfront"), Nic(None, "e1000"), Nic(None, "netfront"))
    ensure_present(platform(nics=nics), running=True, check_mode=False)
    config = short_path / "etc" / "chr1.cfg"
    text = config.read_text().replace('boot = "c"', "boot = 'nc'").replace("vcpus = 1", "vcpus = 1\nmaxvcpus = 4")
    config.write_text(text.replace(" ]\nviridian", " ]\nlocaltime = 1\nviridian"))
    (first, *_others) = re.findall("mac=([0-9a-f:]+)", text)
    nics = (Nic(None, "e1000"), Nic(None, "e1000", "02:00:5e:10:00:01"))
    cards = (Card("e1000"), Card("e1000", "02:00:5e:10:00:01"))
    wanted = {"nics": nics, "asked": Hardware(2, 512, cards, True, DISK)}
    outcome = reconciled(platform, **wanted)
    assert [(one.what, one.card) for one in outcome.reconciled] == [
        ("cpus", None),
        ("memory", None),
        ("boot", None),
        ("nics", None),
        ("model", 1),
        ("mac", 2),
    ]
    text = config.read_text()
    for line in ("vcpus = 2", "memory = 512", "maxmem = 512", 'boot = "c"', "localtime = 1"):
        assert f"\n{line}\n" in text, line
    assert "maxvcpus" not in text
    assert re.findall("vif = .*", text) == [
        f'vif = [ "type=ioemu,model=e1000,mac={first}", "type=ioemu,model=e1000,mac=02:00:5e:10:00:01" ]'
    ]
    assert len(dom0.running) == 1
    assert not reconciled(platform, **wanted).changed
    more = (*nics, Nic(None, "netfront"))
    wanted = {"nics": more, "asked": Hardware(nics=tuple(Card() for _nic in more))}
    assert [one.what for one in reconciled(platform, **wanted).reconciled] == ["nics"]
    assert config.read_text().count("mac=") == 3


def test_a_bridge_that_is_missing_is_told_before_the_domain_is_turned_off(dom0, platform):
    ensure_present(platform(), running=True, check_mode=False)
    (running,) = dom0.running
    nics = (Nic("nosuch", "netfront"),)
    with pytest.raises(InvalidInput, match="has no bridge 'nosuch'"):
        reconciled(platform, nics=nics, asked=Hardware(nics=(Card(network="nosuch"),)))
    assert dom0.running == [running]


def test_a_domain_of_somebody_else_is_adopted_and_its_disk_elsewhere_stays(dom0, platform, short_path):
    config, disk = short_path / "etc" / "chr1.cfg", short_path / "images" / "chr1.img"
    disk.parent.mkdir()
    disk.touch()
    config.write_text('name = "chr1"\nbuilder = "hvm"\nmemory = 256\ndisk = [ "phy:/dev/vg/chr1,hda,w" ]\n')
    with pytest.raises(
        NotPossible, match=r"was not adopted: that needs the file .*chr1.cfg with its name and its uuid"
    ):
        reconciled(platform, adopt=True)
    uuid = "6b1d2d6e-2f0c-4b8e-9c8e-0f2a3b4c5d6e"
    config.write_text(f"uuid = \"{uuid}\"\n{config.read_text()}vif = [\n  'mac=00:16:3e:00:00:01,bridge=br0',\n]\n")
    one = platform(asked=Hardware())
    outcome = ensure_present(one, running=False, check_mode=False, allowed=Allowed(adopt=True))
    assert (outcome.adopted, outcome.id, outcome.image) == (True, uuid, None)
    assert outcome.hardware.nics == (Card(None, "00:16:3e:00:00:01", "br0"),)
    assert not ensure_present(platform(), running=False, check_mode=False, allowed=Allowed(adopt=True)).changed
    assert config.read_text().startswith("# outofband.chr: image unknown imported for ")
    gone = platform()
    assert ensure_absent(gone, check_mode=False).changed
    assert "its disk is not removed with it" in gone.warnings[0]
    assert files(short_path) == ["images/chr1.img"]
