# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""extensions/awx/configure.yml with the real modules of awx.awx against the lab's AWX, which
refuses what the real one refuses, and the playbooks of its templates with what its credentials
inject."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.tests.lab import peers
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.awx import rules
from ansible_collections.outofband.chr.tests.lab.awx.injection import inject
from ansible_collections.outofband.chr.tests.lab.awx.server import TOKEN, LabAwx
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.proxmox.server import EVERYTHING, LabProxmox
from ansible_collections.outofband.chr.tests.lab.sshd import Sshd
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder
from ansible_collections.outofband.chr.tests.system.conftest import CONNECTION

LINKS = ("success_nodes", "always_nodes", "failure_nodes")
ROOT = Path(__file__).parents[3]
EXTENSION = ROOT / "extensions" / "awx"
SECRETS = {
    "PROXMOX_TOKEN_SECRET": "t0ken-secret",
    "VMWARE_PASSWORD": "vmware-s3cret",
    "OUTOFBAND_GUEST_PASSWORD": "guest-s3cret",
    "OUTOFBAND_ACCOUNT_PASSWORD": "account-s3cret",
}
SITE = {
    "awx_proxmox_token_id": "root@pam!chr",
    "awx_account": "me@example.com",
    "awx_notification_url": "https://hook.example.net/awx",
    "awx_backends": ["proxmox", "vmware", "xenapi", "libvirt", "qemu", "xenstore"],
}


@pytest.fixture(scope="module")
def collections() -> str:
    """A search path with awx.awx and this collection."""
    fetched = peers.collections(cache(), "awx.awx")
    return os.pathsep.join((str(fetched), *filter(None, [os.environ.get("ANSIBLE_COLLECTIONS_PATH")])))


def configure(awx: LabAwx, collections: str, folder: Path, *arguments: str, **environment: str):
    """Run the playbook.

    Returns its exit status, its output, and what each task gave.
    """
    given = {
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "system" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "record",
        "RECORD_TO": str(folder / "record.jsonl"),
        "CONTROLLER_HOST": awx.url,
        "CONTROLLER_OAUTH_TOKEN": TOKEN,
        "CONTROLLER_REQUEST_TIMEOUT": "60",
    }
    (folder / "record.jsonl").unlink(missing_ok=True)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, EXTENSION / "configure.yml", "-e", json.dumps(SITE), *arguments],
        cwd=folder,
        env={**os.environ, **given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]
    return done.returncode, done.stdout + done.stderr, lines


def changed(lines):
    return {line["task"] for line in lines if line["result"].get("changed")}


@pytest.fixture(scope="module")
def configured(collections):
    """An AWX after the first run."""
    with temporary_folder() as folder, LabAwx(EXTENSION / "project") as awx:
        rc, output, lines = configure(awx, collections, folder, "-v", **SECRETS)
        assert rc == 0, output[-5000:]
        assert not [secret for secret in SECRETS.values() if secret in output]
        left_out = [line for line in lines if line["task"] == "Tell which templates were left out"]
        assert {line["status"] for line in left_out} == {"skipped"}, left_out
        assert {"Build the organization", "Build the credentials", "Build the schedules"} < changed(lines)
        yield awx


@pytest.mark.slow
def test_a_second_run_changes_and_sends_nothing_and_keeps_the_secrets(configured, collections, tmp_path):
    configured.writes.clear()
    # As from another terminal, where no secret is set.
    rc, output, lines = configure(configured, collections, tmp_path)
    assert rc == 0, output[-3000:]
    assert (changed(lines), configured.writes) == (set(), [])
    stored = configured.named("credentials", "MikroTik account")["inputs"]
    assert stored == {"account": "me@example.com", "account_password": "account-s3cret"}


