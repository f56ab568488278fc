# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# PRIVATE to the collection: may change in any release.

"""The sources in a file of the inventory plugin: where VMs are listed, and which are wanted."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
import typing as t
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.outofband.chr.plugins.plugin_utils._core.deadline import positive_seconds
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import HypervisorOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS, server_from_options
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.libvirt.options import without_key

from .names import RESERVED
from .rules import Rule, read_rules

OWN = (
    *("filters", "recognise", "agent_timeout", "details", "addresses"),
    *("powered_off", "templates", "offline_nodes", "on_unreachable"),
)
"""The options of a source that have nothing to do with its backend."""
HIDDEN = frozenset({"runtime_directory"})
"""Fields of the options' classes that are not options."""
ACCOUNT = ("api_user", "api_token_id")
"""Who logs in. These become variables of the source's group, so that others can replace them."""
_WHERE = frozenset({"api_host", "api_port", "libvirt_uri", "ssh_host"})
"""Where the server is. These become variables of hosts, wherever they come from."""
_PATHS = frozenset({"ca_path", "libvirt_uri", "ssh_args"})
"""They can name a file of one job, such as the key that AWX writes for it."""
_NOT_A_VARIABLE = frozenset({"connect_timeout", "sockets", "node", *HIDDEN, *ACCOUNT})
_NO_PASSWORD = {
    "api_host": "Put it into api_password.",
    "libvirt_uri": "Put it into libvirt's auth.conf.",
    "ssh_host": "Set up a key for ssh.",
}
"""Options with an address, in which a password would be in clear text, and what to do instead."""
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_A_GROUP = re.compile(r"[^A-Za-z0-9_]+")
_OPTION = re.compile(r"\bchr_(\w+)")


