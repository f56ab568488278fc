# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the kernel and the initramfs of the lab's QEMU guest.

The guest is a distribution kernel, a handful of virtio modules, busybox, the distribution's Python
with a reduced standard library, and the lab package itself as ``/lab``. Nothing is installed and no
root rights are needed: packages are fetched with ``apt-get download`` and unpacked with ``dpkg-deb
-x`` into the cache directory of the caller.

The cache has three layers, each reused while its inputs are the same:

* ``kernel-LAYOUT-RELEASE/``: kernel image and modules. Kept until somebody removes it; a newer
  kernel in the archive is no reason to download again.
* ``base-KEY.cpio``: init, modules, busybox, Python. KEY covers all of them.
* ``initramfs-KEY.cpio``: the base with the lab package appended. KEY covers the base and the
  content of the lab's files. Only the few last used are kept.

Building takes a lock on the directory and every result appears by rename, so two processes may
build at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..missing import Missing

#: Part of every key: change it when this file lays the image out differently.
LAYOUT = "2"

#: Packages that depend on the current kernel package: Debian first, then Ubuntu.
KERNEL_META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual", "linux-image-amd64", "linux-image-generic")

#: Modules wanted in the guest; their dependencies are found in the modules themselves.
WANTED_MODULES = ("virtio", "virtio_ring", "virtio_pci", "virtio_console")

#: More of them, for a guest that boots from a disk (``disk.py``); those that a kernel does not have
#: are left out: Debian's for clouds knows no AHCI and no e1000.
DISK_MODULES = ("virtio_blk", "ata_piix", "ahci", "sd_mod", "ext4", "virtio_net", "vmxnet3", "e1000")

#: Top-level names of the standard library that the guest does without.
EXCLUDED_STDLIB = re.compile(
    r"(__phello__|antigravity|asyncio|bdb|cProfile|cgi|cgitb|crypt|curses|dbm|dist-packages|distutils|"
    r"doctest|ensurepip|ftplib|idlelib|imaplib|lib2to3|mailbox|mailcap|msilib|multiprocessing|nntplib|"
    r"pdb|poplib|profile|pstats|pydoc|pydoc_data|site-packages|sitecustomize|smtpd|smtplib|sqlite3|"
    r"telnetlib|test|this|tkinter|turtle|turtledemo|unittest|venv|wsgiref|zipapp)$"
)

#: Extension modules that the guest does without, most of them because of the libraries they pull
#: in.
EXCLUDED_EXTENSIONS = re.compile(
    r"_(asyncio|codecs_\w+|crypt|ctypes\w*|curses\w*|dbm|gdbm|hashlib|lsprof|multibytecodec|multiprocessing|posixshmem|sqlite3"
    r"|ssl|test\w+|tkinter|xx\w+)$|audioop$|nis$|ossaudiodev$|readline$|xx\w+$"
)

_SYSTEM_PYTHON = Path("/usr/bin/python3")
_LAB_SOURCE = Path(__file__).resolve().parent.parent
_TOOL_SECONDS = 300.0

