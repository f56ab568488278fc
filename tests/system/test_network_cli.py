# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection network_cli, with the modules of others that it is for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

import pytest
from ansible.release import __version__
from packaging.version import Version

from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.hypervisors import hypervisor
from ansible_collections.outofband.chr.tests.lab.peers import collections
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox

from .conftest import Playbook

TELLS = Version(__version__) >= Version("2.19")
"""Before, Ansible shows no message of a task of others that has no_log."""
CLI = {"ansible_connection": "outofband.chr.network_cli"}
RESET = {"name": "reset", "ansible.builtin.meta": "reset_connection"}


def command(name, *commands, **more):
    """A task of community.routeros.command."""
    return {"name": name, "community.routeros.command": {"commands": list(commands)}, **more}


def identity(name="identity", **more):
    return command(name, "/system identity print", **more)


@pytest.fixture
def cli(playbook: Playbook, monkeypatch: pytest.MonkeyPatch) -> Playbook:
    """ansible-playbook with the collections whose modules are meant."""
    for name in ("community.routeros", "ansible.netcommon", "ansible.utils"):
        folder = collections(cache(), name)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{folder}")
    return playbook


def test_modules_of_others_run_unmodified(cli, lab):
    subsets = ["default", "hardware", "interfaces", "config"]
    run = cli(
        [
            command("several", "/system identity print", ":put 1; :put 2"),
            {"name": "facts", "community.routeros.facts": {"gather_subset": subsets}},
            {"name": "cli_command", "ansible.netcommon.cli_command": {"command": "/system identity print"}},
        ],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address}},
    )
    assert run.rc == 0, run.output
    assert run.of("several")["result"]["stdout"] == ["name: chr1", "1\n2"]
    assert run.of("cli_command")["result"]["stdout"] == "name: chr1"
    facts = run.of("facts")["result"]["ansible_facts"]
    assert facts["ansible_net_hostname"] == "chr1"
    assert facts["ansible_net_version"].startswith("7.22")
    assert facts["ansible_net_all_ipv4_addresses"] == ["10.0.2.15"]
    assert "/system identity\nset name=chr1" in facts["ansible_net_config"]
    assert_nothing_is_left(cli)


def assert_nothing_is_left(cli):
    """No process of a router outlives a run."""
    sockets = cli.folder / "home" / "pc"
    deadline = time.monotonic() + 5
    while any(sockets.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(sockets.iterdir())


def test_a_run_that_is_killed_leaves_no_process(cli, lab):
    router = lab("chr1")
    sources = recorded(router)
    run = cli.start([command("long", ":delay 25s")], {"chr1": {**CLI, "chr_socket": router.address}})
    while not any("delay" in source for source in sources):
        assert run.poll() is None
        time.sleep(0.05)
    assert any((cli.folder / "home" / "pc").iterdir())
    cli.kill(run)
    assert_nothing_is_left(cli)


@pytest.mark.slow
def test_a_reset_ends_the_process_of_a_router(cli, lab):
    wait = {"name": "wait", "ansible.builtin.wait_for_connection": {}}
    run = cli(
        [identity("first"), RESET, wait, RESET, identity("last")],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address}},
        "-vvvv",
    )
    assert_each_has_its_own(run, ["chr1"], "first", "last")
    assert run.output.count("local domain socket does not exist, starting it") == 3


# -- each host has its own router ------------------------------------------------------------------


def assert_each_has_its_own(run, hosts, *names):
    assert run.rc == 0, run.output
    for name in names:
        said = {host: run.of(name, host)["result"]["stdout"] for host in hosts}
        assert said == {host: [f"name: {host}"] for host in hosts}, name


def rounds(number):
    """Tasks that ask again and again, with and without the same process, and their names."""
    names = [f"round {one}" for one in range(number)]
    return [task for name in names for task in (identity(name), *([RESET] if int(name[6:]) % 2 else []))], names


