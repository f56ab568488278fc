# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the system packages that the demo or the tests use, if they are missing and may be
installed.

    system_packages.py demo|test

It runs on Debian and Ubuntu before anything else is installed, with the standard library only. What
stays missing is named with the command that installs it. That is not an error here: the demo and
the tests go on without it, and say in their last lines what they left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

LOG = Path(__file__).resolve().parents[2] / ".build" / "system_packages.log"
OLDEST_PYTHON = (3, 11)


class Need:
    """A component that comes in one of several packages."""

    def __init__(self, found, *packages, what, tests_only=False):
        """*found*: a function that says whether it is there. *packages*: the first one that the
        release has is taken.

        *what*: what is left out without it, separated by commas.
        """
        self.found = found
        self.packages = packages
        self.what = what
        self.tests_only = tests_only


def program(*names):
    """A check for one of some programs."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return lambda: any(shutil.which(name, path=path) for name in names)


def programs(*names):
    """A check for all of some programs."""
    return lambda: all(program(name)() for name in names)


def file(pattern):
    """A check for a file whose path is a pattern."""
    return lambda: any(Path("/").glob(pattern.lstrip("/")))


def succeeds(*command):
    """A check by a program's exit status."""
    return lambda: bool(shutil.which(command[0])) and run(*command).returncode == 0


