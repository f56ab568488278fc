# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the project's commands on minimal Debian machines, and print a table of what came of it.

    bare_machine.py [--releases bookworm,trixie] [--users root,user] [--commands demo,test]
                    [--sessions "lint units-2.18"]

A bare machine is what debootstrap makes, with ca-certificates, git, make and python3 and nothing
else. It is a folder that is entered with chroot, so it shares the kernel and the network of this
machine and has no systemd. Every combination of release and user gets a new one with a clean clone
of the checkout's last commit, and runs all commands in it, one after the other.

The machine is run in mount and process namespaces of its own. When they end, however that comes
about, the kernel ends every process in them and unmounts what was mounted for them.

Only root can do this. Archives of the new machines are kept in ~/.cache/outofband-chr.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import toolchain

sys.path.insert(0, str(toolchain.ROOT / "tests"))
from lab.missing import in_ci  # noqa: E402
from lab.watchdog import guard_folder  # noqa: E402

RELEASES = ("bookworm", "trixie")  # Debian 12, Debian 13
PACKAGES = "ca-certificates,git,make,python3"
USERS = ("root", "user")  # the second one may not become root
COMMANDS = ("demo", "test")
USER_ID = 1000
TIMEOUT = 60 * 60  # seconds for one command
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "outofband-chr"

# Variables with which this machine's owner tells the registries' clients how to reach them.
REGISTRY_VARIABLES = re.compile(
    r"(?i:(https?|ftp|no|all)_proxy)|(PIP|UV)_(?!FIND_LINKS|CACHE_DIR|CONFIG_FILE)\w+|NPM_CONFIG_\w+"
    r"|GO(PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|INSECURE|VCS|AUTH|TOOLCHAIN)"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|GIT_SSL_CAINFO|NODE_EXTRA_CA_CERTS"
)

# Run by root inside the namespaces. Its arguments are the machine's folder, a user and group, and
# the command. What still runs after the command is named on standard output, and is the machine's
# last line.
ENTER = r"""
set -e
machine=$1 owner=$2
shift 2
mount --types proc proc "$machine/proc"
mount --types sysfs sysfs "$machine/sys"
mount --bind /dev "$machine/dev"
mount --types devpts --options newinstance,ptmxmode=0666,mode=620 devpts "$machine/dev/pts"
mount --bind "$machine/dev/pts/ptmx" "$machine/dev/ptmx"
mount --types tmpfs --options mode=1777 tmpfs "$machine/dev/shm"
status=0
chroot --userspec="$owner" "$machine" "$@" || status=$?
sleep 1
for process in "$machine"/proc/[0-9]*; do
    id=${process##*/}
    [ "$id" -ne $$ ] || continue
    words=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline") || continue
    [ -z "$words" ] || echo "left running: $words"
done
exit "$status"
"""


@dataclasses.dataclass
class Outcome:
    """What one command did on one machine."""

    release: str
    user: str
    command: str
    result: str
    seconds: float
    grown_mb: int
    """Megabytes that the command added to the machine, the checkout's folder included."""
    remarks: list[str]
    """Lines about what was left out or left behind."""


class Unable(Exception):
    """A bare machine cannot be made here; the text says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the project's commands on minimal Debian machines.")
    for name, choices in (("releases", RELEASES), ("users", USERS), ("commands", COMMANDS)):
        parser.add_argument(f"--{name}", type=_words(choices), default=list(choices), metavar=",".join(choices))
    parser.add_argument("--sessions", default="", help="only these sessions of the command test")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_unused: sys.exit(1))

    outcomes: list[Outcome] = []
    try:
        for release in arguments.releases:
            archive = make_archive(release)
            for user in arguments.users:
                # The folder around the machine is private: the machine's copies of settings may
                # hold passwords.
                with tempfile.TemporaryDirectory(prefix=f"{release}-", dir=_work_folder()) as folder:
                    guard_folder(Path(folder), remove=True)  # when this process is killed
                    machine = Machine(Path(folder) / "root", release, user)
                    machine.set_up(archive)
                    outcomes += (machine.run(command, arguments.sessions) for command in arguments.commands)
    except Unable as error:
        print(f"not run: bare machine: {error}", flush=True)
        return int(in_ci())
    return report(outcomes)


def _words(choices: tuple[str, ...]):  # type: ignore[no-untyped-def]
    def words(text: str) -> list[str]:
        found = re.split(r"[,\s]+", text.strip())
        if wrong := [word for word in found if word not in choices]:
            raise argparse.ArgumentTypeError(f"{', '.join(wrong)} is none of {', '.join(choices)}")
        return found

    return words


def _work_folder() -> Path:
    folder = toolchain.BUILD / "bare"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def say(text: str) -> None:
    """Print a step with the time of day."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