def test_hosts_with_one_address_never_share_a_router(cli, lab):
    sockets = {f"chr{one}": lab(f"chr{one}").address for one in range(3)}
    hosts = {
        name: {**CLI, "ansible_host": "192.0.2.1", "chr_vm": "x", "chr_socket": socket}
        for name, socket in sockets.items()
    }
    tasks = [identity("first"), RESET, identity("second")]
    assert_each_has_its_own(cli(tasks, hosts, "--forks=8"), hosts, "first", "second")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "address"), [("linear", {"ansible_host": "192.0.2.1"}), ("free", {})], ids=["linear", "free"]
)
def test_many_hosts_with_one_address_or_none_never_share_a_router(cli, lab, strategy, address):
    sockets = {f"chr{one}": lab(f"chr{one}").address for one in range(9)}
    hosts = {name: {**CLI, **address, "chr_vm": "x", "chr_socket": socket} for name, socket in sockets.items()}
    tasks, names = rounds(6)
    # With the strategy free, a reset of one host would end the process that others use just then.
    delegated = [identity("delegated", delegate_to="chr0")] if strategy == "linear" else []
    run = cli([*tasks, *delegated], hosts, "--forks=8", strategy=strategy)
    assert_each_has_its_own(run, hosts, *names)
    for host in hosts if delegated else ():
        assert run.of("delegated", host)["result"]["stdout"] == ["name: chr0"]


def test_hosts_that_differ_only_in_the_vm_never_share_a_router(cli):
    with hypervisor("proxmox", ["chr1", "chr2"], cache()) as hosts:
        hosts = {f"x{name}": {**host, **CLI, "ansible_host": "h", "chr_vm": name} for name, host in hosts.items()}
        run = cli(
            [
                identity("loop", vars={"chr_vm": "{{ item }}"}, loop=["chr1", "chr2", "chr1"]),
                {
                    "name": "other",
                    "ansible.builtin.set_fact": {"chr_vm": "{{ 'chr2' if chr_vm == 'chr1' else 'chr1' }}"},
                },
                identity("changed"),
                identity("delegated", delegate_to="xchr1"),
            ],
            hosts,
        )
    assert run.rc == 0, run.output
    for own, other in (("chr1", "chr2"), ("chr2", "chr1")):
        assert run.of("changed", f"x{own}")["result"]["stdout"] == [f"name: {other}"]
        results = run.of("loop", f"x{own}")["result"]["results"]
        assert [one["stdout"][0] for one in results] == ["name: chr1", "name: chr2", "name: chr1"]
        # A fact of a host counts where it is delegated to, too: xchr1 has become chr2.
        assert run.of("delegated", f"x{own}")["result"]["stdout"] == ["name: chr2"]


# The classes of the plugin, in a process in which Ansible has not yet been set up by pytest.
SET_UP = """
import time
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, init_plugin_loader

init_plugin_loader()

def task(socket, **variables):
    one = connection_loader.get("outofband.chr.network_cli", PlayContext())
    names = {"inventory_hostname": "chr1", "chr_backend": "qemu", "chr_connect_timeout": 5, "chr_socket": socket}
    one.set_options(var_options={**names, **variables})
    return one

def daemon(of):
    one = connection_loader.get("outofband.chr.network_cli", of._play_context)
    one.set_options(direct=of.get_options())
    return one

def show(function, *arguments, **more):
    try:
        print(function(*arguments, **more))
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def daemon(cli, source):
    """The lines that *source* prints, which is Python after SET_UP."""
    command = [sys.executable, "-c", SET_UP + source]
    environment = os.environ | {"ANSIBLE_HOME": str(cli.folder / "home")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cli.folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def recorded(router):
    """The scripts that reach the router *router* of the lab from now on."""
    sources = []
    run = router.router.run

    def record(source, **more):
        sources.append(source.decode().strip())
        return run(source, **more)

    router.router.run = record
    return sources


def test_a_process_that_gets_the_options_of_another_router_sends_nothing_any_more(cli, lab):
    one, two = lab("chr1"), lab("chr2")
    sources = [*recorded(one), *recorded(two)]
    said = daemon(
        cli,
        f"""
one, two = task({one.address!r}), task({two.address!r})
process = daemon(one)
process.set_options(direct=two.get_options())
show(process.send, b":put 1")
show(process.get_capabilities)
process.set_options(direct=one.get_options())
show(process.send, b":put 1")
two._play_context = one._play_context
show(daemon, two)
""",
    )
    assert len(said) == 4
    assert all("does not serve 'chr1' with these options, so nothing was sent" in line for line in said), said
    assert not sources


# -- what the router is asked ----------------------------------------------------------------------


def test_the_version_is_asked_once_until_it_can_have_changed(cli, lab):
    router = lab("chr1")
    sources = recorded(router)
    said = daemon(
        cli,
        f"""
process = daemon(task({router.address!r}))
def hostname():
    show(lambda: process.get_capabilities().partition('"network_os_hostname": ')[2].split('"')[1])