def run(*command, **options):
    """Run a program with its output captured."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def new_python():
    """The name of the first Python that is new enough, as in the Makefile; None if there is
    none."""
    newer = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    return next(
        (name for name in ("python3", "python3.13", "python3.12", "python3.11") if succeeds(name, "-c", newer)()), None
    )


def python_has(code):
    """A check for something in the Python that the tools run with."""
    return lambda: (name := new_python()) is not None and succeeds(name, "-c", code)()


HEADERS = "import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()['include'] + '/Python.h'))"
DRIVER = "/usr/lib/*/libvirt/connection-driver/libvirt_driver_{}.so"
# A release whose python3 is too old may have a newer one beside it (Ubuntu 22.04).
PYTHON = "python3" if sys.version_info >= OLDEST_PYTHON else "python3.11"
LIBVIRT = "libvirt"
# What compiles libvirt-python, with the headers of the Python that it is for.
COMPILER = (
    Need(succeeds("pkg-config", "--exists", "libvirt"), "libvirt-dev", what=LIBVIRT),
    Need(program("pkg-config"), "pkg-config", "pkgconf", what=LIBVIRT),
    Need(program("gcc"), "gcc", what="libvirt, Xen"),
    Need(file("/usr/include/stdio.h"), "libc6-dev", what="libvirt, Xen"),
)
NEEDS = (
    Need(new_python, PYTHON, what="everything"),
    Need(python_has("import ensurepip, venv"), f"{PYTHON}-venv", what="ansible-test"),
    Need(program("qemu-system-x86_64"), "qemu-system-x86", what="QEMU, libvirt"),
    Need(program("ssh"), "openssh-client", what="SSH"),
    Need(program("libvirtd"), "libvirt-daemon", what=LIBVIRT),
    Need(file(DRIVER.format("qemu")), "libvirt-daemon-driver-qemu", what=LIBVIRT),
    # Parts of libvirt-daemon in older releases.
    Need(file(DRIVER.format("storage")), "libvirt-daemon-driver-storage", "libvirt-daemon", what=LIBVIRT),
    Need(file(DRIVER.format("network")), "libvirt-daemon-driver-network", "libvirt-daemon", what=LIBVIRT),
    Need(program("virsh"), "libvirt-clients", what=LIBVIRT),
    *COMPILER,
    Need(python_has(HEADERS), f"{PYTHON}-dev", what=LIBVIRT),
    Need(program("qemu-ga"), "qemu-guest-agent", what="the stock guest agent", tests_only=True),
    Need(program("sshd"), "openssh-server", what="SSH", tests_only=True),
    Need(program("socat"), "socat", what="SSH", tests_only=True),
    Need(program("ip"), "iproute2", what="host networks", tests_only=True),
    Need(program("qemu-img"), "qemu-utils", what="images"),
    Need(programs("debugfs", "mke2fs", "e2fsck"), "e2fsprogs", what="images"),
    Need(program("curl"), "curl", what="the benchmark of uploads", tests_only=True),
    Need(program("shellcheck"), "shellcheck", what="some checks of style", tests_only=True),
    Need(
        program("chromium", "chromium-browser", "google-chrome"),
        "chromium",
        what="the license report in a browser",
        tests_only=True,
    ),
)


def main():
    """Install what is missing, name what stays missing; the exit status."""
    for_tests = sys.argv[1:] != ["demo"]
    needs = [need for need in NEEDS if for_tests or not need.tests_only]
    missing = [need for need in needs if not need.found()]
    apt = Apt()
    if not apt.exists:
        return finish(missing, apt)
    # oxenstored is not installed, as it would change how the machine boots; the lab unpacks it from
    # its package.
    if missing or not apt.knows_xen():
        apt.update()
    packages = apt.choose(missing)
    if packages and apt.may_install:
        apt.install(packages)
        missing = [need for need in missing if not need.found()]
    return finish(missing, apt)


class Apt:
    """apt-get and apt-cache, quietly; what they say goes to a log."""

    def __init__(self):
        self.exists = program("apt-get")()
        as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
        self.may_install = os.getuid() == 0 or succeeds("sudo", "-n", "true")()
        self._get = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet"]
        self._get += ["-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"]
        self._as_root = as_root

    def knows_xen(self):
        """Whether the lists of packages are there and have Xen's."""
        return bool(run("apt-cache", "search", "--names-only", "^xen-utils-[0-9.]+$").stdout.strip())

    def update(self):
        """Fetch the lists of packages, if that is allowed."""
        if self.may_install:
            say("Fetching the lists of system packages (some seconds)")
            if not self._run("update"):
                say(f"The lists could not be fetched; see {LOG}")

    def choose(self, needs):
        """The packages to install: for each need the first one that this release has."""
        names = [name for need in needs for name in need.packages]
        said = run("apt-cache", "policy", *names, env={**os.environ, "LC_ALL": "C"}).stdout if names else ""
        there = re.findall(r"^(\S+):\n.*\n  Candidate: (?!\(none\))", said, re.MULTILINE)
        if not said:
            return list(dict.fromkeys(need.packages[0] for need in needs))  # the lists are not there yet
        chosen = {}
        for need in needs:
            chosen.update(dict.fromkeys([name for name in need.packages if name in there][:1]))
        return list(chosen)

    def install(self, packages):
        """Install them all at once, or one by one if one of them stops the others."""
        plan = run(*self._get, "--simulate", "install", *packages).stdout
        count = len(re.findall(r"^Inst ", plan, re.MULTILINE))
        say(f"Installing system packages ({count} with their dependencies, 1 to 5 minutes): {' '.join(packages)}")
        began = time.monotonic()
        if not self._run("install", *packages):
            for package in packages:
                self._run("install", package)
        say(f"Done after {time.monotonic() - began:.0f} s")
        if Path("/run/systemd/system").is_dir():
            # The tests start daemons of their own; the machine does not need these.
            services = {"openssh-server": ["ssh.service", "ssh.socket"]}
            services["libvirt-daemon"] = [
                f"libvirtd{kind}" for kind in (".service", ".socket", "-ro.socket", "-admin.socket")
            ]
            for package, units in services.items():
                if package in packages:
                    run(*self._as_root, "systemctl", "disable", "--quiet", "--now", *units)

    def _run(self, *arguments):
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("a", encoding="utf-8") as log:
            command = [*self._get, *arguments]
            done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return done.returncode == 0


def finish(missing, apt):
    """Name what is missing and how it is installed."""
    if not missing:
        return 0
    packages = apt.choose(missing) if apt.exists else []
    unknown = [need for need in missing if not any(name in packages for name in need.packages)]
    lost = ", ".join(dict.fromkeys(word for need in missing for word in need.what.split(", ")))
    say(f"Some components are missing, so these parts may be left out, and are named at the end: {lost}.")
    if packages:
        reason = (
            f"apt-get could not install them (see {LOG})" if apt.may_install else "An administrator can install them"
        )
        say(f"{reason}: apt-get update && apt-get install --no-install-recommends {' '.join(packages)}")
    names = ", ".join(dict.fromkeys(need.packages[0] for need in unknown))
    if not apt.exists:
        say(f"Install what corresponds to these packages of Debian: {names}.")
    elif unknown:
        say(f"No package source of this machine has: {names}.")
    return 0


def say(text):
    """Print a step."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
