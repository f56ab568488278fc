# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What noxfile.py and run_sessions.py know about ansible-core versions, Pythons, and the tree under
test."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import system_packages

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
TOOLS = ROOT / ".venv"
REQUIREMENTS = ROOT / "tests" / "requirements"
LAB = BUILD / "lab"  # what the lab builds once
DOWNLOADED_PYTHONS = BUILD / "pythons"
SUMMARY = BUILD / "summary.txt"

# ansible-core version -> the Pythons to test it with, best first. The oldest core takes the oldest
# Python and the newest core the newest, so that both ends are covered.
CORES = {
    "2.18": ("3.11", "3.12", "3.13"),
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13"),
    "2.21": ("3.13", "3.12"),
    "2.22": ("3.13",),
}
CANDIDATES = {"2.22"}  # not released yet: tested by --all and by name, and never the newest
FUZZ_PYTHONS = ("3.13", "3.12")  # for which atheris has wheels, best first
RELEASED = CORES.keys() - CANDIDATES
OLDEST_CORE, NEWEST_CORE = min(RELEASED), max(RELEASED)

# The environment variable that makes sessions leave out the tests marked as slow.
QUICK = "OUTOFBAND_QUICK"

# The pip versions that ansible-test installs into its virtual environments, core 2.18 and 2.19,
# 2.20 and later.
ANSIBLE_TEST_PIPS = ("24.2", "25.2")


# --- Python interpreters ---


def search_path() -> str:
    """PATH without pyenv's shims, which exist for versions that do not run, and with the real
    Pythons at the end."""
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.endswith("/shims")]
    pyenv_versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for versions in (pyenv_versions, DOWNLOADED_PYTHONS):
        folders += [str(folder) for folder in sorted(versions.glob("*3.*/bin"), reverse=True)]
    return os.pathsep.join(dict.fromkeys(folders))


@functools.cache
def find_python(version: str) -> str | None:
    """The path of a Python of this version, if there is a choice of one that ansible-test can
    use."""
    found = [
        python
        for folder in search_path().split(os.pathsep)
        if (python := shutil.which(f"python{version}", path=folder))
    ]
    running = [python for python in found if _succeeds([python, "-c", ""])]
    return next(filter(makes_environments, running), running[0] if running else None)


def makes_environments(python: str) -> bool:
    """Whether this Python can create virtual environments, which ansible-test demands (nox does
    not)."""
    return _succeeds([python, "-c", "import ensurepip, venv"])


def newest_core_here() -> str:
    """The newest released ansible-core for which this machine has a Python; the oldest one if
    there is none."""
    return max(filter(python_for_core, RELEASED), default=OLDEST_CORE)


def python_for_core(core: str) -> str | None:
    """The path of the best Python at hand for this ansible-core version."""
    return next((python for version in CORES[core] if (python := find_python(version))), None)


# --- What not every machine has ---


def backend_requirements() -> list[str]:
    """The libraries of the backends, as requirements of pip."""
    lines = (REQUIREMENTS / "backends.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def why_not_installable(requirement: str, python: str) -> str:
    """What this machine lacks to install a backend's library for a Python; empty if nothing is
    known to be missing."""
    if not requirement.startswith("libvirt-python"):
        return ""
    missing = [need.packages[0] for need in system_packages.COMPILER if not need.found()]
    if not _succeeds([python, "-c", system_packages.HEADERS]):
        missing.append("python3-dev")
    return f"it is compiled, and {', '.join(missing)} is missing" if missing else ""


def _succeeds(command: list[str]) -> bool:
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


# --- The tree under test ---


def stage(session: str) -> Path:
    """Copy the tree to where ansible-test wants it, one copy for each session so that sessions can
    run side by side.

    ansible-test's own folder tests/output stays: it holds virtual environments that take long to
    make.
    """
    collection = BUILD / session / "ansible_collections" / "outofband" / "chr"
    collection.mkdir(parents=True, exist_ok=True)
    _empty(collection, keep=("tests", "output"))
    for file in _source_files():
        target = collection / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target, follow_symlinks=False)
    return collection


