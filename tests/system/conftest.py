# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real components for the system tests, and ansible-playbook as its users run it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._guest.backends import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.base import GuestOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._guest.vmware import VmwareGuest
from ansible_collections.outofband.chr.tests.lab.kill import kill_tree
from ansible_collections.outofband.chr.tests.lab.qemu.image import GuestImage, build_image
from ansible_collections.outofband.chr.tests.lab.qemu.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches
from ansible_collections.outofband.chr.tests.lab.vcenter import PASSWORD, USER, NoGo, Vcenter, build_vcsim
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import NoXen, build_xen

CONNECTION = {"ansible_connection": "outofband.chr.guest_agent", "chr_backend": "qemu", "chr_connect_timeout": 5}


@pytest.fixture
def short_path() -> t.Iterator[Path]:
    """A folder whose name leaves room for a unix socket's."""
    folder = Path(tempfile.mkdtemp(prefix="chr-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lab(short_path: Path) -> t.Iterator[t.Callable[..., LabRouter]]:
    """Start a lab router on a unix socket: ``lab("chr1", close_answers=True)``."""
    running: list[LabRouter] = []

    def start(name: str, **switches: t.Any) -> LabRouter:
        router = LabRouter(Router(identity=name), f"unix:{short_path / name}.sock", Switches(**switches)).start()
        running.append(router)
        return router

    yield start
    for router in running:
        router.stop()


@dataclass
class Run:
    """What a run of ansible-playbook left."""

    rc: int
    output: str
    lines: list[dict[str, t.Any]]

    def of(self, task: str, host: str | None = None) -> dict[str, t.Any]:
        """The one record of a task (by name), with ``status`` and ``result``."""
        (found,) = [line for line in self.lines if line["task"] == task and host in (None, line["host"])]
        return found

    def changed(self) -> set[tuple[str, str]]:
        return {(line["host"], line["task"]) for line in self.lines if line["result"].get("changed")}


@dataclass
class Playbook:
    """ansible-playbook in a folder, with tasks or with a playbook of the collection, by its name."""

    folder: Path

    def __call__(
        self, tasks: list[dict[str, t.Any]] | str, hosts: dict[str, dict[str, t.Any]], *arguments: str, **play: t.Any
    ) -> Run:
        """Run it to its end: ``playbook([{...}], {"chr1": {"chr_socket": ...}}, "--check")``."""
        process = self.start(tasks, hosts, *arguments, **play)
        try:
            output, _unused = process.communicate(timeout=300)
        finally:
            process.kill()
        record = self.folder / "record.jsonl"
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        return Run(process.returncode, output.decode("utf-8", "surrogateescape"), lines)

    def start(
        self, tasks: list[dict[str, t.Any]] | str, hosts: dict[str, dict[str, t.Any]], *arguments: str, **play: t.Any
    ) -> subprocess.Popen[bytes]:
        """Begin it, in a process group of its own."""
        record = self.folder / "record.jsonl"
        record.unlink(missing_ok=True)
        (self.folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"vars": CONNECTION, "hosts": hosts}}))
        if not isinstance(tasks, str):
            plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks, **play}]
            (self.folder / "play.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
        environment = os.environ | {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "RECORD_TO": str(record),
        }
        what = tasks if isinstance(tasks, str) else "play.yml"
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.yml", what, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a run as a crash of its machine would: all its processes at once."""
        kill_tree(process.pid)
        process.communicate()


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    """Run tasks or a playbook of the collection on hosts."""
    return Playbook(tmp_path)


def cache() -> Path:
    """The folder for what is built once: images, programs."""
    return Path(os.environ.get("OUTOFBAND_LAB_CACHE", Path(__file__).parents[2] / ".build" / "lab"))


@pytest.fixture(scope="session")
def vcsim() -> Path:
    """The vCenter simulator, built with the Go on PATH; without one the test fails under CI and is skipped elsewhere."""
    try:
        return build_vcsim(cache())
    except NoGo as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def vcenter(vcsim: Path, short_path: Path) -> t.Iterator[t.Callable[..., Vcenter]]:
    """Start a vCenter with router VMs: ``vcenter("chr1", "chr2", retention=2)``."""
    with contextlib.ExitStack() as running:

        def start(*names: str, **settings: t.Any) -> Vcenter:
            return running.enter_context(
                Vcenter(vcsim, short_path / f"{len(running._exit_callbacks)}", names, **settings)
            )

        yield start


@pytest.fixture(scope="module")
def xen() -> t.Iterator[XenHost]:
    """A Xen host around Debian's oxenstored; where that cannot be had, the test fails under CI and is skipped elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="chr-", dir="/tmp"))
    try:
        with XenHost(build_xen(cache()), folder) as host:
            yield host
    except NoXen as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def vmware_guest(tmp_path: Path) -> t.Callable[..., VmwareGuest]:
    """A router of a vCenter, without Ansible: ``vmware_guest(vcenter, "chr1", connect_timeout=1)``."""

    def make(vcenter: Vcenter, vm: str, **options: t.Any) -> VmwareGuest:
        defaults = {
            "backend": "vmware",
            "connect_timeout": 5.0,
            "exec_mode": "auto",
            "runtime_directory": tmp_path / "run",
            "api_host": vcenter.about["host"],
            "api_port": int(vcenter.about["port"]),
            "api_user": USER,
            "api_password": PASSWORD,
            "ca_path": vcenter.about["ca"],
        }
        return t.cast("VmwareGuest", open_guest(GuestOptions(vm=vm, **{**defaults, **options})))

    return make


@pytest.fixture(scope="session")
def image() -> GuestImage:
    """Kernel and initramfs of the QEMU guest, built from the distribution's packages."""
    return build_image(cache())


@pytest.fixture(scope="module")
def libvirtd(image: GuestImage) -> t.Iterator[Libvirtd]:
    """A libvirtd of our own. The folder's name leaves room for a unix socket's."""
    folder = Path(tempfile.mkdtemp(prefix="chr-", dir="/tmp"))
    with Libvirtd(folder, image) as daemon:
        yield daemon
    shutil.rmtree(folder, ignore_errors=True)