# --- The machine ---


def make_archive(release: str) -> Path:
    """Return the archive of a new machine, made once for each release. Raises Unable."""
    if os.getuid() != 0:
        raise Unable("only root can make one")
    archive = CACHE / f"bare-{release}.tar"
    if archive.exists():
        return archive
    if not shutil.which("debootstrap") and shutil.which("apt-get"):
        say("Installing debootstrap")
        apt = ["apt-get", "-qq", "--yes", "--no-install-recommends"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=False, capture_output=True)
        subprocess.run(
            [*apt, "install", "debootstrap", "debian-archive-keyring"],
            check=False,
            capture_output=True,
            env=environment,
        )
    if not shutil.which("debootstrap"):
        raise Unable("the program debootstrap is missing (package debootstrap)")
    say(f"Making a minimal Debian {release} (about 2 minutes, once)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"debootstrap-{release}-", dir=_work_folder()) as folder:
        root = Path(folder) / "root"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(root)]
        done = subprocess.run(bootstrap, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Unable(f"debootstrap {release} failed: {done.stdout[-1000:]}")
        for package in root.glob("var/cache/apt/archives/*.deb"):
            package.unlink()
        beside = Path(folder) / "tar"
        subprocess.run(["tar", "--create", "--file", str(beside), "--directory", str(root), "."], check=True)
        shutil.copyfile(beside, archive.with_suffix(f".{os.getpid()}"))
        archive.with_suffix(f".{os.getpid()}").replace(archive)
    return archive


class Machine:
    """A bare machine in a folder, with the checkout in its user's home."""

    def __init__(self, folder: Path, release: str, user: str) -> None:
        self.folder = folder
        self.release = release
        self.user = user
        self.home = Path("/root" if user == "root" else "/home/user")
        self.checkout = self.home / "work" / "outofband.chr"
        self.environment: dict[str, str] = {}

    def set_up(self, archive: Path) -> None:
        """Unpack it and put the registries' set-up, the user and the checkout into it."""
        say(f"Debian {self.release} for {self.user}: unpacking")
        self.folder.mkdir(mode=0o755)  # services of the lab run as other users
        subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", str(self.folder)], check=True)
        self._write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)  # packages start no services
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            self._copy(Path(name))
        self._take_over_registries()
        if self.user != "root":
            create = ["useradd", "--uid", str(USER_ID), "--create-home", "--shell", "/bin/bash", self.user]
            subprocess.run(["chroot", str(self.folder), *create], check=True)
        checkout = self._inside(self.checkout)
        checkout.parent.mkdir(parents=True)
        git = ["git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks"]
        subprocess.run([*git, str(toolchain.ROOT), str(checkout)], check=True)
        schemas = toolchain.ROOT.parent / "shared" / "schemas"
        if schemas.is_dir():
            shutil.copytree(schemas, checkout.parent / "shared" / "schemas")
        if self.user != "root":
            owner = f"{USER_ID}:{USER_ID}"
            subprocess.run(["chown", "--recursive", owner, str(self._inside(self.home))], check=True)

    def run(self, command: str, sessions: str) -> Outcome:
        """Run ``make demo`` or ``make test`` to its end and print what it prints."""
        words = ["make", command, *([f"SESSIONS={sessions}"] if sessions and command == "test" else [])]
        say(f"Debian {self.release} as {self.user}: {' '.join(words)}")
        environment = self.environment | {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **({"CI": os.environ["CI"]} if "CI" in os.environ else {}),
        }
        owner = "0:0" if self.user == "root" else f"{USER_ID}:{USER_ID}"
        # Ends when this process ends, and with it everything in the namespaces.
        namespaces = ["setpriv", "--pdeathsig", "KILL"]
        namespaces += ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        inside = ["env", f"--chdir={self.checkout}", *words]
        before, began = self._megabytes(), time.monotonic()
        process = subprocess.Popen(
            [*namespaces, "sh", "-c", ENTER, "enter", str(self.folder), owner, *inside],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        remarks: list[str] = []
        alarm = threading.Timer(TIMEOUT, process.kill)
        alarm.start()
        try:
            assert process.stdout
            for line in process.stdout:
                print(f"{self.release} {self.user} | {line.rstrip()}", flush=True)
                if line.startswith(("not run: ", "left running: ")):
                    remarks.append(line.strip())
        finally:
            alarm.cancel()
            process.kill()
            status = process.wait()
        seconds = time.monotonic() - began
        if seconds > TIMEOUT:
            remarks.append(f"ended after {TIMEOUT} s")
        remarks += [f"left in /tmp: {path.name}" for path in sorted(self._inside(Path("/tmp")).iterdir())]
        left = any(line.startswith("left ") for line in remarks)
        result = "failed" if status else "left things behind" if left else "passed"
        return Outcome(self.release, self.user, " ".join(words), result, seconds, self._megabytes() - before, remarks)

    def _take_over_registries(self) -> None:
        """Give apt, pip, uv and Go the settings that they have on this machine, with the files that
        these name."""
        # Where this machine keeps its package lists, its hooks and so on is its own affair.
        for line in _output(["apt-config", "dump", "--no-empty", "Acquire"]).splitlines():
            if not line.startswith(("Acquire::IndexTargets", "Acquire::CompressionTypes")):
                self._write("/etc/apt/apt.conf.d/99registry", line + "\n", append=True)
        for name in ("/etc/apt/auth.conf", *Path("/etc/apt/auth.conf.d").glob("*"), "/etc/uv/uv.toml"):
            self._copy(Path(name))
        for path in (Path("/etc/ssl/certs/ca-certificates.crt"), *Path("/usr/local/share/ca-certificates").glob("*")):
            self._copy(path)
        pip = {
            name: value for name, value in toolchain.pip_settings().items() if name not in ("find-links", "cache-dir")
        }
        self._write("/etc/pip.conf", "[global]\n" + "".join(f"{name} = {value}\n" for name, value in pip.items()))
        go = Path(os.environ.get("GOENV", Path.home() / ".config" / "go" / "env"))
        lines = go.read_text().splitlines() if go.is_file() else []
        kept = [*(tuple(line.split("=", 1)) for line in lines if "=" in line), *os.environ.items()]
        self.environment = {name: value for name, value in kept if REGISTRY_VARIABLES.fullmatch(name)}
        for value in (*self.environment.values(), *pip.values()):
            self._copy(Path(value))

    def _inside(self, path: Path) -> Path:
        return self.folder / path.relative_to("/")

    def _copy(self, path: Path) -> None:
        """Copy a file of this machine to the same place, if it is one."""
        if path.is_absolute() and path.is_file():
            target = self._inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)

    def _write(self, name: str, text: str, mode: int = 0o644, append: bool = False) -> None:
        path = self._inside(Path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if append else "w") as file:
            file.write(text)
        path.chmod(mode)

    def _megabytes(self) -> int:
        return int(_output(["du", "--summarize", "--block-size=1M", str(self.folder)]).split()[0])


def _output(command: list[str]) -> str:
    """Standard output of a program, nothing if it is missing."""
    if not shutil.which(command[0]):
        return ""
    return subprocess.run(command, check=False, text=True, capture_output=True).stdout


# --- The end ---


def report(outcomes: list[Outcome]) -> int:
    """Print the table; the exit status."""
    for outcome in outcomes:
        for remark in outcome.remarks:
            print(f"{outcome.release} {outcome.user} {outcome.command}: {remark}")
    print(f"\n{'release':<10}{'user':<6}{'command':<24}{'result':<20}{'seconds':>7}{'MB added':>10}")
    for one in outcomes:
        print(f"{one.release:<10}{one.user:<6}{one.command:<24}{one.result:<20}{one.seconds:>7.0f}{one.grown_mb:>10}")
    passed = sum(outcome.result == "passed" for outcome in outcomes)
    print(f"\n{passed} passed, {len(outcomes) - passed} failed")
    return 0 if passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
