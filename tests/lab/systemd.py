# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``systemd-run``, ``systemctl`` and ``journalctl`` of a node without systemd.

They answer as systemd 252 does.

They know transient services, and forking ones that have unit files. The first argument is the
program's name. Transient units are files in ``$LAB_UNITS``, whose ``etc/systemd/system`` has the
unit files; the services themselves are real processes.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


class Unit:
    """One transient service."""

    def __init__(self, name: str) -> None:
        self.name = name if name.endswith(".service") else f"{name}.service"
        self._file = Path(os.environ["LAB_UNITS"]) / self.name
        self.journal = Path(f"{self._file}.log")

    def load(self) -> dict[str, object] | None:
        """Return ``pid`` and ``description`` while the unit runs.

        One that has ended is forgotten (--collect).
        """
        if not self._file.exists():
            return None
        state = json.loads(self._file.read_text())
        try:
            gone = Path(f"/proc/{state['pid']}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            gone = True
        if gone:
            self._file.unlink()
            return None
        return dict(state)

    def run(self, command: list[str], description: str) -> int:
        if self.load():
            sys.stderr.write(
                f"Failed to start transient service unit: Unit {self.name} was already loaded or has a fragment file.\n"
            )
            return 1
        program = shutil.which(command[0])
        if program is None:
            sys.stderr.write(f"Failed to find executable {command[0]}: No such file or directory\n")
            return 1
        with self.journal.open("ab") as log:
            process = subprocess.Popen(
                [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._file.write_text(json.dumps({"pid": process.pid, "description": description}))
        sys.stderr.write(f"Running as unit: {self.name}\n")
        return 0

    def stop(self) -> int:
        state = self.load()
        if state is None:
            sys.stderr.write(f"Failed to stop {self.name}: Unit {self.name} not loaded.\n")
            return 5
        os.killpg(int(str(state["pid"])), signal.SIGTERM)
        while self.load():
            time.sleep(0.01)
        return 0

    def show(self, properties: list[str]) -> int:
        state = self.load()
        values = {
            "ActiveState": "active" if state else "inactive",
            "Description": state["description"] if state else self.name,
        }
        for name in properties:
            sys.stdout.write(f"{name}={values[name]}\n" if name in values else "")
        return 0


class UnitFile:
    """A service of ``Type=forking`` with a unit file.

    Its content is the one at the last ``daemon-reload``.
    """

    def __init__(self, name: str) -> None:
        units = Path(os.environ["LAB_UNITS"])
        self.name = name
        self._known = units / f"{name}.loaded"
        self._wanted = units / f"{name}.enabled"

    @staticmethod
    def reload() -> int:
        units = Path(os.environ["LAB_UNITS"])
        for old in units.glob("*.loaded"):
            old.unlink()
        for file in (units / "etc/systemd/system").glob("*.service"):
            shutil.copyfile(file, units / f"{file.name}.loaded")
        return 0

    def enable(self) -> int:
        if not self._known.exists():
            sys.stderr.write(f"Failed to enable unit: Unit file {self.name} does not exist.\n")
            return 1
        self._wanted.write_text(self._settings("Install")["WantedBy"])
        return 0

    def disable_now(self) -> int:
        self._wanted.unlink(missing_ok=True)
        if self._known.exists():
            while pid := self._pid():
                os.kill(pid, signal.SIGTERM)
                time.sleep(0.05)
        return 0

    def start(self) -> int:
        if not self._known.exists():
            sys.stderr.write(f"Failed to start {self.name}: Unit {self.name} not found.\n")
            return 5
        if self._pid():
            return 0
        service = self._settings("Service")
        if service["Type"] != "forking":
            sys.stderr.write(f"the lab knows no {service['Type']} services\n")
            return 1
        with Path(f"{self._known}.log").open("ab") as log:
            done = subprocess.run(
                shlex.split(service["ExecStart"]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        if done.returncode or not self._pid():
            sys.stderr.write(f"Job for {self.name} failed because the control process exited with error code.\n")
            return 1
        return 0

    def _settings(self, section: str) -> dict[str, str]:
        parser = configparser.ConfigParser(interpolation=None, strict=True)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(self._known.read_text())
        return dict(parser[section])

    def _pid(self) -> int:
        try:
            pid = int(Path(self._settings("Service")["PIDFile"]).read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return 0
        return pid


def main(program: str, arguments: list[str]) -> int:
    options = [word for word in arguments if word.startswith("-")]
    if program == "systemd-run":
        split = arguments.index("--")
        given = dict(word.split("=", 1) for word in arguments[:split] if "=" in word)
        if "--collect" not in arguments[:split]:
            sys.stderr.write("the lab forgets units that have ended, so --collect must be asked for\n")
            return 1
        return Unit(given["--unit"]).run(arguments[split + 1 :], given.get("--description", arguments[split + 1]))
    if program == "systemctl" and arguments == ["daemon-reload"]:
        return UnitFile.reload()
    if program == "systemctl" and arguments[:-1] == ["enable", "--"]:
        return UnitFile(arguments[-1]).enable()
    if program == "systemctl" and arguments[:-1] == ["disable", "--now", "--"]:
        return UnitFile(arguments[-1]).disable_now()
    if program == "systemctl" and arguments[:-1] == ["start", "--"]:
        return UnitFile(arguments[-1]).start()
    if program == "systemctl" and arguments[0] == "stop":
        return Unit(arguments[1]).stop()
    if program == "systemctl" and arguments[0] == "show":
        return Unit(arguments[1]).show([word.removeprefix("--property=") for word in options])
    if program == "journalctl" and arguments[0] == "--unit":
        journal = Unit(arguments[1]).journal
        sys.stdout.write("".join(journal.read_text().splitlines(keepends=True)[-3:]) if journal.exists() else "")
        return 0
    sys.stderr.write(f"the lab's {program} does not know {arguments}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
