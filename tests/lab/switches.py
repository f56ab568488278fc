# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What sources disagree about, or nobody has proven: one switch each.

The defaults are the strict or the observed side.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, fields


class Settable:
    """Switches that can be set from text."""

    def change(self, key: str, value: str) -> None:
        """Set one switch from text. Raises KeyError, ValueError."""
        known = fields(self)  # type: ignore[arg-type]
        kind = {one.name: type(getattr(self, one.name)) for one in known}[key]
        convert: dict[type, t.Callable[[str], t.Any]] = {
            bool: lambda text: {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[text],
            tuple: lambda text: tuple(word for word in text.split(",") if word),
        }
        setattr(self, key, convert.get(kind, kind)(value))


@dataclass
class Switches(Settable):
    """How this agent behaves. Sizes are in bytes, times in seconds."""

    close_answers: bool = False
    """guest-file-close and -flush are answered.

    Observed on 7.22: they are not, though they work.
    """
    shutdown_answers: bool = False
    """guest-shutdown is answered before the machine goes down."""
    shutdown_honours_reboot: bool = True
    """guest-shutdown with mode reboot reboots.

    The vendor's sample says so in a comment; nobody published a proof.
    """
    path_mode: str = "refused"
    """guest-exec with ``path``: ``works`` (the manual), ``refused`` (a hypervisor's developers in
    2020)."""
    accepts_null_path: bool = False
    """guest-exec with ``"path": null, "arg": []`` and input-data counts as one without ``path``.

    Stock agents refuse it.
    """
    accepts_path_with_arg: bool = False
    """Where ``path_mode`` is ``works``: also with ``"arg": []``, which Proxmox VE always sends."""
    numbers_as_strings: bool = False
    delimiter: bool = True
    """0xFF before the reply to guest-sync-delimited."""
    newline: bool = True
    """A newline after each reply."""
    client_delimiter: str = "reset"
    """A 0xFF from the client: ``reset`` the parser silently, ``error`` reply as the stock agent, or
    ``garbage``."""
    output_newline: str = "\r\n"
    write_modes: tuple[str, ...] = ("w",)
    read_modes: tuple[str, ...] = ("r", "rb")
    status_once: bool = True
    """The result of a job can be read once."""
    job_limit: float = 0.0
    """A script that runs longer is stopped with exit code 1; 0: no limit."""
    max_input: int = 0
    """Longer scripts are refused; 0: no limit."""
    max_write: int = 0
    """At most so many bytes of one guest-file-write are taken; 0: all."""
    boot_seconds: float = 0.3
    autorun: bool = True
    """The script for the first boot is run, as many have seen and no vendor's page says."""
    mute: tuple[str, ...] = ()
    """Commands that are carried out and never answered."""
    hang_up_on: tuple[str, ...] = ()
    """Commands upon which the channel is closed before they are carried out."""
    dribble: int = 0
    """Send replies in pieces of so many bytes; 0: whole."""
    handles: int = 10
    """Files that can be open at once."""
    commands_off: tuple[str, ...] = field(default=("guest-get-users", "guest-get-vcpus", "guest-get-fsinfo"))
    """Known to the agent and answered with ``Command not supported``."""


@dataclass
class LicenseSwitches(Settable):
    """How ``/system license`` of a router behaves. Times are in seconds."""

    renew_runs_on: float = 180.0
    """Without ``duration`` and ``once``, ``renew`` goes on this long, done or not ("several
    minutes"; others saw 1 to 2 s)."""
    renew_ends_early: bool = True
    """With ``duration``, ``renew`` ends when it is done or refused, as on a terminal; otherwise
    when the duration is over."""
    renew_sections: str = "all"
    """What is printed or returned: ``all`` states one after the other, as observed over REST, or
    the ``last`` one only."""
    renew_late: str = "applied"
    """An answer after the end of the command is still ``applied``, or is ``lost``."""
    renew_error_fails: bool = False
    """An ERROR status ends the script with an error; otherwise it is only text, as observed over
    REST."""
    retries_stop_at_error: bool = False
    """The hourly attempts end at an error (wiki manual, help page), not only at success (newer
    manual)."""
    expired_keeps_dates: bool = False
    """After the deadline, next-renewal-at and deadline-at are still shown.

    In the wild: next-renewal-at is empty then.
    """
    free_has_level: bool = True
    """A free license shows its level. It may be missing, says the help page."""
    new_id_at_reboot: bool = False
    """generate-new-id shows after the next reboot only. Nothing is published about that."""


@dataclass
class PackageSwitches(Settable):
    """How ``/system package`` of a router behaves. Times are in seconds, sizes in bytes."""

    seconds: float = 0.2
    """A check for updates, and a download, take so long."""
    monitors_end: bool = True
    """They end when they are done, as on a terminal; otherwise they go on for ever."""
    downloaded: str = "Downloaded, please reboot router to upgrade it"
    """The status after a download, as several programs expect it."""
    download_size: int = 4000
    install_reboots: bool = True
    """``update install`` reboots by itself."""
    downgrade_reboots: bool = True
    """``downgrade`` reboots by itself."""
    refused_at_boot: bool = False
    """The boot installs nothing, and the package files stay."""
    lost_at_upgrade: tuple[str, ...] = ()
    """Menus, such as ``ip address``, that are empty after a boot with another version."""