def test_a_credential_type_gives_the_variables_that_the_connection_reads(configured):
    page = (ROOT / "docs/docsite/rst/connection_guide.rst").read_text()
    known = set(re.findall(r"  \* - ``(\w+)``\n    - ``chr_", page)) | {
        "OUTOFBAND_ACCOUNT",
        "OUTOFBAND_ACCOUNT_PASSWORD",
    }
    for kind in configured.items["credential_types"]:
        assert kind["kind"] == "cloud"
        assert kind["injectors"].keys() <= {"env", "file"}, "extra variables would overrule every host"
        assert set(kind["injectors"]["env"]) <= known
        assert set(kind["inputs"]["required"]) <= {field["id"] for field in kind["inputs"]["fields"]}
        assert not [field["id"] for field in kind["inputs"]["fields"] if field["type"] == "boolean"]


@pytest.mark.parametrize("backend", [name for name, one in BACKENDS.items() if one.options.ENVIRONMENT])
def test_every_variable_of_a_hypervisor_has_an_input(configured, backend):
    variables = {names[0] for names in BACKENDS[backend].options.ENVIRONMENT.values()}
    injected = [set(kind["injectors"]["env"]) for kind in configured.items["credential_types"]]
    assert [one for one in injected if variables <= one], variables
    source = configured.named("credential_types", "CHR inventory source")
    assert variables <= set(source["injectors"]["env"])


def test_every_input_of_a_credential_is_written(configured):
    kinds = {kind["id"]: kind for kind in configured.items["credential_types"]}
    assert {one["name"] for one in configured.items["credentials"]} >= {"CHR through SSH", "CHR inventory source"}
    for credential in configured.items["credentials"]:
        fields = kinds[credential["credential_type"]]["inputs"]["fields"]
        # AWX does not keep an empty secret.
        assert {field["id"] for field in fields if not field.get("secret")} <= set(credential["inputs"])


def test_templates_that_act_in_order_or_once_are_not_sliced(configured):
    slices = {one["name"]: one["job_slice_count"] for one in configured.items["job_templates"]}
    assert slices == {
        **dict.fromkeys(("CHR license audit", "CHR backup"), 4),
        **dict.fromkeys(
            (
                *("CHR doctor", "CHR provision", "CHR new id"),
                *("CHR license merge", "CHR license report", "CHR license renew"),
                "CHR upgrade",
            ),
            1,
        ),
    }


def test_a_slice_may_have_no_router_and_none_is_left_without_hosts_by_a_limit(configured):
    for template in configured.items["job_templates"]:
        sliced = template["job_slice_count"] > 1
        assert json.loads(template["extra_vars"]).get("chr_no_routers") == ("ok" if sliced else None)
        assert template["ask_limit_on_launch"] is not sliced


def test_surveys_have_help_limits_and_defaults(configured):
    for template in configured.items["job_templates"]:
        for question in configured.survey(template):
            assert question["question_description"], question
            if question["type"] == "password":
                assert "default" not in question
            elif not question["required"]:
                assert "default" in question
            if question["type"] in ("text", "integer"):
                assert question["min"] < question["max"]


def test_nothing_that_a_workflow_or_a_schedule_starts_has_a_required_question(configured):
    started = {node["unified_job_template"] for node in configured.items["workflow_job_template_nodes"]}
    for template in configured.items["job_templates"]:
        needed = [one["variable"] for one in configured.survey(template) if one["required"]]
        assert not needed or template["id"] not in started
        assert not needed or template["name"] != "CHR backup"
    assert {schedule["unified_job_template"] for schedule in configured.items["schedules"]} == {
        configured.named("workflow_job_templates", "CHR audit")["id"],
        configured.named("job_templates", "CHR backup")["id"],
    }


def test_the_renewal_goes_from_audit_to_approval_to_renewal_to_report(configured):
    workflow = configured.named("workflow_job_templates", "CHR license renewal")["id"]
    nodes = {
        node["id"]: node
        for node in configured.items["workflow_job_template_nodes"]
        if node["workflow_job_template"] == workflow
    }
    (node,) = [one for one in nodes.values() if one["identifier"] == "audit"]
    order, kinds = [node["identifier"]], []
    while following := [
        (kind, number) for kind in ("success", "always", "failure") for number in node[f"{kind}_nodes"]
    ]:
        ((kind, number),) = following
        node = nodes[number]
        order.append(node["identifier"])
        kinds.append(kind)
    assert order == ["audit", "merge", "approval", "renew", "report"]
    # An alarm or a failed slice keeps nobody from renewing.
    assert kinds == ["always", "always", "success", "always"]