_INIT = r"""#!/bin/busybox sh
# Process 1 of the lab's QEMU guest.
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
console=/dev/console
(: >$console) 2>/dev/null || console=/dev/null # a machine without a serial port
exec <$console >$console 2>&1
while read -r module; do $B insmod "/modules/$module"; done </modules/order

# labdisk: the machine was booted from a disk, whose second partition is the router's. labports=NAME,... are the ports to wait
# for; lab.KEY=VALUE (%XX stands for a byte) becomes --set KEY=VALUE.
read -r words </proc/cmdline
set -f
set --
ports=org.qemu.guest_agent.0
for word in $words; do
    case "$word" in
        labports=*) ports="${word#labports=}" ;;
        labdisk) disk=yes ;;
    esac
done
set +f

mount_disk() {
    for file in /sys/class/block/*/partition; do
        [ -e "$file" ] && read -r number <"$file" && [ "$number" = 2 ] || continue
        device="${file%/partition}"
        $B mount -t ext4 "/dev/${device##*/}" /disk 2>/dev/null || continue
        [ -d /disk/rw ] && return 0
        $B umount /disk
    done
    return 1
}

if [ -n "$disk" ]; then
    while read -r module; do $B insmod "/modules/$module"; done </modules/order.disk
    tries=0
    until mount_disk; do
        tries=$((tries + 1))
        if [ "$tries" -gt 500 ]; then
            echo "lab: no disk with a second partition that holds a folder rw"
            $B usleep 200000
            $B poweroff -f
        fi
        $B usleep 20000
    done
    # The machine is the same one after a reboot: its cards are ether1, ether2, ..., and the first one has QEMU's network.
    interfaces=
    for file in /sys/class/net/eth*; do
        [ -e "$file" ] && interfaces="$interfaces${interfaces:+,}ether$((${file##*/eth} + 1))"
    done
    if [ -n "$interfaces" ]; then
        $B ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
        $B route add default gw 10.0.2.2
    fi
    set -- --disk /disk/rw --set "interfaces=$interfaces"
fi

find_port() {
    for file in /sys/class/virtio-ports/*/name; do
        [ -e "$file" ] || continue
        read -r name <"$file" || continue
        device="${file%/name}"
        device="/dev/${device##*/}"
        [ "$name" = "$1" ] && [ -c "$device" ] && return 0
    done
    return 1
}

IFS=,
for port in $ports; do
    tries=0
    until find_port "$port"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 1000 ]; then
            echo "lab: no virtio-serial port named $port"
            $B usleep 200000
            $B poweroff -f
        fi
        $B usleep 10000
    done
    set -- "$@" --port "$device"
done
unset IFS

set -f
for word in $words; do
    case "$word" in
        lab.*%*) set -- "$@" --set "$(printf '%b' "$(printf '%s' "${word#lab.}" | $B sed 's/%/\\x/g')")" ;;
        lab.*) set -- "$@" --set "${word#lab.}" ;;
    esac
done

cd /
/usr/bin/python3 -S -E -s -X utf8 -m lab guest "$@"
status=$?
case "$status" in
    10) $B reboot -f ;;
    11) $B poweroff -f ;;
esac
echo "lab: the guest program ended with status $status"
$B usleep 200000
$B poweroff -f
"""

# Run by the distribution's interpreter. Its argument names a JSON list of [source, target, name
# shown in tracebacks].
_COMPILE = """
import json, py_compile, sys
for source, target, shown in json.load(open(sys.argv[1], encoding="utf-8")):
    try:
        py_compile.compile(source, target, shown, True, 0, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError as error:
        sys.exit(str(error))
"""

_FACTS = """
import json, sys, sysconfig
print(json.dumps([sys.executable, "%d.%d" % sys.version_info[:2], sys.version, sysconfig.get_paths()["stdlib"]]))
"""


class ImageError(Exception):
    """The guest's kernel or initramfs could not be built.

    The text says which step failed and what to do.
    """


@dataclass(frozen=True)
class GuestImage:
    """What QEMU needs to boot the guest."""

    kernel: Path
    """The kernel, for ``-kernel``."""
    initramfs: Path
    """The initial file system, for ``-initrd``."""
    release: str
    """The kernel's release, as ``uname -r`` shows it in the guest."""
    key: str
    """Changes when the content of the initramfs changes."""


@dataclass(frozen=True)
class _Kernel:
    image: Path
    release: str
    modules: tuple[Path, ...]
    """In the order in which they are loaded."""
    disk_modules: tuple[Path, ...]
    """The same, of those that are for disks."""


@dataclass(frozen=True)
class _Python:
    executable: Path
    version: str
    build: str
    stdlib: Path


