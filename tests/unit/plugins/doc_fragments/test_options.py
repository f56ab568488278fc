# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doc fragments of the connection's options and the classes that hold the options are the
same."""

from __future__ import annotations

import dataclasses
import importlib
import re
from itertools import chain
from pathlib import Path

import pytest
import yaml
from ansible.playbook.base import Base
from ansible.playbook.task import Task

from ansible_collections.outofband.chr.plugins.connection import guest_agent, network_cli
from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import GuestOptions, HypervisorOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS, from_options, open_guest

CONNECTIONS = {one: yaml.safe_load(one.DOCUMENTATION) for one in (guest_agent, network_cli)}
NOT_AN_OPTION = {"runtime_directory"}
CHOOSES_THE_CLASS = {"backend"}


def with_bases(options):
    return [one for one in options.__mro__ if issubclass(one, HypervisorOptions)]


CLASSES = {
    one.__name__: one
    for backend in BACKENDS.values()
    for options in (backend.options, backend.server or backend.options)
    for one in with_bases(options)
}


def fragment(options):
    """The name of the fragment of a class: SshOptions has ssh, as does a class SshServer."""
    if options is HypervisorOptions:
        return "guest"
    return options.__name__.removesuffix("Options").removesuffix("Server").lower()


def of_a_server(options):
    """Whether a class has what an inventory takes, too."""
    return not issubclass(options, GuestOptions)


def parts(name):
    """What a fragment says: for any plugin, for a connection, and for an inventory."""
    module = importlib.import_module(f"ansible_collections.outofband.chr.plugins.doc_fragments.{name}")
    return [
        yaml.safe_load(getattr(module.ModuleDocFragment, part, "options: {}"))
        for part in ("DOCUMENTATION", "CONNECTION", "INVENTORY")
    ]


def documented(options):
    """The options in the fragment of a class, as Ansible merges its parts for a connection."""
    for_any, for_a_connection, _unused = (part["options"] for part in parts(fragment(options)))
    return {name: for_any.get(name, {}) | for_a_connection[name] for name in for_any | for_a_connection}


def pages(options):
    """The options that the fragment has for a class, which is of a server or of a router."""
    for_any, for_a_connection, for_an_inventory = (part["options"] for part in parts(fragment(options)))
    if of_a_server(options):
        found = for_any | for_an_inventory
    elif any(fragment(one) == fragment(options) for one in with_bases(options)[1:]):
        found = {name: page for name, page in for_a_connection.items() if name not in for_any}
    else:
        found = documented(options)
    return {name: page for name, page in found.items() if name not in CHOOSES_THE_CLASS}


def notes(options):
    return " ".join(note for part in parts(fragment(options)) for note in part.get("notes", []))


@pytest.mark.parametrize("options", CLASSES.values(), ids=CLASSES.keys())
def test_a_class_has_the_options_of_its_fragment(options):
    inherited = {one.name for base in with_bases(options)[1:] for one in dataclasses.fields(base)}
    own = {one.name: one for one in dataclasses.fields(options) if one.name not in inherited | NOT_AN_OPTION}
    assert own.keys() == pages(options).keys()
    from_environment = {name for backend in BACKENDS.values() for name in backend.options.ENVIRONMENT}
    for name, page in pages(options).items():
        default = own[name].default
        if default is dataclasses.MISSING or name in from_environment:  # a default would hide the variable
            default = None
        assert page.get("default") == (list(default) if isinstance(default, tuple) else default), name
        types = {"str": "str", "path": "str", "int": "int", "float": "float", "bool": "bool", "list": "tuple[str, ...]"}
        types["raw"] = "str | tuple[str, ...]"
        assert str(own[name].type).removesuffix(" | None") == types[page["type"]], name


@pytest.mark.parametrize("options", CLASSES.values(), ids=CLASSES.keys())
def test_every_option_has_its_variable(options):
    for name, page in documented(options).items():
        assert page["vars"][-1] == {"name": f"chr_{name}"}
        assert page.get("env", []) in ([], [{"name": f"OUTOFBAND_{name.upper()}"}])


def of_scripts():
    """The options of a connection that no backend needs."""
    for_any, *others = parts("script")
    assert not any(part["options"] for part in others)
    return for_any["options"]


@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_connection_has_every_fragment(connection):
    wanted = {fragment(options) for options in CLASSES.values()}
    fragments = CONNECTIONS[connection]["extends_documentation_fragment"]
    extended = [name.removeprefix("outofband.chr.") for name in fragments]
    assert sorted(extended) == sorted([*wanted, *(f"{name}.connection" for name in wanted), "script"])


def test_no_connection_has_an_option_of_another_kind():
    assert of_scripts().keys() == {"script_timeout", "encoding"}
    assert "options" not in CONNECTIONS[guest_agent]
    persistent = {"persistent_connect_timeout", "persistent_command_timeout", "persistent_log_messages"}
    assert CONNECTIONS[network_cli]["options"].keys() == {"network_os", "cli_strict", *persistent}


def test_no_option_is_named_like_a_keyword_of_ansible():
    names = {name for options in CLASSES.values() for name in documented(options)}
    names |= of_scripts().keys() | CONNECTIONS[network_cli]["options"].keys()
    assert not names & {*Base.fattributes, *Task.fattributes, "timeout", "port", "user", "password"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_notes_of_a_backend_name_its_options_variables_and_ways(backend):
    options = BACKENDS[backend].options
    text = notes(options)
    for field in dataclasses.fields(options):
        assert f"O({field.name})" in text or field.name in {one.name for one in dataclasses.fields(GuestOptions)}
    assert set(re.findall(r"E\((\w+)\)", text)) == set(chain(*options.ENVIRONMENT.values()))
    assert set(ways(backend)) <= set(re.findall(r"V\((\w+)\)", text))


def test_the_choices_of_exec_mode_are_those_of_the_backends():
    choices = documented(GuestOptions)["exec_mode"]["choices"]
    assert set(choices) == {"auto"} | {way for backend in BACKENDS for way in ways(backend)}


def ways(backend):
    """What a backend says that it takes when something else is asked for."""
    given = {
        "vm": "x",
        "exec_mode": "no such way",
        "runtime_directory": Path("/nonexistent"),
        "libvirt_uri": "test:///default",
    }
    given |= {"api_host": "h", "api_user": "u@pam", "api_password": "p", "socket": "/s", "backend": backend}
    with pytest.raises(InvalidInput, match="no such way") as caught:
        open_guest(from_options(given))
    said = re.fullmatch(
        rf"chr_exec_mode 'no such way' is not known to backend {backend}; set it to one of auto(.*)\.",
        str(caught.value),
    )
    return [way for way in said[1].split(", ") if way]