@pytest.mark.slow
def test_links_that_are_of_another_kind_or_direction_are_replaced(configured, collections, tmp_path):
    nodes = configured.items["workflow_job_template_nodes"]
    links = {node["id"]: {kind: list(node[kind]) for kind in LINKS} for node in nodes}
    for node in nodes:
        if node["identifier"] == "audit":
            node["success_nodes"], node["always_nodes"] = node["always_nodes"], []
        if node["identifier"] == "report":
            (renew,) = [one for one in nodes if one["identifier"] == "renew"]
            node["success_nodes"], renew["always_nodes"] = [renew["id"]], []
    # What comes before has no part in it.
    arguments = ["--start-at-task", "Know which templates and workflows are there"]
    arguments += ["-e", json.dumps({"awx_found_playbooks": configured.playbooks()})]
    rc, output, lines = configure(configured, collections, tmp_path, *arguments)
    assert rc == 0, output[-3000:]
    assert {node["id"]: {kind: node[kind] for kind in LINKS} for node in nodes} == links
    assert any(task.startswith("Remove the links") for task in changed(lines))


def test_names_tell_one_unified_template_from_the_others(configured):
    names = [
        one["name"]
        for endpoint in ("projects", "inventory_sources", "job_templates", "workflow_job_templates")
        for one in configured.items[endpoint]
    ]
    assert len(set(names)) == len(names)


def test_the_source_names_a_file_that_the_inventory_plugin_takes(configured):
    (source,) = configured.items["inventory_sources"]
    assert source["source_path"].endswith(".chr.yml")
    content = yaml.safe_load((EXTENSION / "project" / source["source_path"]).read_text())
    assert content["plugin"] == "outofband.chr.routers"


@pytest.fixture
def pve(short_path):
    """A Proxmox VE whose routers reach an account server."""
    with LabProxmox(short_path, "7.4") as cluster, AccountServer() as accounts:
        accounts.add_account("me@example.com", "account-s3cret")
        for number, name in enumerate(("chr1", "chr2", "chr3"), 101):
            cluster.add(number, name).lab.router.accounts = accounts
        yield cluster


def injected(awx: LabAwx, names: set[str], folder: Path) -> dict[str, str]:
    """The environment that credentials give, whose files are in the folder."""
    kinds = {kind["id"]: kind for kind in awx.items["credential_types"]}
    environment = {}
    for credential in awx.items["credentials"]:
        if credential["name"] in names:
            environment |= inject(credential["inputs"], kinds[credential["credential_type"]], folder)
    return environment