def _source_files() -> Iterator[Path]:
    if (ROOT / ".git").exists():
        git = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}"]
        listing = subprocess.run(
            [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
            text=True,
        )
        listed = [Path(name) for name in listing.stdout.split("\0") if name]
        yield from (file for file in listed if os.path.lexists(ROOT / file))  # not the deleted ones
        return
    generated = {".ansible", ".build", ".hypothesis", ".nox", ".venv", "__pycache__"}
    generated |= {".mypy_cache", ".pytest_cache", ".ruff_cache"}
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in generated]
        if Path(folder) == ROOT / "tests" and "output" in subfolders:
            subfolders.remove("output")
        yield from (Path(folder, name).relative_to(ROOT) for name in names)


def _empty(folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Delete what is in the folder, but not what the path `keep` inside it leads to."""
    for entry in folder.iterdir():
        if keep and entry.name == keep[0]:
            if keep[1:]:
                _empty(entry, keep[1:])
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


# --- The environment of the tools ---


def tool_environment() -> dict[str, str]:
    """Variables for every session."""
    environment = {
        # The copies under .build are no git checkout: do not find ours, which ignores them.
        "GIT_CEILING_DIRECTORIES": str(BUILD),
        "OUTOFBAND_LAB_CACHE": os.environ.get("OUTOFBAND_LAB_CACHE", str(LAB)),
        "PATH": search_path(),
        # Compiled once and kept outside of the trees: without it, every ansible-playbook compiles
        # ansible-core anew.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(BUILD / "bytecode"),
        "RUFF_NO_CACHE": "true",
        "UV_SYSTEM_CERTS": "1",
    }
    uv_names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "trusted-host": "UV_INSECURE_HOST",
        "cert": "SSL_CERT_FILE",
    }
    settings = pip_settings()
    environment |= {uv: settings[pip] for pip, uv in uv_names.items() if pip in settings}
    return environment | {name: os.environ[name] for name in uv_names.values() if name in os.environ}


def ansible_test_environment(session: str, collection: Path) -> dict[str, str]:
    """Variables for ansible-test, with a home of its own.

    ansible-test hides most of the environment from pip, so pip's settings go into the new home as a
    file.
    """
    home = BUILD / session / "home"
    _write(home / ".config" / "pip" / "pip.conf", _pip_configuration())
    for pip_version in ANSIBLE_TEST_PIPS:
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{pip_version.replace('.', '_')}.py"
        _write(script, GET_PIP.format(uv=str(TOOLS / "bin" / "uv"), environment=_uv_environment()))
    return {"HOME": str(home), "ANSIBLE_TEST_CONTENT_ROOT": str(collection)}


# ansible-test would download this script from a server of its own. uv installs pip in a fraction of
# the time that ensurepip takes, and ansible-test makes a dozen virtual environments.
GET_PIP = """\
import os
import subprocess
import sys

packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
command = [{uv!r}, "pip", "install", "--python", sys.executable, *packages]
subprocess.check_call(command, env={{**os.environ, **{environment!r}}})
"""


def _uv_environment() -> dict[str, str]:
    """What uv has to know and ansible-test hides from it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "uv")
    wanted = re.compile(r"UV_.*|SSL_CERT_FILE|.*_proxy", re.IGNORECASE)
    return {"UV_CACHE_DIR": str(cache)} | {name: value for name, value in os.environ.items() if wanted.fullmatch(name)}


@functools.cache
def pip_settings() -> dict[str, str]:
    """pip's settings from its configuration files and from PIP_* variables, which win."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, check=False, text=True
    ).stdout
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)='(.*)'$", listing, re.MULTILINE)
    weights = ("global", "install", ":env:")
    in_order = sorted(found, key=lambda setting: weights.index(setting[0]))
    return {name: value.replace("\\n", " ") for _scope, name, value in in_order}  # lists are lines in pip's output


def _pip_configuration() -> str:
    settings = {"cache-dir": str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "pip"))}
    if proxy := os.environ.get("HTTPS_PROXY", os.environ.get("https_proxy")):
        settings["proxy"] = proxy
    settings |= pip_settings()
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
