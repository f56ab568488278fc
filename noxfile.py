# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One nox session for each kind of check and ansible-core version; CONTRIBUTING.md tells how to run
them.

Every session works on a copy of the tree, .build/<session>/ansible_collections/outofband/chr.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent / "tests" / "tools"))
sys.path.insert(0, str(Path(__file__).parent / "tests"))
import toolchain
from lab.missing import Missing
from lab.peers import collections
from lab.watchdog import guard_folder

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint"]

os.environ |= toolchain.tool_environment()

REQUIREMENTS = toolchain.ROOT / "tests" / "requirements"
# How scripts come to the lab's routers (tests/lab/recorder.py), with QEMU, Proxmox VE, libvirt,
# VMware, XCP-ng and Xen.
DIALECTS = ("qga", "proxmox", "libvirt-qga", "vmware", "xenapi", "xenstore")
VM_DIALECTS = ("proxmox", "vmware", "xenapi")
LINT_CORE = toolchain.newest_core_here()


def core_session(check: Callable[[nox.Session], None]) -> Callable[[nox.Session], None]:
    """Make sessions of a check, one for each ansible-core version: sanity becomes sanity-2.18,
    sanity-2.19, ..."""
    for core, versions in toolchain.CORES.items():

        def run(session: nox.Session, core: str = core) -> None:
            session.install("-r", str(REQUIREMENTS / f"ansible-core-{core}.txt"))
            check(session)

        run.__doc__ = check.__doc__
        nox.session(
            run,
            name=f"{check.__name__}-{core}",
            python=toolchain.python_for_core(core) or versions[0],
            tags=[check.__name__, core],
        )
    return check


@nox.session(python=toolchain.python_for_core(LINT_CORE))
def lint(session: nox.Session) -> None:
    """Check format, style, types, licenses, changelog and documentation."""
    session.install("-r", str(REQUIREMENTS / "lint.txt"), "-r", str(REQUIREMENTS / f"ansible-core-{LINT_CORE}.txt"))
    collection = stage(session)
    root = collection.parents[2]
    typed = str(collection / "plugins" / "plugin_utils")
    commands = [
        ("ruff", "format", "--check", "--no-respect-gitignore", "."),
        ("ruff", "check", "--no-respect-gitignore", "."),
        ("mypy", f"--config-file={collection / 'pyproject.toml'}", f"--cache-dir={root / 'mypy-cache'}", typed),
        ("yamllint", "--strict", "."),
        ("reuse", "--root", ".", "lint", "--lines"),
        ("antsibull-changelog", "lint"),
        (
            "antsibull-docs",
            "lint-collection-docs",
            "--plugin-docs",
            "--check-extra-docs-refs",
            "--validate-collection-refs=self",
            ".",
        ),
        ("ansible-galaxy", "collection", "build", "--force", "--output-path", str(root)),
        ("ansible-lint", "--offline", "--project-dir", ".", "--config-file", "tests/tools/ansible-lint.yml"),
    ]
    environment = ansible_environment(root)
    # ansible-lint checks tasks with modules of others against the modules' argument specifications.
    others = {str(collections(lab_cache(), name)) for name in ("awx.awx", "community.routeros")}
    environment["ANSIBLE_COLLECTIONS_PATH"] += "".join(f":{folder}" for folder in others)
    failed = []
    for command in commands:
        session.chdir(root if command[0] == "mypy" else collection)
        try:
            session.run(*command, env=environment)
        except CommandFailed:
            failed.append(command[0])
    if failed:
        session.error(f"Failed: {', '.join(failed)}")


@nox.session(python=toolchain.python_for_core(LINT_CORE))
def docs(session: nox.Session) -> None:
    """Build the documentation as a website in .build/docs/html. A warning is a failure."""
    session.install("-r", str(REQUIREMENTS / "docs.txt"), "-r", str(REQUIREMENTS / f"ansible-core-{LINT_CORE}.txt"))
    collection = toolchain.stage(session.name)
    root = collection.parents[2]
    site = root / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(mode=0o700)
    options = ["--use-current", "--fail-on-error", "--squash-hierarchy", "--dest-dir", str(site)]
    titles = ["--project", "outofband.chr", "--copyright", "The outofband.chr authors", "--title", "outofband.chr"]
    environment = ansible_environment(root)
    session.run("antsibull-docs", "sphinx-init", *options, *titles, "outofband.chr", env=environment)
    website = collection / "docs" / "website"
    with (site / "conf.py").open("a", encoding="utf-8") as configuration:
        configuration.write((website / "conf.py").read_text(encoding="utf-8"))
    (site / "static").mkdir()
    shutil.copy(website / "tables.css", site / "static")
    session.run(str(site / "build.sh"), env=environment, external=True)
    pages = root / "html"
    shutil.rmtree(pages, ignore_errors=True)
    (site / "build" / "html").rename(pages)
    session.log(f"Open {pages / 'index.html'}")


