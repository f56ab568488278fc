# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""Options of the connection that all backends, or several of them, have.

Each class here and in ``_hypervisors/<name>/options.py`` holds the options of the doc fragment with
the same name. A backend has two classes: how its hypervisor is reached, which an inventory needs,
and these options together with those of one router. Times are in seconds.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import typing as t
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.path import unfrackpath

from .deadline import positive_seconds
from .errors import InvalidInput
from .masking import protect

# How the text of an environment variable is read, for options that are not text.
_PARSERS: dict[str, Callable[[str], t.Any]] = {"api_port": int, "validate_certs": boolean, "ca_path": unfrackpath}

_OUR_OWN = "OUTOFBAND_"


@dataclass(frozen=True, kw_only=True)
class HypervisorOptions:
    """How a hypervisor is reached, whichever of its VMs is meant.

    This is all that an inventory needs. A field that ``repr`` does not show is a secret, which is
    masked from then on. Raises InvalidInput for a time that is not usable.
    """

    backend: t.ClassVar[str] = ""
    """The value of ``chr_backend``; empty in a class that several backends share."""
    ENVIRONMENT: t.ClassVar[Mapping[str, Sequence[str]]] = {}
    """The environment variables that are read for an option that is not set; the first one counts.

    They are those of one hypervisor: of its own collections, or ours where those have none. They
    are not declared to Ansible, which would apply one backend's variables to the hosts of another.
    What is the same for every backend, or is an option of one backend only, is declared.
    """

    connect_timeout: float = 30.0
    runtime_directory: Path
    """The folder for this user's sockets and sessions, which outlive a task."""

    def __post_init__(self) -> None:
        positive_seconds("chr_connect_timeout", self.connect_timeout)
        secrets = (getattr(self, one.name) for one in dataclasses.fields(self) if not one.repr)
        for secret in secrets:
            protect(*(secret if isinstance(secret, tuple) else (secret,)))

    @property
    def subject(self) -> str:
        """What the hypervisor is needed for, in messages: "not set for <subject>"."""
        return "the list of VMs"

    @classmethod
    def from_options(cls, values: Mapping[str, t.Any]) -> t.Self:
        """Take the options from *values*, a mapping by name, where None means "not set".

        Other names are ignored. Raises InvalidInput.
        """
        names = {one.name for one in dataclasses.fields(cls)}
        given = {name: value for name, value in values.items() if name in names and value is not None}
        for name, variables in cls.ENVIRONMENT.items():
            variable = next(filter(os.environ.get, variables), None)
            if variable and name not in given:
                given[name] = _parse(name, variable, os.environ[variable])
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class GuestOptions(HypervisorOptions):
    """The options that every backend has for a router. Raises InvalidInput for an empty ``vm``."""

    EXEC_MODES: t.ClassVar[tuple[str, ...]] = ()
    """The ways to hand over a script that the backend has, besides ``auto``."""

    vm: str
    exec_mode: str = "auto"

    def __post_init__(self) -> None:
        if not self.vm.strip():
            raise InvalidInput(
                "chr_vm is empty and does not name a VM, so nothing was sent. Leave it out if the VM has the name of the host."
            )
        super().__post_init__()

    @property
    def subject(self) -> str:
        return repr(self.vm)

    @classmethod
    def from_options(cls, values: Mapping[str, t.Any]) -> t.Self:
        vm = values.get("vm")
        return super().from_options({**values, "vm": "" if vm is None else str(vm)})


def forget_empty_variables() -> None:
    """Remove our own environment variables that are empty, so that Ansible takes them as not set.

    AWX sets the variables of a credential's empty inputs to empty texts. Ansible would take such a
    text in the place of a default, and refuse it as a number. To be called before Ansible resolves
    the options of a plugin.
    """
    for name in [name for name, text in os.environ.items() if not text and name.startswith(_OUR_OWN)]:
        del os.environ[name]


def _parse(option: str, variable: str, text: str) -> t.Any:
    try:
        return _PARSERS.get(option, str)(text)
    except (TypeError, ValueError):
        raise InvalidInput(f"The environment variable {variable} does not have a usable value.") from None


@dataclass(frozen=True, kw_only=True)
class LoginOptions(GuestOptions):
    """The RouterOS user that runs scripts, for backends that ask for one."""

    guest_user: str | tuple[str, ...] = "admin"
    guest_password: str | tuple[str, ...] = field(default="", repr=False)

    @property
    def logins(self) -> tuple[tuple[str, str], ...]:
        """The users and passwords, in the order in which they are tried."""
        return tuple(itertools.product(_each(self.guest_user), _each(self.guest_password)))

    @classmethod
    def from_options(cls, values: Mapping[str, t.Any]) -> t.Self:
        given = {name: _texts(name, values.get(name)) for name in ("guest_user", "guest_password")}
        return super().from_options({**values, **given})


def _each(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _texts(name: str, value: t.Any) -> str | tuple[str, ...] | None:
    """Return the texts in *value*, which is one text, a list, or a text with one on each line.

    Such lines are how an environment variable has a list. Raises InvalidInput.
    """
    if value is None:
        return None
    several = value if isinstance(value, (list, tuple)) else str(value).replace("\r\n", "\n").split("\n")
    if not several or any(isinstance(one, (dict, list, tuple)) for one in several):
        raise InvalidInput(f"chr_{name} must be a text or a list of texts. Nothing was sent.")
    texts = tuple("" if one is None else str(one) for one in several)
    return texts if len(texts) > 1 else texts[0]


@dataclass(frozen=True, kw_only=True)
class SshOptions(HypervisorOptions):
    """A machine that is reached with the OpenSSH client.

    Without ``ssh_host`` it is the controller.
    """

    ssh_host: str | None = None
    ssh_args: str = ""


@dataclass(frozen=True, kw_only=True)
class SocketOptions(SshOptions):
    """A socket on that machine."""

    socket: str | None = None


def api_environment(prefix: str) -> Mapping[str, Sequence[str]]:
    """The variables for the API of a hypervisor.

    ``VMWARE_HOST`` and others are those that the hypervisor's own collections read. They have none
    for the authorities, so those are our own, of one hypervisor or of all.
    """
    names = ("api_host", "api_port", "api_user", "api_password", "validate_certs")
    variables = {name: [f"{prefix}_{name.removeprefix('api_').upper()}"] for name in names}
    return {**variables, "ca_path": [f"{_OUR_OWN}{prefix}_CA_PATH", f"{_OUR_OWN}CA_PATH"]}


@dataclass(frozen=True, kw_only=True)
class ApiOptions(HypervisorOptions):
    """The API of a hypervisor, and the login."""

    api_host: str | None = None
    api_port: int | None = None
    api_user: str | None = None
    api_password: str | None = field(default=None, repr=False)
    validate_certs: bool = True
    ca_path: str | None = None