@dataclass(frozen=True, kw_only=True)
class InventorySource:
    """One server whose VMs are listed, with what is wanted of them."""

    place: str
    """Where it is in the file, for messages: ``sources[1]``; empty for the file itself."""
    name: str
    """The name of its group."""
    options: HypervisorOptions
    given: frozenset[str]
    """The names of those that are in the file, and not from the environment or left out."""
    literal: frozenset[str]
    """The names of those that are in the file as they are, and not as templates."""
    encrypted: frozenset[str]
    """The names of those that ansible-vault has encrypted in the file."""
    filters: tuple[str, ...]
    rules: tuple[Rule, ...]
    recognise: t.Any
    """The value of the option, which *rules* were read from."""
    agent_timeout: float
    """Seconds for all agents of its VMs together."""
    powered_off: str
    """``include``, ``exclude`` or ``group``, as the next two."""
    templates: str
    offline_nodes: str
    details: bool
    addresses: bool
    on_unreachable: str
    """``error`` or ``warn``."""

    @property
    def label(self) -> str:
        """The source, for messages."""
        return f"{self.place} ({self.name})" if self.place else self.name

    def key(self, option: str) -> str:
        """The place of an option in the file."""
        return f"{self.place}.{option}".lstrip(".")

    def variables(self) -> dict[str, t.Any]:
        """The variables that say where each of its VMs is. None of them is a secret.

        What came from the environment is left out, but where the server is: a job that uses the
        inventory later has an environment of its own, with files of its own for certificates and
        keys. A template may have read the environment, too.
        """
        return {"chr_backend": self.options.backend} | self._set(self._tells_where)

    def _tells_where(self, name: str) -> bool:
        if name in _NOT_A_VARIABLE:
            return False
        if name in _PATHS and name not in self.literal:
            return name == "libvirt_uri" and "?" not in getattr(self.options, name)
        # On Proxmox VE, ssh leads to a node, and the environment may mean another machine.
        helper = name == "ssh_host" and hasattr(self.options, "api_host")
        return name in self.given or (name in _WHERE and not helper)

    def account(self) -> dict[str, t.Any]:
        """The variables of its group, which say who logs in, without a password."""
        return self._set(lambda name: name in ACCOUNT and name in self.given)

    def _set(self, wanted: Callable[[str], bool]) -> dict[str, t.Any]:
        values = {
            f"chr_{field.name}": getattr(self.options, field.name)
            for field in dataclasses.fields(self.options)
            if field.repr and field.name not in self.encrypted and wanted(field.name)
        }
        return {name: value for name, value in values.items() if value not in (None, "")}

    def fingerprint(self) -> str:
        """A hash of everything that decides what the list of this source has.

        A cached list with another one is not used. No secret goes into it.
        """
        told = {
            **{
                field.name: getattr(self.options, field.name)
                for field in dataclasses.fields(self.options)
                if field.repr and field.name not in HIDDEN
            },
            **{name: getattr(self, name) for name in ("name", *OWN)},
            "backend": self.options.backend,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class SourceFile:
    """What Ansible has read from a file, and how a value in it becomes that of an option."""

    values: Mapping[str, t.Any]
    """The file."""
    options: Mapping[str, t.Any]
    """The values of the options for the whole file, with environment variables and defaults."""
    known: frozenset[str]
    """The names of all options of the plugin."""
    convert: Callable[[str, t.Any, str], t.Any]
    """Makes the value of an option of a source from what the file has.

    Arguments: its name, the value, and its place for messages. Raises InvalidInput.
    """
    is_template: Callable[[t.Any], bool]
    """Tells whether a value in the file is a template."""
    is_encrypted: Callable[[t.Any], bool]
    """Tells whether a value in the file is one that ansible-vault has encrypted."""
    runtime_directory: t.Any


def read_sources(file: SourceFile) -> list[InventorySource]:
    """Read the sources of a file, which is one source itself if it has no ``sources``.

    Raises InvalidInput, whose text begins with the key in the file.
    """
    _check_keys(file.values, file.known | {"plugin"}, "")
    if "sources" not in file.values:
        return [_source(file, {}, "")]
    entries = file.values["sources"]
    if not isinstance(entries, list) or not entries:
        raise InvalidInput("sources must be a list of sources with at least one entry.")
    if "name" in file.values:
        raise InvalidInput("name: Each of the sources has its own name, so the file cannot have one.")
    sources = [_source(file, entry, f"sources[{number}]") for number, entry in enumerate(entries)]
    names: dict[str, str] = {}
    for one in sources:
        if one.name in names:
            raise InvalidInput(
                f"{one.key('name')}: {names[one.name]} also has the name {one.name!r}. Give each source a name of its own."
            )
        names[one.name] = one.place
    return sources


def of_the_file(text: str) -> str:
    """Return the *text* of an error with the options by their names in a file."""
    return _OPTION.sub(lambda found: found[1] if found[1] in _all_options() else found[0], text)


def _all_options() -> set[str]:
    servers = [backend.server for backend in BACKENDS.values() if backend.server]
    return {"backend", *(field.name for server in servers for field in dataclasses.fields(server))} - HIDDEN


def _check_keys(values: Mapping[str, t.Any], known: t.Collection[str], place: str) -> None:
    for key in values:
        if key not in known:
            similar = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise InvalidInput(
                f"{f'{place}.{key}'.lstrip('.')} is not an option of the plugin outofband.chr.routers.{hint}"
            )


def _source(file: SourceFile, entry: t.Any, place: str) -> InventorySource:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"{place} must be a mapping with the options of one source.")
    in_an_entry = _all_options() | {"name", *OWN}
    _check_keys(entry, in_an_entry, place)
    values = {name: file.options.get(name) for name in in_an_entry}
    for there, given in ((file.values, ""), (entry, f"{place}.")):
        values |= {
            name: file.convert(name, there[name], f"{given}{name}") for name in sorted(in_an_entry & there.keys())
        }
    own: dict[str, t.Any] = {name: values[name] for name in OWN}
    try:
        # A tuple is what the options' classes have for a list.
        options_ = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        options = server_from_options({**options_, "runtime_directory": file.runtime_directory})
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {of_the_file(str(error))}".removeprefix(": ")) from None
    _check_backend(entry, options, place)
    written = {
        name: value for name, value in {**file.values, **entry}.items() if name in values and values[name] is not None
    }
    source = InventorySource(
        place=place,
        name=_name(values["name"], options, place),
        options=options,
        given=frozenset(written),
        literal=frozenset(name for name, value in written.items() if not file.is_template(value)),
        encrypted=frozenset(name for name, value in written.items() if file.is_encrypted(value)),
        rules=read_rules(own["recognise"], f"{place}.recognise".lstrip(".")),
        **{**own, "filters": tuple(own["filters"] or ())},
    )
    for option in ("powered_off", "templates", "offline_nodes", "on_unreachable"):
        if own[option] is None:
            raise InvalidInput(f"{source.key(option)} has no value.")
    positive_seconds(source.key("agent_timeout"), source.agent_timeout)
    return source


def _check_backend(entry: Mapping[str, t.Any], options: HypervisorOptions, place: str) -> None:
    """Refuse an option in *entry* that the backend ignores: it is there by mistake."""
    taken = {"backend", "name", *OWN, *(field.name for field in dataclasses.fields(options))}
    for name in entry:
        if name not in taken:
            raise InvalidInput(f"{place}.{name}: backend {options.backend} does not have this option.")
    for name, better in _NO_PASSWORD.items():
        value = getattr(options, name, None) or ""
        login, at, _server = (value.partition("://")[2] or value).partition("@")
        if at and ":" in login:
            raise InvalidInput(
                f"{f'{place}.{name}'.lstrip('.')} has a password, which would become a variable of each host. {better}"
            )


def _name(name: t.Any, options: HypervisorOptions, place: str) -> str:
    if name is None:
        host = getattr(options, "api_host", None) or getattr(options, "libvirt_uri", None)
        host = host or getattr(options, "ssh_host", None) or "local"
        return f"{options.backend}_{_NOT_IN_A_GROUP.sub('_', without_key(str(host))).strip('_')}"
    key = f"{place}.name".lstrip(".")
    if not _GROUP.fullmatch(str(name)) or name in RESERVED:
        raise InvalidInput(
            f"{key}: {str(name)!r} is not a valid name of a group, which has letters, digits and _, and does not begin with "
            "a digit."
        )
    return str(name)