hostname()
hostname()
process.send(b" /ip address print detail without-paging")
process.send(b"/export")
hostname()
show(len, {router.address!r} and [1])
process.send(b"/system identity set name=changed")
hostname()
real = time.monotonic
time.monotonic = lambda: real() + 31
hostname()
process.reset()
""",
    )
    assert said == ["chr1", "chr1", "chr1", "1", "changed", "changed"]
    asked = [source for source in sources if source == "/system resource print"]
    assert len(asked) == 3
    assert "/ip address print detail without-paging" in sources  # without the blank before it


def test_answers_are_for_questions_that_nobody_asks(cli, lab):
    router = lab("chr1")
    sources = recorded(router)
    said = daemon(
        cli,
        f"""
process = daemon(task({router.address!r}))
show(process.send, b":put 1", prompt=b"really?", answer=b"y")
show(process.send, b":put 2", prompt=[b"a", b"b"], answer=[b"yes", b""], check_all=True)
show(process.send, b":put 3", prompt=b"new password:", answer=b"secret-answer")
show(process.send, b":put 4", sendonly=True)
show(process.exec_command, ":put 5")
show(process.send, b":put \\xff")
""",
    )
    assert said[:2] == ["1", "2"]
    assert "asks no questions" in said[2]
    assert "secret-answer" not in said[2]
    assert said[3:5] == ["", "5"]
    assert "not valid UTF-8" in said[5]
    assert sources == [":put 1", ":put 2", ":put 4", ":put 5"]


def test_only_the_errors_of_ssh_fail_unless_the_connection_is_strict(cli, lab):
    router = lab("chr1")
    errors = ["/no such menu", ':error "no such item"', ':error "invalid value for x"', ':put 1; :error "no such item"']
    said = daemon(
        cli,
        f"""
process, strict = daemon(task({router.address!r})), daemon(task({router.address!r}, chr_cli_strict=True))
twice = b"/ip address add address=192.0.2.1/24 interface=ether1"
show(process.send, twice)
show(process.send, twice)
show(strict.send, twice)
show(strict.send, b":put 2")
show(strict.send, b"/system routerboard print")
for command in {errors}:
    show(process.send, command)
""",
    )
    assert said[:2] == ["", "failure: already have such address"]
    assert said[2] == (
        "AnsibleError: The script failed on 'chr1': failure: already have such address. "
        "See 'Script failed' in the troubleshooting guide."
    )
    assert said[3:5] == ["2", "routerboard: no"]
    words = ["bad command name no", "no such item", "invalid value for x", "1; no such item"]
    for line, text in zip(said[5:], words, strict=True):
        assert line.startswith(f"AnsibleError: The script failed on 'chr1': {text}")


def test_a_command_has_the_time_that_its_script_may_take(cli, lab):
    run = cli(
        [command("raised", ":delay 2s; :put done", vars={"ansible_command_timeout": 1})],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address}},
    )
    assert run.of("raised")["result"]["stdout"] == ["done"], run.output
    assert "The command timeout of 1 s" in run.output
    assert "is too short for a script" in run.output


def test_times_and_settings_that_cannot_work_fail(cli, lab):
    said = daemon(
        cli,
        f"""
of = task({lab("chr1").address!r}, chr_script_timeout=1)
show(daemon(of).send, b":delay 2s")
show(of.get_option, "persistent_command_timeout")
show(task("/s", chr_script_timeout=600).get_option, "persistent_command_timeout")
show(task("/s", chr_script_timeout=0).get_options)
from ansible import constants
constants.DEFAULT_KEEP_REMOTE_FILES = True
show(task("/s").get_options)
""",
    )
    assert "did not end within 1 s on 'chr1'" in said[0]
    assert said[1:3] == ["180", "635"]
    assert "chr_script_timeout is 0: it must be a number of seconds above 0" in said[3]
    assert "does not work with ANSIBLE_KEEP_REMOTE_FILES" in said[4]


def test_names_of_files_are_those_of_the_run(cli, lab):
    """A process for a router begins in the root folder."""
    said = daemon(
        cli,
        f"""
