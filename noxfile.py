# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One nox session for each kind of check and ansible-core version; CONTRIBUTING.md tells how to run them.

Every session works on a copy of the tree, .build/<session>/ansible_collections/outofband/chr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import nox
from nox.command import CommandFailed

sys.path.insert(0, str(Path(__file__).parent / "tests" / "tools"))
import toolchain

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint"]

os.environ |= toolchain.tool_environment()

REQUIREMENTS = toolchain.ROOT / "tests" / "requirements"
LINT_CORE = max(filter(toolchain.python_for_core, toolchain.CORES), default=toolchain.OLDEST_CORE)


def core_session(check: Callable[[nox.Session], None]) -> Callable[[nox.Session], None]:
    """Make sessions of a check, one for each ansible-core version: sanity becomes sanity-2.18, sanity-2.19, ..."""
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
    """Check format, style, types, licences, changelog and documentation."""
    session.install("-r", str(REQUIREMENTS / "lint.txt"), "-r", str(REQUIREMENTS / f"ansible-core-{LINT_CORE}.txt"))
    collection = toolchain.stage(session.name)
    root = collection.parents[2]
    typed = [collection / "plugins" / folder for folder in ("module_utils", "plugin_utils")]
    typed = [str(folder) for folder in typed if any(folder.rglob("*.py"))]
    commands = [
        ("ruff", "format", "--check", "--no-respect-gitignore", "."),
        ("ruff", "check", "--no-respect-gitignore", "."),
        ("mypy", f"--config-file={collection / 'pyproject.toml'}", f"--cache-dir={root / 'mypy-cache'}", *typed),
        ("yamllint", "--strict", "."),
        ("reuse", "--root", ".", "lint", "--lines"),
        ("antsibull-changelog", "lint"),
        ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."),
        ("ansible-galaxy", "collection", "build", "--force", "--output-path", str(root)),
        ("ansible-lint", "--offline"),
    ]
    failed = []
    for command in commands:
        session.chdir(root if command[0] == "mypy" else collection)
        try:
            session.run(*command, env=ansible_environment(root))
        except CommandFailed:
            failed.append(command[0])
    if failed:
        session.error(f"Failed: {', '.join(failed)}")


@core_session
def sanity(session: nox.Session) -> None:
    """Run every ansible-test sanity check; no file and no check is excepted."""
    ansible_test(session, "sanity")


@core_session
def units(session: nox.Session) -> None:
    """Run the unit tests."""
    ansible_test(session, "units", "--python", python_version(session))


@core_session
def integration(session: nox.Session) -> None:
    """Run the integration targets: playbooks against a router of the lab."""
    ansible_test(session, "integration", "--python", python_version(session))


@core_session
def system(session: nox.Session) -> None:
    """Run the tests of whole playbooks and of what all hypervisors share: QEMU, qemu-ga, sshd."""
    # A fleet takes minutes, and has little to do with ansible-core.
    fleet = [] if session.name.endswith(f"-{toolchain.NEWEST_CORE}") else ["--ignore=tests/system/test_licences.py"]
    elsewhere = ("hypervisors", "platforms")
    run_pytest(session, "tests/system", *(f"--ignore=tests/system/{folder}" for folder in elsewhere), *fleet)


@core_session
def hypervisors(session: nox.Session) -> None:
    """Run the tests of one hypervisor after the other: libvirtd, vCenter's simulator, oxenstored, ..."""
    run_pytest(session, "tests/system/hypervisors")


@core_session
def platforms(session: nox.Session) -> None:
    """Run the tests that bring an image up on one platform after the other."""
    run_pytest(session, "tests/system/platforms")


@core_session
def molecule(session: nox.Session) -> None:
    """Run the roles on routers of the lab: create, converge, idempotence, verify, destroy."""
    session.install("-r", str(REQUIREMENTS / "molecule.txt"))
    collection = toolchain.stage(session.name)
    session.chdir(collection)
    session.run("molecule", "test", *(session.posargs or ["--all"]), env=ansible_environment(collection.parents[2]))


def run_pytest(session: nox.Session, *tests: str) -> None:
    session.install("-r", str(REQUIREMENTS / "system.txt"))
    collection = toolchain.stage(session.name)
    root = collection.parents[2]
    session.chdir(collection)
    session.run(
        *("pytest", "-p", "no:cacheprovider", "--durations=12", *(session.posargs or tests)),
        env=ansible_environment(root) | {"PYTHONPATH": str(root)},
    )


def ansible_environment(root: Path) -> dict[str, str]:
    """Variables that make Ansible use the copy of the collection and leave the developer's home alone."""
    return {"ANSIBLE_COLLECTIONS_PATH": str(root), "ANSIBLE_HOME": str(root / "ansible-home")}


def ansible_test(session: nox.Session, command: str, *options: str) -> None:
    collection = toolchain.stage(session.name)
    session.chdir(collection)
    session.run(
        *("ansible-test", command, "--venv", "--requirements", "--color", "no", *options, *session.posargs),
        env=toolchain.ansible_test_environment(session.name, collection),
    )


def python_version(session: nox.Session) -> str:
    return str(session.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])", silent=True)).strip()
