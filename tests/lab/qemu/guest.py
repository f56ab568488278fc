# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the lab's guest under QEMU (software emulation) and control it through QMP.

Typical use::

    image = build_image(cache)
    settings = {"identity": "chr07"}
    with QemuGuest(image, name="g", directory=tmp, agent="unix:a.sock", settings=settings) as vm:
        vm.wait_agent_open(60)
        talk_to(vm.agent_address)

The router inside may end its program with status 10 to reboot and 11 to power off; QEMU ends with
the latter (:meth:`QemuGuest.wait_exit`).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..recorder import CONSOLE, ENVIRONMENT, harvest, without_scripts
from ..watchdog import guard_process, release_process
from .image import GuestImage

QEMU = "qemu-system-x86_64"
DEFAULT_PORT = "org.qemu.guest_agent.0"
PROVISION_PORT = "chr.provision_agent"

#: Seconds for one QMP command, and for QEMU to start or to end by itself.
QMP_SECONDS = 20.0

#: What the kernel needs to unpack the initramfs; it panics with 96.
_LEAST_MEMORY_MB = 128

#: Longest kernel command line on x86, in bytes.
_COMMAND_LINE_LIMIT = 2047

#: Kernel parameters of the guest: a console that only speaks up when something is wrong, and no
#: waiting for hardware that software emulation does not have.
_KERNEL_ARGS = (
    "console=ttyS0 quiet panic=0 mitigations=off nokaslr tsc=reliable no_timer_check lpj=4000000 cryptomgr.notests "
    "8250.nr_uarts=1 i8042.noaux i8042.nokbd random.trust_cpu=on"
)

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class QemuError(Exception):
    """The guest or QEMU did not do what was asked.

    The text ends with the last lines of QEMU and of the console.
    """


class GuestTimeout(QemuError):
    """Something did not happen in the time allowed."""


class QmpError(QemuError):
    """QMP refused a command."""

    def __init__(self, command: str, error: Mapping[str, Any]) -> None:
        self.error_class = str(error.get("class", ""))
        self.description = str(error.get("desc", ""))
        super().__init__(f"QMP {command}: {self.error_class}: {self.description}")