import os
of = task({lab("chr1").address!r})
options = of.get_options()
of.get_options = lambda: options
os.chdir("/")
daemon(of)
show(os.getcwd)
""",
    )
    assert said == [str(cli.folder)]


@pytest.mark.slow
def test_a_script_of_35_seconds_runs_to_its_end(cli, lab):
    run = cli([command("long", ":delay 35s; :put done")], {"chr1": {**CLI, "chr_socket": lab("chr1").address}})
    assert run.of("long")["result"]["stdout"] == ["done"], run.output


# -- what stays as it is ---------------------------------------------------------------------------


def test_ansible_waits_gathers_facts_and_leaves_the_channel_to_others(cli, lab):
    socket = lab("chr1").address
    guest_agent = {"ansible_connection": "outofband.chr.guest_agent"}
    run = cli(
        [
            {"name": "wait", "ansible.builtin.wait_for_connection": {"timeout": 10}},
            {"name": "ping", "ansible.builtin.ping": {}},
            identity("before"),
            {"name": "another client", "outofband.chr.script": {"source": ":put 1"}, "vars": guest_agent},
            identity("after", become=True),
            command("skipped", ":put 1", check_mode=True),
            {"name": "setup", "ansible.builtin.setup": {}},
            {"name": "facts", "ansible.builtin.assert": {"that": "ansible_facts.net_hostname == 'chr1'"}},
        ],
        {"chr1": {**CLI, "chr_socket": socket, "ansible_network_os": "community.routeros.routeros"}},
        gather_facts=True,
    )
    assert run.rc == 0, run.output
    assert run.of("before")["result"]["stdout"] == run.of("after")["result"]["stdout"] == ["name: chr1"]
    assert run.of("setup")["result"]["ansible_facts"]["ansible_distribution"] == "RouterOS"
    assert run.of("skipped")["status"] == "skipped"


@pytest.mark.slow
def test_waiting_for_a_router_that_does_not_answer_fails(cli, short_path):
    wait = {"name": "wait", "ansible.builtin.wait_for_connection": {"timeout": 1, "connect_timeout": 1}}
    run = cli([wait], {"chr1": {**CLI, "chr_socket": f"{short_path}/none.sock"}})
    assert run.of("wait")["status"] == "failed"


# -- what would act on the controller --------------------------------------------------------------


@pytest.mark.parametrize(
    "tasks",
    [
        ["copy", "raw", "command", "fetch"],
        pytest.param(["template", "file", "shell", "script", "lineinfile", "reboot"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_what_would_act_on_the_controller_fails_and_runs_nothing(cli, lab, tasks):
    done = cli.folder / "done"
    (cli.folder / "local").write_text("x")
    make = f"touch {done}"
    arguments = {
        "copy": {"content": "x", "dest": str(done)},
        "template": {"src": "local", "dest": str(done)},
        "file": {"path": str(done), "state": "touch"},
        "raw": make,
        "shell": make,
        "command": make,
        "script": make,
        "fetch": {"src": str(cli.folder / "local"), "dest": f"{done}/"},
        "lineinfile": {"path": str(done), "line": "x", "create": True},
        "reboot": {},
    }
    run = cli(
        [{"name": name, f"ansible.builtin.{name}": arguments[name], "ignore_errors": True} for name in tasks],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address}},
    )
    for name in tasks:
        result = run.of(name)["result"]
        assert "would act on the controller and not on the router, so nothing was run" in result["msg"], name
        assert "outofband.chr.script" in result["msg"]
    assert not done.exists()


def test_what_cannot_work_says_what_to_use_instead(cli, lab):
    guest_agent = "outofband.chr.guest_agent"
    elsewhere = {"chr_api_host": "127.0.0.1", "chr_api_user": "u", "chr_api_password": "p"}
    run = cli(
        [
            command("vmware", ":put 1", ignore_errors=True, vars={**elsewhere, "chr_backend": "vmware"}),
            command("xenapi", ":put 1", ignore_errors=True, vars={**elsewhere, "chr_backend": "xenapi"}),
            {**command("async", ":put 1", ignore_errors=True), "async": 10, "poll": 1},
            {"name": "module", "outofband.chr.script": {"source": ":put 1"}, "ignore_errors": True},
            {"name": "net_put", "ansible.netcommon.net_put": {"src": "play.yml"}, "ignore_errors": True},
            {"name": "cli_config", "ansible.netcommon.cli_config": {"config": "x"}, "ignore_errors": True},
            command("other", ":put 1", ignore_errors=True, vars={"ansible_network_os": "no.such.os"}),
            command("backend", ":put 1", ignore_errors=True, vars={"chr_backend": ""}),
            {"name": "no connection", "ansible.builtin.debug": {"msg": "x"}, "vars": {"chr_backend": ""}},
        ],
        {"chr1": {**CLI, "chr_socket": lab("chr1").address, "ansible_network_os": "community.routeros.routeros"}},
    )
    for name, words in {
        "vmware": f"Backend vmware returns no output of a script, so .* Set ansible_connection: {guest_agent}",
        "xenapi": f"Backend xenapi restarts the router for each script, so .* Set ansible_connection: {guest_agent}",
        "async": f"does not run tasks with async. .* Set ansible_connection: {guest_agent}",
        "module": f"Set ansible_connection: {guest_agent} for the router",
        "net_put": f"copies no files. Use outofband.chr.copy or fetch over {guest_agent}",
        "cli_config": "would do nothing. Use community.routeros.command",
        "other": "Install the collection community.routeros",
        "backend": "chr_backend is not set for 'chr1'",
    }.items():
        assert run.of(name)["status"] == "failed", name
        assert re.search(words, str(run.of(name)["result"])), (name, run.output)
    assert run.of("no connection")["status"] == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["qemu", "libvirt"])
def test_a_router_in_a_machine_is_served(cli, kind):
    with hypervisor(kind, ["chr1"], cache()) as hosts:
        run = cli([identity("first"), identity("second")], {name: {**host, **CLI} for name, host in hosts.items()})
    assert run.rc == 0, run.output
    for name in ("first", "second"):
        assert run.of(name)["result"]["stdout"][0].startswith("name: ")


@pytest.mark.slow
def test_half_an_output_is_never_returned(cli, xen):
    """Xen's xenstore carries a little."""
    xen.domain("chr1")
    hosts = {"chr1": {**CLI, "chr_backend": "xenstore", "chr_socket": str(xen.daemon.socket)}}
    long = ':for i from=1 to=900 do={ :put "0123456789" }'
    run = cli([identity(), command("long", long, ignore_errors=True)], hosts)
    assert run.of("identity")["result"]["stdout"] == ["name: chr1"], run.output
    assert "The output of the script on 'chr1' is incomplete" in run.of("long")["result"]["msg"]