def update(awx: LabAwx, inventory: Path) -> dict[str, t.Any]:
    """Update an inventory from the file of a source as AWX does. Returns what AWX stores of it."""
    private = inventory.parent / "update"
    private.mkdir()
    source = inventory / "fleet.chr.yml"
    out = private / "out.json"
    command = [
        str(Path(sys.executable).parent / "ansible-inventory"),
        "--list",
        "--export",
        "-i",
        source,
        "--output",
        out,
    ]
    environment = injected(awx, {"CHR inventory source"}, private)
    environment |= {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "True", "ANSIBLE_INVENTORY_EXPORT": "True"}
    environment |= {"ANSIBLE_HOME": str(inventory.parent / "home")}
    done = subprocess.run(
        [*command, "--playbook-dir", inventory],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(out.read_text()) if done.returncode == 0 else None
    shutil.rmtree(private)
    assert found, done.stderr
    return {**found, "_meta": {"hostvars": found["_meta"]["hostvars"]}}


def launch(awx: LabAwx, template: str, pve: LabProxmox | None, folder: Path, job: int, *hosts: str, **more):
    """Run the playbook of a template as AWX does. Returns the exit status, output and artifacts.

    Without *pve*, the inventory is what an update gave.
    """
    found = awx.named("job_templates", template)
    data = folder / str(job)
    for name in ("env", "inventory"):
        (data / name).mkdir(parents=True)
    names = {one["name"] for one in awx.items["credentials"] if one["id"] in found["credentials"]}
    environment = injected(awx, names, data / "env")
    answers = {
        one["variable"]: one["default"].splitlines() if one["type"] == "multiselect" else one["default"]
        for one in awx.survey(found)
        if "default" in one and (one["default"] != "" or one["type"] == "text")
    }
    inventory = more.get("inventory")
    if pve is not None:
        server = {"chr_backend": "proxmox", "chr_api_host": "localhost", "chr_api_port": pve.port}
        variables = {**CONNECTION, **server, "chr_ca_path": str(pve.certificate), "chr_connect_timeout": 20}
        inventory = {
            "_meta": {"hostvars": {host: variables | more.get("host", {}) for host in hosts}},
            "all": {"hosts": list(hosts)},
        }
    program = data / "inventory" / "hosts"
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(inventory)!r})\n")
    program.chmod(0o700)
    files = {
        "license_audit_dest": str(folder / "r"),
        **{f"doctor_{one}": str(folder / one) for one in ("html", "json")},
    }
    given = {**answers, **json.loads(found["extra_vars"]), "awx_job_id": job, **files}
    (data / "env" / "extravars").write_text(json.dumps(given | more.get("extra", {})))
    (data / "env" / "envvars").write_text(json.dumps(environment | {"ANSIBLE_HOME": str(folder / "home")}))
    tags = f" --tags {found['job_tags']}" if found["job_tags"] else ""
    (data / "env" / "cmdline").write_text(more.get("cmdline", "--forks 4") + tags)
    (data / "project").symlink_to(EXTENSION / "project")
    done = subprocess.run(
        [sys.executable, "-m", "ansible_runner", "run", str(data), "-p", found["playbook"], "-i", "1"],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    artifacts = {}
    for event in (data / "artifacts" / "1" / "job_events").glob("*.json"):
        artifacts |= json.loads(event.read_text()).get("event_data", {}).get("artifact_data", {})
    return done.returncode, done.stdout + done.stderr, artifacts


def test_the_slices_of_an_audit_come_together_in_one_report(configured, pve, tmp_path):
    one = launch(configured, "CHR license audit", pve, tmp_path, 11, "chr1", "chr3")
    two = launch(configured, "CHR license audit", pve, tmp_path, 12, "chr2")
    assert (one[0], two[0]) == (0, 0), one[1] + two[1]
    assert not (tmp_path / "r").exists(), "reports of slices would overwrite one another"
    rc, output, nothing = launch(configured, "CHR license audit", pve, tmp_path, 13)
    assert (rc, nothing) == (0, {}), f"a slice may have no router: {output}"
    artifacts = one[2] | two[2]  # as AWX puts those of the slices together
    assert artifacts.keys() == {"license_slice_11", "license_slice_12"}
    names = ("chr1", "chr2", "chr3", "chr4")
    rc, output, handed_on = launch(configured, "CHR license merge", pve, tmp_path, 14, *names[:3], extra=artifacts)
    assert rc == 0, output
    assert "Routers: 3. Slices: 2." in output and "Without a license: 3." in output
    assert handed_on["license_audit"]["levels"]["free"] == 3

    # The slice of chr4 failed: the others are reported all the same, and the job is red.
    rc, output, _unused = launch(configured, "CHR license merge", pve, tmp_path, 15, *names, extra=artifacts)
    assert rc == 2, output
    assert "no slice has handed on what it read of these routers: chr4. Look at" in " ".join(output.split())
    report = json.loads((tmp_path / "r" / "chr-licenses.json").read_text())
    found = {router["name"]: (router["level"], router["reason"]) for router in report["routers"]}
    assert found.pop("chr4") == (None, "No slice of the audit has handed on what it read of this router.")
    assert found == dict.fromkeys(names[:3], ("free", None))

    # At the end of a renewal, with what the nodes before have handed on.
    given = artifacts | handed_on
    rc, output, said = launch(configured, "CHR license report", pve, tmp_path, 16, "chr1", "chr3", extra=given)
    assert rc == 0, output
    assert "Routers: 2. Due for renewal: 0." in output
    assert said["license_audit"]["total"] == 2


def test_the_templates_that_change_routers_run_with_what_the_credentials_inject(configured, pve, tmp_path):
    rc, output, _unused = launch(configured, "CHR new id", pve, tmp_path, 21, "chr1", "chr2")
    assert rc == 0, output
    answers = {"license_renew_level": "p1"}
    rc, output, _unused = launch(configured, "CHR license renew", pve, tmp_path, 22, "chr1", "chr2", extra=answers)
    assert rc == 0, output
    assert [pve.vms[number].lab.router.license.level for number in (101, 102, 103)] == ["p1", "p1", "free"]
    rc, output, _unused = launch(configured, "CHR license report", pve, tmp_path, 23, "chr1", "chr2")
    assert rc == 0, output
    assert "account-s3cret" not in output and "t0ken-secret" not in output


def test_the_doctor_runs_with_what_the_credentials_inject_and_with_the_tasks_of_its_survey(configured, pve, tmp_path):
    pve.privileges["root@pam!chr"] = EVERYTHING - {"VM.Snapshot"}
    rc, output, _unused = launch(configured, "CHR doctor", pve, tmp_path, 41, "chr1", "chr2")
    assert rc == 0, output
    assert "Nothing is wrong with 2 routers." in output
    wanted = {"doctor_tasks": ["script", "snapshot"]}
    rc, output, _unused = launch(configured, "CHR doctor", pve, tmp_path, 42, "chr1", "chr2", extra=wanted)
    assert rc != 0
    assert "VM.Snapshot is missing, for snapshot" in output
    assert "t0ken-secret" not in output


def provision(folder: Path) -> dict[str, t.Any]:
    """What a launch of the template that provisions needs, in check mode."""
    (folder / "chr.img").write_bytes(bytes(1 << 20))
    plan = {"image_import_platform": "proxmox", "image_import_src": str(folder / "chr.img")}
    plan |= {"image_import_proxmox_node": "pve1", "image_import_cache": str(folder / "cache")}
    return {
        "host": plan,
        "extra": {"image_import_version": "7.22", "image_import_checksum": "waived"},
        "cmdline": "--check",
    }


def test_the_template_that_provisions_plans_with_the_answers_of_its_survey(configured, pve, tmp_path):
    rc, output, _unused = launch(configured, "CHR provision", pve, tmp_path, 31, "chr9", **provision(tmp_path))
    assert rc == 0, output
    assert "check mode downloads nothing, so the platform is not asked" in " ".join(output.split())


def test_a_number_of_the_command_line_is_the_default_of_a_survey_as_a_number(playbook):
    """AWX refuses a text, and that is what -e NAME=VALUE gives."""
    (play,) = yaml.safe_load((EXTENSION / "configure.yml").read_text())
    (build,) = [task for task in play["tasks"] if "awx.awx.job_template" in task]
    show = {"name": "show", "ansible.builtin.debug": {"msg": build["awx.awx.job_template"]["survey_spec"]}}
    shown = [{**show, "loop": build["loop"], "vars": build["vars"], "when": "item.survey != []"}]
    variables = {"vars_files": [str(EXTENSION / "variables.yml")], "connection": "local"}
    for given, wanted in (("14", 14), ("0", 0), ("", "")):
        run = playbook(shown, {"localhost": {}}, "-e", f"awx_fail_within_days={given}", **variables)
        assert run.rc == 0, run.output
        specs = [one["msg"] for one in run.of("show")["result"]["results"] if "msg" in one]
        for spec in specs:
            rules.survey(spec)
        defaults = {one["variable"]: one.get("default") for spec in specs for one in spec["spec"]}
        assert defaults["license_audit_fail_within_days"] == wanted
        assert type(defaults["license_audit_fail_within_days"]) is type(wanted)
        assert (defaults["license_renew_before"], defaults["license_audit_name"]) == (14, "chr-licenses")


def test_every_question_that_is_left_empty_counts_as_not_set(configured, pve, tmp_path):
    """Also numbers and choices, of which AWX itself may refuse an empty text."""
    given = {
        "CHR provision": provision(tmp_path),
        "CHR upgrade": {"extra": {"upgrade_version": "7.22"}},
        "CHR license merge": {"extra": {"license_slice_1": {"chr1": {"msg": "It is off."}}}},
    }
    for job, template in enumerate(configured.items["job_templates"], 81):
        optional = [one for one in configured.survey(template) if not one["required"]]
        empty = {one["variable"]: [] if one["type"] == "multiselect" else "" for one in optional}
        more = given.get(template["name"], {})
        more = {**more, "extra": empty | more.get("extra", {})}
        rc, output, _unused = launch(configured, template["name"], pve, tmp_path, job, "chr1", **more)
        assert rc == 0, (template["name"], output)
        if "license_audit_formats" in empty:
            files = sorted(path.name for path in (tmp_path / "r").iterdir())
            assert files == ["chr-licenses.csv", "chr-licenses.html", "chr-licenses.json"]
            shutil.rmtree(tmp_path / "r")


def lab_source(pve: LabProxmox) -> dict[str, t.Any]:
    server = {"backend": "proxmox", "api_host": "localhost", "api_port": pve.port, "ca_path": str(pve.certificate)}
    return {"plugin": "outofband.chr.routers", "sources": [{"name": "berlin", **server}]}


def test_the_credential_of_the_inventory_source_lists_the_routers(configured, pve, tmp_path):
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fleet.chr.yml").write_text(yaml.safe_dump(lab_source(pve)))
    found = update(configured, tmp_path / "inventory")
    assert found["_meta"]["hostvars"].keys() == {"chr1", "chr2", "chr3"}
    assert "t0ken-secret" not in json.dumps(found)


def vault(folder: Path, *arguments: str) -> str:
    """Run ansible-vault with the password that is in the folder."""
    (folder / "password").write_text("pass-word-1\n")
    command = [str(Path(sys.executable).parent / "ansible-vault"), *arguments]
    command += ["--vault-password-file", str(folder / "password")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_variables_beside_the_inventory_source_reach_the_jobs(configured, pve, tmp_path, monkeypatch):
    """A secret of one source is encrypted for jobs: updates have no password for it."""
    inventory = tmp_path / "inventory"
    shutil.copytree(EXTENSION / "project" / "inventory", inventory)
    (inventory / "fleet.chr.yml").write_text(yaml.safe_dump(lab_source(pve)))
    of_berlin = inventory / "group_vars" / "berlin.yml"
    of_berlin.write_text(vault(tmp_path, "encrypt_string", "t0ken-secret", "--name", "chr_api_token_secret"))
    found = update(configured, inventory)
    assert found["all"]["vars"] == yaml.safe_load((inventory / "group_vars" / "all.yml").read_text())
    assert "__ansible_vault" in found["berlin"]["vars"]["chr_api_token_secret"]

    # The variable of the group counts more than the credential of the template.
    credential = configured.named("credentials", "CHR on Proxmox VE")
    monkeypatch.setitem(credential["inputs"], "proxmox_token_secret", "wrong")
    given = {"inventory": found, "cmdline": f"--vault-password-file {tmp_path / 'password'}"}
    rc, output, said = launch(configured, "CHR license report", None, tmp_path, 41, **given)
    assert (rc, said["license_audit"]["not_read"]) == (0, []), output
    assert "t0ken-secret" not in output

    vault(tmp_path, "encrypt", str(of_berlin))
    with pytest.raises(AssertionError, match="no vault secrets found"):
        update(configured, inventory)


def fill(awx: LabAwx, name: str, monkeypatch: pytest.MonkeyPatch, **inputs: str) -> None:
    """Fill inputs of a credential as the API does."""
    credential = awx.named("credentials", name)
    kind = next(one for one in awx.items["credential_types"] if one["id"] == credential["credential_type"])
    stored = rules.credential_inputs({**credential["inputs"], **inputs}, credential["inputs"], kind["inputs"])
    monkeypatch.setitem(credential, "inputs", stored)


@pytest.fixture
def sshd(short_path):
    (short_path / "ssh").mkdir()
    server = Sshd(short_path / "ssh")
    server.start()
    yield server
    for master in short_path.rglob("cp/chr-????????????????"):
        subprocess.run(["ssh", "-o", f"ControlPath={master}", "-O", "exit", "x"], capture_output=True, check=False)
    server.stop()


def holders(folder: Path, text: str) -> list[str]:
    """The files below a folder that have the text."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_private_keys_are_files_of_one_job_and_never_variables(
    configured, libvirtd, lab, sshd, short_path, tmp_path, monkeypatch
):
    """Each job has other paths, and AWX removes the files at its end. So an inventory that had them
    as variables would lead the next job to a key that is gone."""
    key, login = (sshd.folder / "user").read_text(), f"{getpass.getuser()}@127.0.0.1:{sshd.port}"
    netcat = sshd.folder / "nc"  # libvirt asks it for its options first, then for the socket
    netcat.write_text('#!/bin/sh\ncase "$*" in *-U*) shift $(($# - 1)); exec socat - UNIX-CONNECT:"$1";; esac\n')
    client = sshd.folder / "client"
    of_client = f"-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile={sshd.folder}/known"
    client.write_text(f'#!/bin/sh\nexec ssh {of_client} "$@"\n')
    for program in (netcat, client):
        program.chmod(0o755)
    uri = f"qemu+ssh://{login}/session?socket={libvirtd.socket}&command={client}&netcat={netcat}"
    known = f"[127.0.0.1]:{sshd.port} {(sshd.folder / 'host.pub').read_text()}"
    of_ssh = {"ssh_host": f"ssh://{login}", "ssh_key": key, "ssh_known_hosts": known}
    of_libvirt = {"libvirt_uri": uri, "libvirt_key": key}
    fill(configured, "CHR through SSH", monkeypatch, **of_ssh)
    fill(configured, "CHR on libvirt", monkeypatch, **of_libvirt)
    fill(configured, "CHR inventory source", monkeypatch, **of_ssh, **of_libvirt)

    router = lab("chr-on-qemu")
    libvirtd.define("chr-on-libvirt")
    libvirtd.virsh("start", "chr-on-libvirt")
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "group_vars" / "all.yml").write_text("chr_connect_timeout: 60\n")
    sockets = str(router.address).removeprefix("unix:")
    sources = [{"name": "kvm", "backend": "qemu", "sockets": [sockets]}, {"backend": "libvirt"}]
    content = {"plugin": "outofband.chr.routers", "sources": sources}
    (inventory / "fleet.chr.yml").write_text(yaml.safe_dump(content))
    found = update(configured, inventory)
    assert sshd.logins == 2
    assert found["_meta"]["hostvars"].keys() == {"chr-on-qemu", "chr-on-libvirt"}
    assert [word for word in ("_key", "keyfile", "PRIVATE KEY") if word in json.dumps(found)] == []

    rc, output, said = launch(configured, "CHR license report", None, tmp_path, 51, inventory=found)
    assert (rc, said["license_audit"]["not_read"]) == (0, []), output
    assert sshd.logins >= 4
    line = key.splitlines()[1]
    job = tmp_path / "51"
    files = {path.rpartition("-")[2] for path in holders(tmp_path, line)}
    assert files == {"ssh_key", "libvirt_key"}
    told = job / "artifacts" / "1" / "job_events"  # what AWX keeps of a job
    assert holders(told, "-ssh_key") == holders(told, "-libvirt_key") == []
    shutil.rmtree(job)  # as AWX does
    assert holders(tmp_path, line) == []
