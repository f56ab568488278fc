# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real components for the system tests, and ansible-playbook as its users run it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import open_guest
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.vmware.guest import VmwareGuest
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.kill import kill_tree
from ansible_collections.outofband.chr.tests.lab.libvirt.libvirtd import Libvirtd
from ansible_collections.outofband.chr.tests.lab.missing import need_library, need_program
from ansible_collections.outofband.chr.tests.lab.options import options_for
from ansible_collections.outofband.chr.tests.lab.qemu.image import GuestImage, build_image
from ansible_collections.outofband.chr.tests.lab.routeros import Router
from ansible_collections.outofband.chr.tests.lab.serve import LabRouter
from ansible_collections.outofband.chr.tests.lab.switches import Switches
from ansible_collections.outofband.chr.tests.lab.vmware.vcenter import PASSWORD, USER, Vcenter, build_vcsim
from ansible_collections.outofband.chr.tests.lab.watchdog import guard_folder, temporary_folder
from ansible_collections.outofband.chr.tests.lab.xen.host import XenHost
from ansible_collections.outofband.chr.tests.lab.xen.oxenstored import build_xen

# The sessions of a run end with it, so a test that looks at their files copies them within the run.
KEEP_SESSIONS = {
    "name": "keep",
    "ansible.builtin.command": "cp -a home/cp kept",
    "args": {"chdir": "{{ playbook_dir }}"},
    "delegate_to": "localhost",
    "run_once": True,
    "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
}
CONNECTION = {"ansible_connection": "outofband.chr.guest_agent", "chr_backend": "qemu", "chr_connect_timeout": 5}


@pytest.fixture
def short_path() -> t.Iterator[Path]:
    """A folder whose name leaves room for a unix socket's."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def nothing_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What was started in pytest's folders ends with pytest, even when that is killed."""
    guard_folder(tmp_path_factory.getbasetemp())


@pytest.fixture
def tmp_path(short_path: Path) -> Path:
    """Where ansible-playbook runs, among others: ssh's control socket must fit below it, so its
    name is short, too."""
    folder = short_path / "t"
    folder.mkdir()
    return folder


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


@pytest.fixture
def stock_agent(short_path: Path) -> t.Iterator[tuple[Path, Path]]:
    """The distribution's qemu-ga on a unix socket: the folder in which it works, and the socket."""
    program = need_program("qemu-ga")
    folder = short_path / "guest"
    folder.mkdir()
    address = short_path / "ga.sock"
    places = (f"--path={address}", f"--statedir={short_path}", f"--pidfile={short_path}/pid")
    process = subprocess.Popen(
        [program, "--method=unix-listen", *places],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _unused in range(100):
        if address.exists():
            break
        time.sleep(0.05)
    yield folder, address
    process.terminate()
    process.wait(10)


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
    """ansible-playbook in a folder, with tasks or with a playbook of the collection, by its
    name."""

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


def differing(task: dict[str, t.Any]) -> dict[str, t.Any]:
    """The task of a VM with other settings than it has."""
    (module,) = [name for name in task if name.endswith("_vm")]
    return {**task, "name": "differs", module: {**task[module], "cpus": 3, "memory": 2048, "nics": [{}] * 4}}


def assert_told_to_differ(run: Run, same: str) -> None:
    """Only the task of ``differing`` has differences and warns of each, and it changes nothing."""
    assert run.of(same)["result"]["differences"] == []
    result = run.of("differs")["result"]
    assert not result["changed"]
    assert [(one["what"], one["asked"], one["reconciled"]) for one in result["differences"]] == [
        ("cpus", 3, False),
        ("memory", 2048, False),
        ("nics", 4, False),
    ]
    cpus, memory, cards = [one for one in result["warnings"] if "instead of" in one]
    assert re.search(r"cpus [0-9]+ instead of 3\.", cpus)
    assert re.search(r"memory [0-9]+ MiB instead of 2048 MiB\.", memory)
    assert re.search(r"number of network cards [0-9] instead of 4\.", cards)
    assert result["found"]["state"] == run.of(same)["result"]["state"]
    assert not result["adopted"]


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    """Run tasks or a playbook of the collection on hosts."""
    return Playbook(tmp_path)


@pytest.fixture(scope="session")
def vcsim() -> Path:
    """The vCenter simulator, built once."""
    need_library("pyVmomi", "pyvmomi")
    return build_vcsim(cache())


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
    """A Xen host around Debian's oxenstored."""
    with temporary_folder() as folder, XenHost(build_xen(cache()), folder) as host:
        yield host


@pytest.fixture
def vmware_guest(tmp_path: Path) -> t.Callable[..., VmwareGuest]:
    """A router of a vCenter, without Ansible: ``vmware_guest(vcenter, "chr1",
    connect_timeout=1)``."""

    def make(vcenter: Vcenter, vm: str, **options: t.Any) -> VmwareGuest:
        defaults = {
            "backend": "vmware",
            "connect_timeout": 20.0,
            "exec_mode": "auto",
            "runtime_directory": tmp_path / "run",
            "api_host": vcenter.about["host"],
            "api_port": int(vcenter.about["port"]),
            "api_user": USER,
            "api_password": PASSWORD,
            "ca_path": vcenter.about["ca"],
        }
        return t.cast("VmwareGuest", open_guest(options_for(vm=vm, **{**defaults, **options})))

    return make


@pytest.fixture(scope="session")
def image() -> GuestImage:
    """Kernel and initramfs of the QEMU guest, built from the distribution's packages."""
    need_program("qemu-system-x86_64")
    return build_image(cache())


@pytest.fixture(scope="module")
def libvirtd(image: GuestImage) -> t.Iterator[Libvirtd]:
    """A private libvirtd. The folder's name leaves room for a unix socket's."""
    need_library("libvirt", "libvirt-python")
    with temporary_folder() as folder, Libvirtd(folder, image) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def responsive_libvirtd(request: pytest.FixtureRequest) -> None:
    """Let one test suffer from a libvirtd that died or hangs, and not all that follow."""
    if "libvirtd" in request.fixturenames:
        request.getfixturevalue("libvirtd").restart_if_it_hangs()