@dataclass
class Archive:
    """Writer of one cpio archive ("newc") for the kernel to unpack: owner root, times zero."""

    path: Path
    _parts: list[bytes] = field(default_factory=list)
    _folders: set[PurePosixPath] = field(default_factory=set)
    _inode: int = 0

    def folder(self, name: str | PurePosixPath) -> None:
        """Add a folder, and those above it, once."""
        path = PurePosixPath(name)
        if path in self._folders or str(path) in (".", "/"):
            return
        self.folder(path.parent)
        self._folders.add(path)
        self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, name: str | PurePosixPath, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._add(PurePosixPath(name), stat.S_IFREG | mode, data)

    def link(self, name: str | PurePosixPath, target: str) -> None:
        """Add a symbolic link."""
        self._add(PurePosixPath(name), stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str | PurePosixPath, major: int, minor: int) -> None:
        """Add a character device."""
        self._add(PurePosixPath(name), stat.S_IFCHR | 0o600, b"", (major, minor))

    def close(self) -> None:
        """Write the archive to its path, padded so that another archive may follow."""
        self._entry(PurePosixPath("TRAILER!!!"), 0)
        data = b"".join(self._parts)
        self.path.write_bytes(data + bytes(-len(data) % 512))

    def _add(self, path: PurePosixPath, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self.folder(path.parent)
        self._entry(path, mode, data, device)

    def _entry(self, path: PurePosixPath, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        name = str(path).lstrip("/").encode() + b"\0"
        numbers = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % number for number in numbers) + name
        self._parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]


def build_image(cache: Path, *, lab_source: Path = _LAB_SOURCE) -> GuestImage:
    """Return a bootable image, building what the cache does not hold yet.

    Args:
        cache: directory for the results; created when it does not exist. Any number of processes
            may share it.
        lab_source: the package that becomes ``/lab`` in the guest (without its ``qemu`` folder).

    Raises:
        Missing: a package could not be downloaded, or a tool is missing.
        ImageError: a source does not compile, or a tool failed.

    The first time takes a download of some 30 MB and 5 s or more; later 0.1 s when only the lab
    changed, else 0.05 s.
    """
    if platform.machine() != "x86_64":
        raise ImageError(
            f"the guest is an x86_64 machine made of this machine's packages, which are {platform.machine()}"
        )
    cache = cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        kernel = _kernel(cache)
        busybox = _busybox(cache)
        python = _python()
        base_key, base = _base(cache, kernel, busybox, python)
        key, initramfs = _with_lab(cache, base_key, base, python, lab_source.resolve())
        _prune(cache, "base-*.cpio", 3, base)
        _prune(cache, "initramfs-*.cpio", 6, initramfs)
    return GuestImage(kernel.image, initramfs, kernel.release, key)


def _prune(cache: Path, pattern: str, keep: int, used: Path) -> None:
    """Note that ``used`` is in use, and remove all but the ``keep`` last used files of its kind."""
    os.utime(used)
    for path in sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime_ns)[:-keep]:
        path.unlink()


# --- kernel ---------------------------------------------------------------------------------------


def _kernel(cache: Path) -> _Kernel:
    """Return the kernel in the cache, which is made if it does not exist.

    It is the machine's own kernel, or one from the distribution's archive.
    """
    for folder in sorted(cache.glob(f"kernel-{LAYOUT}-*"), key=_release_order, reverse=True):
        with contextlib.suppress(OSError):
            return _kept_kernel(folder)
    installed = _installed_kernel()
    if installed:
        with contextlib.suppress(ImageError, Missing):  # no virtio modules, or no zstd for them
            return _keep_kernel(cache, *installed)
    with _scratch(cache) as folder:
        root = _unpack(folder, _kernel_packages(folder))
        images = sorted(root.glob("boot/vmlinuz-*"))
        if not images:
            raise ImageError("the downloaded kernel package holds no boot/vmlinuz-*")
        release = images[-1].name[len("vmlinuz-") :]
        trees = [tree for tree in (root / "lib/modules" / release, root / "usr/lib/modules" / release) if tree.is_dir()]
        if not trees:
            raise ImageError(f"the downloaded packages hold no modules for kernel {release}")
        return _keep_kernel(cache, images[-1], release, trees[0])


def _installed_kernel() -> tuple[Path, str, Path] | None:
    """Find the newest kernel of this machine that may be read and has its modules.

    Returns the image, the release, and the module tree.
    """
    for image in sorted(Path("/boot").glob("vmlinuz-*"), key=_release_order, reverse=True):
        release = image.name[len("vmlinuz-") :]
        modules = Path("/lib/modules") / release
        if os.access(image, os.R_OK) and (modules / "kernel").is_dir() and (modules / "modules.builtin").is_file():
            return image, release, modules
    return None


