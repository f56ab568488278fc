# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the connection to those of one backend."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from ansible_collections.outofband.chr.plugins.plugin_utils._core.errors import InvalidInput
from ansible_collections.outofband.chr.plugins.plugin_utils._core.masking import masked
from ansible_collections.outofband.chr.plugins.plugin_utils._core.options import SshOptions
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS, from_options

SOME = {"vm": "chr1", "runtime_directory": Path("/run/x")}
# What the connection gives where nothing is set: every option, most of them None.
UNSET = dict.fromkeys(["api_host", "api_port", "api_user", "api_password", "validate_certs", "socket", "ssh_host"])


def of(backend, **values):
    return from_options({**UNSET, **SOME, "backend": backend, **values})


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Only what a test sets."""
    for backend in BACKENDS.values():
        for variable in chain(*backend.options.ENVIRONMENT.values()):
            monkeypatch.delenv(variable, raising=False)
    return monkeypatch


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_has_a_class_of_its_own(backend):
    options = of(backend)
    assert options.__class__ is BACKENDS[backend].options
    assert (options.backend, options.vm, options.exec_mode, options.connect_timeout) == (backend, "chr1", "auto", 30)


def test_options_of_other_backends_are_ignored():
    options = of("libvirt", libvirt_uri="test:///default", api_host="vcenter", api_password="pass-w0rd")
    assert options.libvirt_uri == "test:///default"
    assert not hasattr(options, "api_host")


@pytest.mark.parametrize("secret", ["api_password", "api_token_secret", "guest_password"])
def test_no_secret_is_in_a_representation(secret):
    holders = [one for one in BACKENDS if secret in BACKENDS[one].options.__dataclass_fields__]
    assert holders
    for backend in holders:
        options = of(backend, **{secret: "s3cret-value"})
        assert getattr(options, secret) == "s3cret-value"
        assert "s3cret-value" not in repr(options)


@pytest.mark.parametrize(
    ("users", "passwords", "logins"),
    [
        (None, None, [("admin", "")]),
        (None, "n3w-secret", [("admin", "n3w-secret")]),
        (None, ["n3w-secret", "", None], [("admin", "n3w-secret"), ("admin", ""), ("admin", "")]),
        (None, "n3w-secret\r\n", [("admin", "n3w-secret"), ("admin", "")]),
        (None, "n3w,secret", [("admin", "n3w,secret")]),
        (None, 123456, [("admin", "123456")]),
        (["ops", "admin"], ["a", "b"], [("ops", "a"), ("ops", "b"), ("admin", "a"), ("admin", "b")]),
        ("ops\nadmin", ["a"], [("ops", "a"), ("admin", "a")]),
    ],
)
def test_logins_of_routeros_are_tried_in_order(users, passwords, logins):
    assert list(of("vmware", guest_user=users, guest_password=passwords).logins) == logins


@pytest.mark.parametrize("wrong", [[], [["a"]], [{"a": 1}]])
def test_what_is_not_a_list_of_passwords_is_refused(wrong):
    with pytest.raises(InvalidInput, match="chr_guest_password must be a text or a list of texts"):
        of("vmware", guest_password=wrong)


def test_each_password_of_a_list_is_masked():
    of("vmware", guest_password=["the-f1rst-secret", "the-s3cond-secret"])
    assert masked("the-f1rst-secret, the-s3cond-secret") == "********, ********"


ENVIRONMENT = {
    "proxmox": ("PROXMOX", {"TOKEN_ID": "root@pam!x", "TOKEN_SECRET": "t0ken"}),
    "vmware": ("VMWARE", {}),
    "xenapi": ("XENSERVER", {}),
}


@pytest.mark.parametrize("backend", ENVIRONMENT)
def test_what_is_left_out_comes_from_the_variables_of_the_hypervisors_own_collections(environment, backend):
    prefix, more = ENVIRONMENT[backend]
    common = {"HOST": "h.example.net", "PORT": "8443", "USER": "u@pve", "PASSWORD": "p", "VALIDATE_CERTS": "no"}
    for name, value in (common | more).items():
        environment.setenv(f"{prefix}_{name}", value)
    options = of(backend)
    assert (options.api_host, options.api_port, options.api_user, options.api_password) == (
        *("h.example.net", 8443),
        *("u@pve", "p"),
    )
    assert options.validate_certs is False
    if more:
        assert (options.api_token_id, options.api_token_secret) == ("root@pam!x", "t0ken")
    assert of(backend, api_host="other").api_host == "other"
    assert of(backend, validate_certs=True).validate_certs is True
    for other in ENVIRONMENT.keys() - {backend}:
        assert of(other).api_host is None


def test_an_empty_variable_counts_as_unset(environment):
    for variable in chain(*BACKENDS["vmware"].options.ENVIRONMENT.values()):
        environment.setenv(variable, "")
    assert of("vmware") == of("vmware", api_host=None, validate_certs=True, ca_path=None)


@pytest.mark.parametrize(("text", "meant"), [("True", True), ("False", False)])
def test_a_switch_takes_the_words_of_awx(environment, text, meant):
    environment.setenv("XENSERVER_VALIDATE_CERTS", text)
    assert of("xenapi").validate_certs is meant


@pytest.mark.parametrize("backend", ENVIRONMENT)
def test_the_authorities_of_one_hypervisor_come_before_those_of_all(environment, backend):
    environment.setenv("HOME", "/home/me")
    environment.setenv("OUTOFBAND_CA_PATH", "~/all.pem")
    assert of(backend).ca_path == "/home/me/all.pem"
    environment.setenv(f"OUTOFBAND_{ENVIRONMENT[backend][0]}_CA_PATH", "/etc/own.pem")
    assert of(backend).ca_path == "/etc/own.pem"
    assert of(backend, ca_path="/etc/variable.pem").ca_path == "/etc/variable.pem"
    for other in ENVIRONMENT.keys() - {backend}:
        assert of(other).ca_path == "/home/me/all.pem"


@pytest.mark.parametrize(("variable", "value"), [("VMWARE_PORT", "https"), ("VMWARE_VALIDATE_CERTS", "perhaps")])
def test_a_variable_that_cannot_be_read_is_named_without_its_value(environment, variable, value):
    environment.setenv(variable, value)
    with pytest.raises(InvalidInput, match=f"{variable} does not have a usable value") as caught:
        of("vmware")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"backend": None}, "chr_backend is not set for 'chr1'. Set it to one of qemu, libvirt"),
        ({"backend": "bhyve"}, "Unknown chr_backend 'bhyve' for 'chr1'. Set it to one of qemu, libvirt"),
        ({"vm": ""}, "chr_vm is empty"),
        ({"vm": " "}, "chr_vm is empty"),
        ({"vm": None}, "chr_vm is empty"),
        ({"connect_timeout": 0.0}, "chr_connect_timeout is 0"),
        ({"connect_timeout": float("nan")}, "chr_connect_timeout is nan"),
    ],
)
def test_options_that_cannot_be_right(values, says):
    with pytest.raises(InvalidInput, match=says):
        from_options({**SOME, "backend": "qemu", **values})


def test_a_hypervisor_without_a_backend_takes_the_options_of_ssh():
    options = SshOptions.from_options({**SOME, "backend": None, "ssh_host": "root@kvm1", "ssh_args": "-v"})
    assert (options.ssh_host, options.ssh_args, options.backend) == ("root@kvm1", "-v", "")


def test_reboot_is_a_permission():
    assert of("xenapi", exec_mode="reboot").may_restart
    assert not of("xenapi", exec_mode="start").may_restart
    assert not of("xenapi").may_restart