@nox.session(python=toolchain.python_for_core(LINT_CORE))
def release(session: nox.Session) -> None:
    """Build the collection in .build/release, and check it as Ansible Galaxy and a user would.

    A warning of Galaxy's importer is a failure. The archive is installed into an empty folder.
    """
    session.install("-r", str(REQUIREMENTS / "release.txt"), "-r", str(REQUIREMENTS / f"ansible-core-{LINT_CORE}.txt"))
    collection = toolchain.stage(session.name)
    root = collection.parents[2]
    environment = ansible_environment(root)
    for old in root.glob("*.tar.gz"):
        old.unlink()
    session.chdir(collection)
    session.run("ansible-galaxy", "collection", "build", "--force", "--output-path", str(root), env=environment)
    (archive,) = root.glob("*.tar.gz")
    settings = root / "importer.ini"
    checks = ("RUN_FLAKE8", "RUN_ANSIBLE_LINT", "CHECK_REQUIRED_TAGS", "CHECK_CHANGELOG", "CHECK_RUNTIME")
    settings.write_text("[galaxy-importer]\n" + "".join(f"{check} = True\n" for check in checks), encoding="utf-8")
    session.chdir(root)
    importer = ("python", "-m", "galaxy_importer.main", archive.name)
    said = str(session.run(*importer, env={"GALAXY_IMPORTER_CONFIG": str(settings)}, silent=True))
    session.log(said)
    if warnings := [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line]:
        session.error(f"{len(warnings)} warnings of galaxy-importer: {warnings[0]}")
    empty = root / "installed"
    shutil.rmtree(empty, ignore_errors=True)
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(empty)
    session.run("ansible-galaxy", "collection", "install", "--offline", "-p", str(empty), str(archive), env=environment)
    session.run("ansible-galaxy", "collection", "verify", "--offline", "outofband.chr", env=environment)
    session.run("ansible-doc", "--type", "connection", "outofband.chr.guest_agent", env=environment, silent=True)
    playbooks = [f"outofband.chr.{one.stem}" for one in sorted((collection / "playbooks").glob("*.yml"))]
    others = str(collections(lab_cache(), "community.routeros"))  # for the playbook configure
    environment["ANSIBLE_COLLECTIONS_PATH"] += f":{others}"
    session.run("ansible-playbook", "--syntax-check", *playbooks, env=environment)


@nox.session(python=next((one for one in map(toolchain.find_python, toolchain.FUZZ_PYTHONS) if one), False))
def fuzz(session: nox.Session) -> None:
    """Run the targets of tests/fuzz under atheris; the arguments are those of tests/fuzz/run.py.

    What reached new code is kept in .build/fuzz/found and serves the next run.
    """
    if not any(map(toolchain.find_python, toolchain.FUZZ_PYTHONS)):
        session.error(f"atheris needs Python {' or '.join(toolchain.FUZZ_PYTHONS)}, which is not on this machine.")
    core = max(core for core, versions in toolchain.CORES.items() if python_version(session) in versions)
    requirements = (REQUIREMENTS / "fuzz.txt", REQUIREMENTS / f"ansible-core-{core}.txt")
    try:
        session.install(*(word for one in requirements for word in ("-r", str(one))))
    except CommandFailed:
        session.error("atheris cannot be installed: it has wheels for Linux on x86_64 only.")
    session.chdir(stage(session))
    root = toolchain.BUILD / session.name
    module = "ansible_collections.outofband.chr.tests.fuzz.run"
    environment = ansible_environment(root) | {"PYTHONPATH": str(root)}
    session.run("python", "-m", module, "--found", str(root / "found"), *session.posargs, env=environment)


@core_session
def sanity(session: nox.Session) -> None:
    """Run every ansible-test sanity check; no file and no check is excepted.

    ``make test`` compiles and imports the files with this Python only, ``make test-all`` with each.
    """
    ansible_test(session, "sanity", *(("--python", python_version(session)) if quick() else ()))


@core_session
def units(session: nox.Session) -> None:
    """Run the unit tests.

    ansible-test starts a process for each of them, which takes three times as long as the tests.
    ``make test`` runs them in one process.
    """
    if not quick():
        ansible_test(session, "units", "--python", python_version(session))
        return
    session.install("-r", str(REQUIREMENTS / "system.txt"))
    collection = stage(session)
    root = collection.parents[2]
    session.chdir(collection)
    environment = ansible_environment(root) | {"PYTHONPATH": str(root)}
    session.run("pytest", "-p", "no:cacheprovider", *(session.posargs or ["tests/unit"]), env=environment)


@core_session
def integration(session: nox.Session) -> None:
    """Run the integration targets: playbooks against a router of the lab."""
    ansible_test(session, "integration", "--python", python_version(session))


@core_session
def system(session: nox.Session) -> None:
    """Run the tests of whole playbooks; with another ansible-core than the newest, those of the
    contract with Ansible."""
    files = system_tests("test_*.py")
    if not session.name.endswith(f"-{LINT_CORE}"):
        files = [file for file in files if Path(file).name in OF_EACH_CORE]
    run_pytest(session, *files, dialects=DIALECTS)