class Qmp:
    """A minimal client of QEMU's machine protocol on a connected stream socket.

    Any thread may call its methods.
    """

    def __init__(self, channel: socket.socket, *, timeout: float = QMP_SECONDS) -> None:
        """Take over ``channel`` and negotiate; ``timeout`` in seconds.

        Raises:
            QemuError: QEMU closed the channel, or did not greet in time.
        """
        self.events: list[dict[str, Any]] = []
        """Events in the order of arrival.

        They are collected while some method of this object reads.
        """
        self._channel = channel
        self._buffer = b""
        self._sent = 0
        self._lock = threading.RLock()
        greeting = self._message(time.monotonic() + timeout)
        if "QMP" not in greeting:
            raise QemuError(f"QMP greeted with {greeting!r}")
        self.execute("qmp_capabilities", timeout=timeout)

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout: float = QMP_SECONDS) -> Any:
        """Send a command and return what it returns. ``timeout`` in seconds.

        Raises:
            QmpError: QEMU answered with an error.
            GuestTimeout: no answer in time.
            QemuError: QEMU closed the channel.
        """
        with self._lock:
            self._sent += 1
            request: dict[str, Any] = {"execute": command, "id": self._sent}
            if arguments:
                request["arguments"] = dict(arguments)
            deadline = time.monotonic() + timeout
            try:
                self._channel.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise QemuError(f"QMP {command}: {error}") from error
            while True:
                message = self._message(deadline)
                if "event" in message:
                    self.events.append(message)
                elif message.get("id") != self._sent:
                    continue  # the late answer to a command that was given up
                elif "error" in message:
                    raise QmpError(command, message["error"])
                else:
                    return message["return"]

    def wait_event(self, name: str, timeout: float, *, after: int = 0) -> dict[str, Any]:
        """Wait up to ``timeout`` seconds for an event.

        Events before index ``after`` of :attr:`events` do not count.

        Raises:
            GuestTimeout: it did not come.
            QemuError: QEMU closed the channel.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            while True:
                for event in self.events[after:]:
                    if event["event"] == name:
                        return event
                after = len(self.events)
                message = self._message(deadline)
                if "event" in message:
                    self.events.append(message)

    def close(self) -> None:
        """Close the channel. QEMU goes on without it."""
        self._channel.close()

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                ready = select.select([self._channel], [], [], max(0.0, deadline - time.monotonic()))[0]
                data = self._channel.recv(65536) if ready else None
            except (OSError, ValueError) as error:
                raise QemuError(f"QMP: {error}") from error
            if data is None:
                raise GuestTimeout("QMP: no message from QEMU in time")
            if not data:
                raise QemuError("QMP: QEMU closed the channel")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message = json.loads(line)
        if not isinstance(message, dict):
            raise QemuError(f"QMP: unexpected message {message!r}")
        return message


class QemuGuest:
    """A context manager for one virtual machine with the lab's router as its guest agent.

    ``with`` starts QEMU and waits until it listens (about 0.1 s), not until the guest is up; that
    is what :meth:`wait_agent_open` does.
    """

    def __init__(
        self,
        image: GuestImage,
        *,
        name: str,
        directory: Path,
        agent: str,
        port_name: str = DEFAULT_PORT,
        provision_agent: str | None = None,
        memory_mb: int = 128,
        settings: Mapping[str, str] | None = None,
        start_paused: bool = False,
        machine: str = "pc",
        kernel_args: Sequence[str] = (),
        arguments: Sequence[str] = (),
        more_ports: Sequence[str] = (),
    ) -> None:
        """Describe the machine; nothing runs before :meth:`start` (or ``with``).

        Args:
            image: from :func:`~.image.build_image`.
            name: of the machine, also of its files in ``directory``: letters, digits, ``_.-``.
            directory: for ``NAME.console.log`` and ``NAME.qemu.log``; created when it does not
                exist.
            agent: where QEMU listens for the client of the agent's port: ``unix:/path`` (at most
                107 bytes) or ``tcp:host:port``, where port 0 stands for a free one.
            port_name: name of the virtio-serial port.
            provision_agent: the same as ``agent`` for a second port, named ``chr.provision_agent``.
            memory_mb: the guest's memory in MiB, at least 128. QEMU itself takes up to 150 MiB on
                top.
            settings: given to the program in the guest as ``--set KEY=VALUE``, in this order.
            start_paused: do not let the processor run before :meth:`cont`.
            machine: QEMU's machine type, ``pc`` or ``q35``.
            kernel_args: more words for the kernel's command line.
            arguments: more arguments for QEMU, last in its command line, as Proxmox VE puts a VM's
                ``args``.
            more_ports: names of the virtio-serial ports that these make, for the program in the
                guest to open.

        Raises:
            ValueError: a malformed name, address or setting, too little memory, or settings too
                long for a kernel command line (2047 bytes).
        """
        if memory_mb < _LEAST_MEMORY_MB:
            raise ValueError(f"the guest needs {_LEAST_MEMORY_MB} MiB of memory, not {memory_mb}")
        for word in (name, port_name):
            if not _NAME.fullmatch(word):
                raise ValueError(f"not a name: {word!r}")
        self.name = name
        self.directory = directory
        self.console_log = directory / f"{name}.console.log"
        """What the guest wrote to its serial console: kernel errors, tracebacks of the program."""
        self.qemu_log = directory / f"{name}.qemu.log"
        """QEMU's own messages."""
        self.agent_address = agent
        """Address of the agent's channel; once started with the real port number."""
        self.provision_address = provision_agent
        """The same of the second channel, if there is one."""
        self._image = image
        self._machine = machine
        self._memory_mb = memory_mb
        self._start_paused = start_paused
        self._channels = {"agent": (port_name, agent)}
        if provision_agent is not None:
            self._channels["provision"] = (PROVISION_PORT, provision_agent)
        self._chardevs = {label: _chardev(label, address) for label, (_port, address) in self._channels.items()}
        self._command_line = command_line(
            [*(port for port, _address in self._channels.values()), *more_ports], settings or {}, kernel_args
        )
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None

    def __enter__(self) -> QemuGuest:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start QEMU and wait until it listens on the agent's channel.

        A machine that has ended may be started again.

        Raises:
            FileNotFoundError: QEMU is not installed.
            QemuError: it ended at once (address in use, path too long, ...), or runs already.
        """
        if self.running:
            raise QemuError(f"guest {self.name} runs already")
        self.stop()
        self.directory.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        try:
            with theirs, self.qemu_log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            atexit.register(self.stop)
            guard_process(self._process.pid)
            self._qmp = Qmp(ours)
            self._read_addresses()
        except QemuError as error:
            ours.close()
            self.stop()
            raise self._explained(f"QEMU did not start: {error}") from error
        except BaseException:
            ours.close()
            self.stop()
            raise

    def stop(self) -> None:
        """End the machine at once, if it runs, as if its power was cut.

        May be called any number of times.
        """
        atexit.unregister(self.stop)
        qmp, self._qmp = self._qmp, None
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
        if process is not None:
            process.wait()
            release_process(process.pid)
            harvest(self.console_log)
        if qmp is not None:
            qmp.close()
            for _port, address in self._channels.values():  # QEMU had no time to clean up
                if address.startswith("unix:"):
                    with contextlib.suppress(OSError):
                        Path(address[len("unix:") :]).unlink()

    @property
    def running(self) -> bool:
        """Whether the QEMU process lives.

        It does so also while the processor is paused or the guest reboots.
        """
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """QEMU's process number.

        Raises:
            QemuError: not started yet.
        """
        if self._process is None:
            raise QemuError(f"guest {self.name} has not been started")
        return self._process.pid

    def wait_exit(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for QEMU to end, and return its exit status.

        QEMU ends when the guest powers off.

        Raises:
            GuestTimeout: it still runs.
        """
        if self._process is None:
            raise QemuError(f"guest {self.name} has not been started")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise self._explained(f"still running after {timeout:g} s", GuestTimeout) from error

    # --- control ----------------------------------------------------------------------------------

    @property
    def qmp(self) -> Qmp:
        """The control channel.

        Raises:
            QemuError: not started yet, or stopped.
        """
        if self._qmp is None:
            raise QemuError(f"guest {self.name} is not running")
        return self._qmp

    def cont(self) -> None:
        """Let the processor run (after ``start_paused`` or :meth:`pause`)."""
        self.qmp.execute("cont")

    def pause(self) -> None:
        """Halt the processor (QMP ``stop``): the guest hangs, its channels stay open."""
        self.qmp.execute("stop")

    def system_reset(self) -> None:
        """Press the reset button, and wait until it had its effect.

        :attr:`agent_open` is then about the new run.

        The firmware resets the machine once more within 0.1 s, hence several ``RESET`` events.
        """
        seen = len(self.qmp.events)
        self.qmp.execute("system_reset")
        self.qmp.wait_event("RESET", QMP_SECONDS, after=seen)

    def system_powerdown(self) -> None:
        """Press the power button (ACPI).

        The lab's guest, without a daemon for it, takes no notice.
        """
        self.qmp.execute("system_powerdown")

    def quit(self) -> None:
        """Ask QEMU to end and wait for it; :meth:`stop` needs no such favour."""
        with contextlib.suppress(QemuError):  # it may close the channel before it answers
            self.qmp.execute("quit")
        self.wait_exit(QMP_SECONDS)

    def query_chardev(self) -> dict[str, dict[str, Any]]:
        """QEMU's character devices by label: ``agent``, ``provision``, ``console`` and ``qmp``."""
        return {entry["label"]: entry for entry in self.qmp.execute("query-chardev")}

    @property
    def agent_open(self) -> bool:
        """Whether the program in the guest holds the agent's port open right now."""
        return bool(self.query_chardev()["agent"]["frontend-open"])

    def wait_agent_open(self, timeout: float, *, label: str = "agent") -> None:
        """Wait up to ``timeout`` seconds until the guest has opened a port.

        The ``label`` of the second port is ``provision``.

        Raises:
            GuestTimeout: it has not.
            QemuError: QEMU ended meanwhile.
        """
        self._wait(lambda: bool(self.query_chardev()[label]["frontend-open"]), timeout, f"port {label} not open")

    # --- inside -----------------------------------------------------------------------------------

    def _wait(self, condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                if condition():
                    return
            except QemuError as error:
                raise self._explained(f"{complaint}: {error}") from error
            if time.monotonic() > deadline:
                raise self._explained(f"{complaint} after {timeout:g} s", GuestTimeout)
            time.sleep(0.02)

    def _read_addresses(self) -> None:
        """Replace port 0 by the port that QEMU got from the system."""
        found = self.query_chardev()
        for label, (_port, address) in self._channels.items():
            if not address.startswith("tcp:"):
                continue
            match = re.search(r"tcp:.*:(\d+)(?:,|$)", str(found[label]["filename"]))
            if not match:
                raise QemuError(f"QEMU reports no port for {label}: {found[label]['filename']}")
            actual = f"{address.rpartition(':')[0]}:{match.group(1)}"
            if label == "agent":
                self.agent_address = actual
            else:
                self.provision_address = actual

    def _command(self, qmp_fd: int) -> list[str]:
        command = [QEMU, "-name", self.name, "-nodefaults", "-no-user-config", "-display", "none"]
        # Measured: with a smaller buffer of translated code (MiB) every boot is slower, with a
        # larger one every reset.
        command += ["-machine", self._machine, "-accel", "tcg,tb-size=64", "-cpu", "max"]
        command += ["-smp", "1", "-m", f"{self._memory_mb}M"]
        command += ["-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs)]
        command += ["-append", self._command_line]
        command += ["-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"]
        command += ["-chardev", f"file,id=console,path={_quoted(str(self.console_log))}", "-serial", "chardev:console"]
        command += ["-device", "virtio-serial-pci,id=virtio-serial0,max_ports=8"]
        for number, (label, (port, _address)) in enumerate(self._channels.items(), 1):
            command += ["-chardev", self._chardevs[label]]
            command += [
                "-device",
                f"virtserialport,bus=virtio-serial0.0,nr={number},chardev={label},name={port},id=port-{label}",
            ]
        return [*command, *(["-S"] if self._start_paused else []), *self._arguments]

    def _explained(self, text: str, kind: type[QemuError] = QemuError) -> QemuError:
        """An exception with what QEMU and the guest had to say."""
        lines = [f"guest {self.name}: {text}"]
        status = self._process.poll() if self._process is not None else None
        if status is not None:
            lines.append(f"QEMU ended with status {status}")
        for title, path in (("QEMU", self.qemu_log), ("console", self.console_log)):
            with contextlib.suppress(OSError):
                tail = without_scripts(path.read_text("utf-8", "replace")).strip()[-2000:]
                if tail:
                    lines.append(f"{title}: {tail}")
        return kind("\n".join(lines))


def _quoted(value: str) -> str:
    """A value for QEMU's option syntax, in which a comma ends it unless doubled."""
    return value.replace(",", ",,")


def _chardev(label: str, address: str) -> str:
    kind, _colon, rest = address.partition(":")
    if kind == "unix" and rest:
        return f"socket,id={label},path={_quoted(rest)},server=on,wait=off"
    host, _colon, port = rest.rpartition(":")
    if kind == "tcp" and host and re.fullmatch(r"\d{1,5}", port):
        return f"socket,id={label},host={_quoted(host.strip('[]'))},port={port},server=on,wait=off,nodelay=on"
    raise ValueError(f"not an agent address (unix:/path or tcp:host:port): {address!r}")


def command_line(ports: Sequence[str], settings: Mapping[str, str], more: Sequence[str]) -> str:
    """The guest's kernel command line. Raises ValueError for a malformed or too long setting."""
    words = [_KERNEL_ARGS, "labports=" + ",".join(ports)]
    recording = {"record": CONSOLE} if ENVIRONMENT in os.environ else {}
    for key, value in {**settings, **recording}.items():
        if not _NAME.fullmatch(key) or "\0" in value:
            raise ValueError(f"not a setting: {key!r}={value!r}")
        encoded = re.sub(rb"[^A-Za-z0-9_.,:/+@=-]", lambda match: b"%%%02X" % ord(match.group()), value.encode())
        words.append(f"lab.{key}={encoded.decode()}")
    line = " ".join([*words, *more])
    if len(line) > _COMMAND_LINE_LIMIT:
        raise ValueError(
            f"the settings are too long: kernel command line of {len(line)} bytes, {_COMMAND_LINE_LIMIT} allowed"
        )
    return line
