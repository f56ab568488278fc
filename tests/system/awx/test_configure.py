# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""extensions/awx/configure.yml with the real modules of awx.awx against the lab's AWX, which
refuses what the real one refuses, and the playbooks of its templates with what its credentials
inject."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS
from ansible_collections.outofband.chr.tests.lab import peers
from ansible_collections.outofband.chr.tests.lab.accounts import AccountServer
from ansible_collections.outofband.chr.tests.lab.awx.injection import inject
from ansible_collections.outofband.chr.tests.lab.awx.server import TOKEN, LabAwx
from ansible_collections.outofband.chr.tests.lab.proxmox.server import LabProxmox
from ansible_collections.outofband.chr.tests.lab.watchdog import temporary_folder
from ansible_collections.outofband.chr.tests.system.conftest import CONNECTION, cache

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
        assert lines[-1]["result"]["msg"].endswith("not built: CHR doctor, CHR backup, CHR upgrade.")
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
        "CHR license audit": 4,
        **dict.fromkeys(
            ("CHR provision", "CHR new id", "CHR license merge", "CHR license report", "CHR license renew"), 1
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
    (schedule,) = configured.items["schedules"]
    assert schedule["unified_job_template"] == configured.named("workflow_job_templates", "CHR audit")["id"]


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


def launch(awx: LabAwx, template: str, pve: LabProxmox, folder: Path, job: int, *hosts: str, **more):
    """Run the playbook of a template as AWX does. Returns the exit status, output and artifacts."""
    found = awx.named("job_templates", template)
    kinds = {kind["id"]: kind for kind in awx.items["credential_types"]}
    data = folder / str(job)
    for name in ("env", "inventory"):
        (data / name).mkdir(parents=True)
    environment = {}
    for credential in awx.items["credentials"]:
        if credential["id"] in found["credentials"]:
            kind = kinds[credential["credential_type"]]
            environment |= inject(credential["inputs"], kind, data / "env")
    answers = {
        one["variable"]: one["default"].splitlines() if one["type"] == "multiselect" else one["default"]
        for one in awx.survey(found)
        if "default" in one and (one["default"] != "" or one["type"] == "text")
    }
    server = {"chr_backend": "proxmox", "chr_api_host": "localhost", "chr_api_port": pve.port}
    variables = {**CONNECTION, **server, "chr_ca_path": str(pve.certificate), "chr_connect_timeout": 20}
    inventory = {"all": {"hosts": {host: variables | more.get("host", {}) for host in hosts}}}
    (data / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory))
    given = {**answers, **json.loads(found["extra_vars"]), "awx_job_id": job, "license_audit_dest": str(folder / "r")}
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


def test_the_template_that_provisions_plans_with_the_answers_of_its_survey(configured, pve, tmp_path):
    (tmp_path / "chr.img").write_bytes(bytes(1 << 20))
    plan = {"image_import_platform": "proxmox", "image_import_src": str(tmp_path / "chr.img")}
    plan |= {"image_import_proxmox_node": "pve1", "image_import_cache": str(tmp_path / "cache")}
    answers = {"image_import_version": "7.22", "image_import_checksum": "waived"}
    more = {"host": plan, "extra": answers, "cmdline": "--check"}
    rc, output, _unused = launch(configured, "CHR provision", pve, tmp_path, 31, "chr9", **more)
    assert rc == 0, output
    assert "check mode downloads nothing, so the platform is not asked" in " ".join(output.split())


def test_the_credential_of_the_inventory_source_lists_the_routers(configured, pve, tmp_path):
    (credential,) = [one for one in configured.items["credentials"] if one["name"] == "CHR inventory source"]
    kind = configured.named("credential_types", "CHR inventory source")
    server = {"backend": "proxmox", "api_host": "localhost", "api_port": pve.port, "ca_path": str(pve.certificate)}
    source = tmp_path / "fleet.chr.yml"
    source.write_text(yaml.safe_dump({"plugin": "outofband.chr.routers", "sources": [server]}))
    program = str(Path(sys.executable).parent / "ansible-inventory")
    # What AWX runs, with the variables that it sets.
    command = [
        program,
        "--list",
        "--export",
        "-i",
        source,
        "--output",
        tmp_path / "out.json",
        "--playbook-dir",
        tmp_path,
    ]
    environment = inject(credential["inputs"], kind, tmp_path) | {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"}
    home = {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_INVENTORY_EXPORT": "True"}
    done = subprocess.run(
        command, env={**os.environ, **environment, **home}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out.json").read_text()
    assert json.loads(written)["_meta"]["hostvars"].keys() == {"chr1", "chr2", "chr3"}
    assert "t0ken-secret" not in written