@core_session
def guests(session: nox.Session) -> None:
    """Run the tests of one hypervisor's guests after the other: libvirtd, vCenter's simulator,
    oxenstored, ..."""
    run_pytest(
        session, *(file for file in system_tests("*/test_*.py") if Path(file).name not in MAKES_VMS), dialects=DIALECTS
    )


@core_session
def vms(session: nox.Session) -> None:
    """Run the tests that bring an image up on one hypervisor after the other."""
    run_pytest(
        session, *(file for file in system_tests("*/test_*.py") if Path(file).name in MAKES_VMS), dialects=VM_DIALECTS
    )


MAKES_VMS = {"test_vm.py", "test_disk.py"}
# What depends on ansible-core: playbooks, roles, delegation, persistent connections, the fleet's
# report.
OF_EACH_CORE = {
    "test_api_bridge.py",
    "test_every_backend.py",
    "test_fleet.py",
    "test_guest_tools.py",
    "test_host_network.py",
    "test_license_report.py",
    "test_network_cli.py",
    "test_playbooks.py",
    "test_provision.py",
    "test_requirements.py",
    "test_router_hosts.py",
}


def system_tests(pattern: str) -> list[str]:
    return sorted(str(file.relative_to(toolchain.ROOT)) for file in (toolchain.ROOT / "tests/system").glob(pattern))


@core_session
def molecule(session: nox.Session) -> None:
    """Run the roles on routers of the lab: create, converge, idempotence, verify, destroy."""
    session.install("-r", str(REQUIREMENTS / "molecule.txt"))
    collection = stage(session)
    session.chdir(collection)
    # As extensions/molecule/inventory.yml names the lab's folder.
    lab = Path(f"/tmp/chr-molecule-{hashlib.sha1(str(collection).encode()).hexdigest()[:8]}")
    guard_folder(lab, remove=True)
    run_and_check_scripts(session, "molecule", "test", *(session.posargs or ["--all"]), dialects=("qga",))


def quick() -> bool:
    """Whether this is ``make test`` and not ``make test-all``."""
    return bool(os.environ.get(toolchain.QUICK))


def lab_cache() -> Path:
    return Path(os.environ["OUTOFBAND_LAB_CACHE"])


def stage(session: nox.Session) -> Path:
    """Copy the tree for a session; what the session starts ends with nox, even when that is
    killed."""
    for folder in (toolchain.BUILD / session.name, Path(session.bin).resolve().parent):
        guard_folder(folder)
    return toolchain.stage(session.name)


def run_pytest(session: nox.Session, *tests: str, dialects: tuple[str, ...] = ()) -> None:
    session.install("-r", str(REQUIREMENTS / "system.txt"), "-r", str(REQUIREMENTS / "judges.txt"))
    for requirement in toolchain.backend_requirements():
        # The tests name the library that is missing, and only those of its backend are left out.
        if not toolchain.why_not_installable(requirement, str(Path(session.bin) / "python")):
            session.install(requirement, success_codes=[0, 1, 2])  # 2: uv could not fetch it
    with contextlib.suppress(Missing):  # here, because there is pip; the tests that need it say what is missing
        collections(lab_cache(), "awx.awx")
    session.chdir(stage(session))
    arguments = session.posargs or (*(("-m", "not slow") if quick() else ()), *tests)
    run_and_check_scripts(session, "pytest", "-p", "no:cacheprovider", *arguments, dialects=dialects)


def run_and_check_scripts(session: nox.Session, *command: str, dialects: tuple[str, ...]) -> None:
    """Run tests, and then check every script that came to the lab's routers.

    If all tests of the session are run, some script must have come by each of *dialects*.
    """
    root = toolchain.BUILD / session.name
    scripts = root / "scripts"
    shutil.rmtree(scripts, ignore_errors=True)
    scripts.mkdir()
    environment = ansible_environment(root) | {"PYTHONPATH": str(root), "OUTOFBAND_LAB_SCRIPTS": str(scripts)}
    session.run(*command, env=environment)
    expected = [f"--from={dialect}" for dialect in dialects if not session.posargs]
    check = "ansible_collections.outofband.chr.tests.tools.check_scripts"
    session.run("python", "-m", check, str(scripts), *expected, env=environment)


def ansible_environment(root: Path) -> dict[str, str]:
    """Variables that make Ansible use the copy of the collection and leave the developer's home
    alone."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(root), "ANSIBLE_HOME": str(root / "ansible-home")}


def ansible_test(session: nox.Session, command: str, *options: str) -> None:
    collection = stage(session)
    session.chdir(collection)
    session.run(
        *("ansible-test", command, "--venv", "--requirements", "--color", "no", *options, *session.posargs),
        env=toolchain.ansible_test_environment(session.name, collection),
    )


def python_version(session: nox.Session) -> str:
    return str(session.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", silent=True)).strip()