# -- secrets ---------------------------------------------------------------------------------------


def test_no_log_has_a_secret_whatever_is_logged(cli, lab, monkeypatch):
    log = cli.folder / "log"
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(log))
    monkeypatch.setenv("ANSIBLE_PERSISTENT_LOG_MESSAGES", "1")
    secret = "correct-horse-battery"
    passwords = {"chr_api_password": f"{secret}-api", "chr_guest_password": [f"{secret}-guest", ""]}
    run = cli(
        [
            command("plain", ":put 1"),
            command("hidden", ':put "{{ secret }}-1"', no_log=True),
            command("fails", ':error "no such item {{ secret }}-2"', no_log=True, ignore_errors=True),
            command("shown", ':error "no such item 5"', ignore_errors=True),
            RESET,
        ],
        {"chr1": {**CLI, **passwords, "secret": secret, "chr_socket": lab("chr1").address}},
        "-vvvvv",
    )
    assert run.rc == 0, run.output
    assert "censored" in run.of("hidden")["result"]
    assert "no such item 5" in run.of("shown")["result"]["msg"]
    logged = log.read_text()
    assert re.search(r"chr1: a command of 6 bytes ended with 0 after [0-9.]+ s and printed 3 bytes\.", logged)
    assert_nothing_is_left(cli)
    for text in (logged, run.output):
        assert secret not in text
        assert "jsonrpc" not in text
        assert "WILL NOT redact" not in text


def test_a_command_under_no_log_is_not_put_into_a_file_of_the_router(cli, short_path):
    with LabProxmox(short_path) as pve:
        vm = pve.add(100, "chr1", path_mode="works", accepts_path_with_arg=True, write_modes=("w", "wb"))
        started = {"ansible.netcommon.cli_command": {"command": ':put "s3cr3t"', "sendonly": True}}
        tasks = [
            command("shown", ":put 1"),
            command("hidden", ':put "s3cr3t"', no_log=True),
            {"name": "started", **started, "no_log": True},
        ]
        going_on = [{"ignore_errors": True, **task} for task in tasks]
        run = cli(going_on, {"chr1": {**CLI, **pve.variables()}}, "-vvvvv")
        assert run.of("shown")["status"] == "ok", run.output
        assert run.of("hidden")["status"] == run.of("started")["status"] == "failed"
        if TELLS:
            assert "would put a secret (no_log) into a file of the router" in run.output
            assert "A command with sendonly was not sent" in run.output
        assert all("s3cr3t" not in json.dumps(sent) for sent in vm.wire)