def _kernel_packages(folder: Path) -> list[str]:
    """Names of the packages that hold the distribution's current kernel and its modules."""
    if shutil.which("apt-get") is None:
        raise Missing("no kernel found: this machine has no readable one in /boot with modules, and no apt to get one")
    for meta in KERNEL_META_PACKAGES:
        images = [name for name in _depends(folder, meta) if re.match(r"linux-image-(unsigned-)?\d", name)]
        if images:
            modules = [name for name in _depends(folder, images[0]) if re.match(r"linux-modules-\d", name)]
            return [images[0], *modules[:1]]
    raise Missing(
        "no kernel package found: apt knows none of "
        + ", ".join(KERNEL_META_PACKAGES)
        + " (run 'apt-get update' as root first)"
    )


def _depends(folder: Path, package: str) -> list[str]:
    result = subprocess.run(
        ["apt-cache", "depends", "--important", package],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return re.findall(r"^[ |]*Depends: <?([^\s<>:]+)", result.stdout, re.MULTILINE)


def _keep_kernel(cache: Path, image: Path, release: str, tree: Path) -> _Kernel:
    """Copy kernel and wanted modules into the cache, with the order to load them in."""
    target = cache / f"kernel-{LAYOUT}-{release}"
    with _scratch(cache) as folder:
        made = folder / "kernel"
        made.mkdir()
        shutil.copyfile(image, made / "vmlinuz")
        modules = _module_closure(tree)
        for name, (_wanted_by, data) in modules.items():
            (made / f"{name}.ko").write_bytes(data)
        for order in ("order", "order.disk"):
            names = [name for name, (wanted_by, _data) in modules.items() if wanted_by == order]
            (made / order).write_text("".join(f"{name}.ko\n" for name in names), "utf-8")
        if target.exists():  # without its "order": left by something that was interrupted
            shutil.rmtree(target)
        made.rename(target)
    return _kept_kernel(target)


def _kept_kernel(folder: Path) -> _Kernel:
    def modules(order: str) -> tuple[Path, ...]:
        return tuple(folder / name for name in (folder / order).read_text("utf-8").split())

    release = folder.name[len(f"kernel-{LAYOUT}-") :]
    return _Kernel(folder / "vmlinuz", release, modules("order"), modules("order.disk"))


def _module_closure(tree: Path) -> dict[str, tuple[str, bytes]]:
    """Find the modules and their dependencies.

    Returns them in the order of loading, with their decompressed bytes.

    The packages bring no modules.dep (depmod writes it at installation), hence the look into the
    modules.
    """
    builtin = {_module_name(line) for line in (tree / "modules.builtin").read_text("utf-8").split()}
    files = {_module_name(str(path)): path for path in (tree / "kernel").rglob("*.ko*")}
    done: dict[str, tuple[str, bytes]] = {}

    def add(name: str, order: str) -> None:
        if name in builtin or name in done:
            return
        if name not in files:
            raise ImageError(f"kernel module {name} is neither built in nor in {tree}")
        data = _decompressed(files[name])
        found = re.search(rb"(?<![A-Za-z_])depends=([\w,-]*)\0", data)
        for needed in (found.group(1).decode() if found else "").split(","):
            if needed:
                add(needed.replace("-", "_"), order)
        done[name] = order, data

    for name in WANTED_MODULES:
        add(name, "order")
    for name in DISK_MODULES:
        if name in files:
            add(name, "order.disk")
    return done


def _release_order(path: Path) -> list[tuple[int, str]]:
    """Sort key of a name with a kernel release in it: numbers by value."""
    return [(int(number or 0), text) for number, text in re.findall(r"(\d+)|(\D+)", path.name)]


def _module_name(path: str) -> str:
    return PurePosixPath(path).name.split(".ko")[0].replace("-", "_")


def _decompressed(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return _run(["zstd", "-d", "-c", "-q", str(path)], "decompressing a kernel module")
    return path.read_bytes()


# --- busybox --------------------------------------------------------------------------------------


def _busybox(cache: Path) -> Path:
    """Find a statically linked busybox.

    It is the machine's own, or the one of the package busybox-static, which is kept in the cache.
    """
    kept = cache / "busybox"
    if kept.is_file():
        return kept
    for candidate in (Path("/usr/bin/busybox"), Path("/bin/busybox")):
        # A static program names no interpreter (the dynamic loader).
        if candidate.is_file() and b"/ld-linux" not in candidate.read_bytes()[:4096]:
            return candidate
    with _scratch(cache) as folder:
        root = _unpack(folder, ["busybox-static"])
        for candidate in (root / "bin/busybox", root / "usr/bin/busybox"):
            if candidate.is_file():
                candidate.replace(kept)
                return kept
    raise ImageError("the package busybox-static holds no busybox")


# --- Python ---------------------------------------------------------------------------------------


def _python() -> _Python:
    """The distribution's interpreter (not one that stands first on PATH)."""
    if not _SYSTEM_PYTHON.exists():
        raise ImageError(
            f"{_SYSTEM_PYTHON} does not exist: the guest needs the distribution's Python (package python3)"
        )
    output = _run([str(_SYSTEM_PYTHON), "-I", "-S", "-c", _FACTS], "asking the distribution's Python for its paths")
    executable, version, build, stdlib = json.loads(output)
    return _Python(Path(executable).resolve(), version, build, Path(stdlib))


def _base(cache: Path, kernel: _Kernel, busybox: Path, python: _Python) -> tuple[str, Path]:
    """The archive with everything but the lab: its key and path."""
    sources, extensions = _stdlib(python)
    digest = hashlib.sha256(f"{LAYOUT}\0{python.build}\0{_INIT}\0{kernel.release}".encode())
    modules = (*kernel.modules, *kernel.disk_modules)
    for path in (busybox, python.executable, *modules):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for path in (*sources, *extensions):
        facts = path.stat()
        digest.update(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
    key = digest.hexdigest()[:16]
    target = cache / f"base-{key}.cpio"
    if target.is_file():
        return key, target

    with _scratch(cache) as folder:
        archive = Archive(folder / "base.cpio")
        for name in ("dev", "proc", "sys", "tmp", "run", "root", "etc", "disk"):
            archive.folder(name)
        archive.device("dev/console", 5, 1)
        archive.device("dev/null", 1, 3)
        archive.file("init", _INIT.encode(), 0o755)
        archive.file("bin/busybox", busybox.read_bytes(), 0o755)
        for order, names in (("order", kernel.modules), ("order.disk", kernel.disk_modules)):
            archive.file(f"modules/{order}", "".join(f"{path.name}\n" for path in names).encode())
        for path in modules:
            archive.file(f"modules/{path.name}", path.read_bytes())
        archive.file(str(python.executable), python.executable.read_bytes(), 0o755)
        if python.executable != _SYSTEM_PYTHON:
            archive.link(str(_SYSTEM_PYTHON), str(python.executable))
        compiled = folder / "stdlib"
        jobs = [(path, compiled / path.relative_to(python.stdlib).with_suffix(".pyc"), str(path)) for path in sources]
        _compile(python, folder, jobs)
        for source, target_file, _shown in jobs:
            archive.file(str(source.with_suffix(".pyc")), target_file.read_bytes())
        for path in extensions:
            archive.file(str(path), path.read_bytes(), 0o755)
        for path in libraries([python.executable, *extensions]):
            archive.file(str(path), path.read_bytes(), 0o755)
        archive.close()
        archive.path.replace(target)
    return key, target


def _stdlib(python: _Python) -> tuple[list[Path], list[Path]]:
    """Sources and extension modules of the standard library that go into the guest."""
    sources = [
        path
        for top in sorted(python.stdlib.iterdir())
        if not EXCLUDED_STDLIB.match(top.stem) and not top.name.startswith(("config-", "__pycache__"))
        for path in (sorted(top.rglob("*.py")) if top.is_dir() else [top])
        if path.suffix == ".py" and path.is_file() and "tests" not in path.parts
    ]
    extensions = [
        path
        for path in sorted((python.stdlib / "lib-dynload").glob("*.so"))
        if not EXCLUDED_EXTENSIONS.match(path.name.split(".")[0])
    ]
    return sources, extensions


def libraries(programs: Sequence[Path]) -> list[Path]:
    """Find the shared libraries of some programs, and the loader.

    They are returned under the paths where the loader looks for them.
    """
    output = _run(["ldd", *map(str, programs)], "looking for the shared libraries of Python").decode()
    return [Path(name) for name in sorted(set(re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", output, re.MULTILINE)))]


def _compile(python: _Python, folder: Path, jobs: Sequence[tuple[Path, Path, str]]) -> None:
    listing = folder / "compile.json"
    listing.write_text(json.dumps([[str(source), str(target), shown] for source, target, shown in jobs]), "utf-8")
    _run([str(python.executable), "-I", "-S", "-c", _COMPILE, str(listing)], "compiling for the guest")


# --- the lab --------------------------------------------------------------------------------------


def _with_lab(cache: Path, base_key: str, base: Path, python: _Python, source: Path) -> tuple[str, Path]:
    """The base with the lab package appended as a second archive: key and path."""
    files = {path.relative_to(source): path.read_bytes() for path in _lab_files(source)}
    if not files:
        raise ImageError(f"{source} holds no lab package")
    digest = hashlib.sha256(f"{LAYOUT}\0{base_key}\0".encode())
    for name, data in files.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    key = digest.hexdigest()[:16]
    target = cache / f"initramfs-{key}.cpio"
    if target.is_file():
        return key, target

    with _scratch(cache) as folder:
        archive = Archive(folder / "lab.cpio")
        jobs: list[tuple[Path, Path, str]] = []
        for name, data in files.items():
            shown = PurePosixPath("/lab", *name.parts)
            archive.file(shown, data)
            if name.suffix == ".py":
                # Compile what was hashed, not what may stand in the tree by now.
                copy = folder / "source" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(data)
                jobs.append((copy, folder / "compiled" / name.with_suffix(".pyc"), str(shown)))
        _compile(python, folder, jobs)
        suffix = f".cpython-{python.version.replace('.', '')}.pyc"
        for _copy, compiled, name_shown in jobs:
            path = PurePosixPath(name_shown)
            archive.file(path.parent / "__pycache__" / (path.stem + suffix), compiled.read_bytes())
        archive.close()
        whole = folder / "initramfs.cpio"
        with whole.open("wb") as output:
            for part in (base, archive.path):
                with part.open("rb") as data_in:
                    shutil.copyfileobj(data_in, output)
        whole.replace(target)
    return key, target


def _lab_files(source: Path) -> list[Path]:
    return [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file()
        and path.suffix not in (".pyc", ".pyo")
        and not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(source).parts)
        and path.relative_to(source).parts[0] != "qemu"
    ]


# --- tools ----------------------------------------------------------------------------------------


def _unpack(folder: Path, packages: Sequence[str]) -> Path:
    """Download packages without installing them and unpack them together below ``folder``."""
    hint = "is the package list up to date? ('apt-get update' as root), and is the archive reachable?"
    try:
        _run(["apt-get", "-q", "download", *packages], f"downloading {', '.join(packages)} ({hint})", cwd=folder)
    except ImageError as error:
        raise Missing(str(error)) from error
    root = folder / "root"
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], f"unpacking {package.name}")
    return root


def _run(command: Sequence[str], what: str, cwd: Path | None = None) -> bytes:
    """Run a tool and return its standard output.

    Raises Missing if it is not installed, and ImageError if it fails or takes more than 300 s.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, check=False, timeout=_TOOL_SECONDS, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise Missing(f"{what}: the program {command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{what}: {command[0]} did not end within {_TOOL_SECONDS:.0f} s") from error
    if done.returncode:
        text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise ImageError(f"{what}: {command[0]} ended with status {done.returncode}: {text[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Hold the cache's lock; waits for other builders."""
    with (cache / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch(cache: Path) -> Iterator[Path]:
    """A temporary folder on the cache's file system.

    Results can be renamed from it into place.
    """
    with tempfile.TemporaryDirectory(prefix=".build-", dir=cache) as name:
        yield Path(name)
