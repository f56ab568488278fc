# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API of AWX 24.6.1 as far as the modules of awx.awx that configure it need it.

It is strict: what AWX ignores without a word, such as a field that does not exist, is refused here.
Nothing runs: a project is fetched at once from a folder, and jobs do not exist.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from .. import reference
from . import rules
from .rules import Refused

TOKEN = "lab-token"
SCHEMAS = "awx_options.json"
_API = "/api/v2/"
_TYPES = {
    "organizations": "organization",
    "execution_environments": "execution_environment",
    "credential_types": "credential_type",
    "credentials": "credential",
    "notification_templates": "notification_template",
    "projects": "project",
    "inventories": "inventory",
    "inventory_sources": "inventory_source",
    "job_templates": "job_template",
    "workflow_job_templates": "workflow_job_template",
    "workflow_job_template_nodes": "workflow_job_template_node",
    "workflow_approval_templates": "workflow_approval_template",
    "schedules": "schedule",
}
_REQUIRED = {
    "execution_environments": ("image",),
    "credential_types": ("kind", "inputs", "injectors"),
    "credentials": ("credential_type", "organization"),
    "notification_templates": ("organization", "notification_type"),
    "projects": ("scm_type", "scm_url"),
    "inventories": ("organization",),
    "inventory_sources": ("inventory", "source", "source_project"),
    "job_templates": ("project", "playbook"),
    "workflow_job_template_nodes": ("workflow_job_template", "identifier"),
    "schedules": ("unified_job_template", "rrule"),
}
_REFERENCES = {
    "organization": "organizations",
    "credential": "credentials",
    "credential_type": "credential_types",
    "default_environment": "execution_environments",
    "execution_environment": "execution_environments",
    "inventory": "inventories",
    "project": "projects",
    "source_project": "projects",
    "workflow_job_template": "workflow_job_templates",
}
_UNIFIED = ("projects", "inventory_sources", "job_templates", "workflow_job_templates")
_LINKS = ("success_nodes", "always_nodes", "failure_nodes")
_EVENTS = [f"notification_templates_{event}" for event in ("started", "success", "error", "approvals")]
_LISTS = {
    "job_templates": {"credentials": "credentials", **dict.fromkeys(_EVENTS[:3], "notification_templates")},
    "projects": dict.fromkeys(_EVENTS[:3], "notification_templates"),
    "inventory_sources": dict.fromkeys(_EVENTS[:3], "notification_templates"),
    "workflow_job_templates": dict.fromkeys(_EVENTS, "notification_templates"),
    "workflow_job_template_nodes": dict.fromkeys(_LINKS, "workflow_job_template_nodes"),
}
_UNIQUE = {
    "credential_types": ("name", "kind"),
    "credentials": ("name", "organization", "credential_type"),
    "workflow_job_template_nodes": ("identifier", "workflow_job_template"),
    "inventory_sources": ("name", "inventory"),
    "schedules": ("name", "unified_job_template"),
}
# What the application takes in a request and does not keep: the modules send it.
_NOT_KEPT = {
    "job_templates": {"organization"},
    "workflow_job_template_nodes": {"type"},
}
_NUMBERS = {"forks": 0, "job_slice_count": 0, "update_cache_timeout": 0, "scm_update_cache_timeout": 0}
_WEB_HOOK = ("url", "headers")
_EMAIL = ("host", "port", "username", "password", "use_tls", "use_ssl", "sender", "recipients")
_PLAYBOOK = re.compile(r"^\s*?-?\s*?(?:hosts|(ansible\.builtin\.)?include|(ansible\.builtin\.)?import_playbook):", re.M)

Item = dict[str, t.Any]


@functools.cache
def _options() -> dict[str, t.Any]:
    found = reference.find(SCHEMAS)
    return json.loads(found.read_text())["endpoints"] if found else {}


class LabAwx:
    """An AWX whose projects have what is in a folder: ``with LabAwx(folder) as awx: awx.url``."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.items: dict[str, list[Item]] = {endpoint: [] for endpoint in _TYPES}
        self.writes: list[str] = []
        """What was changed: ``POST job_templates``."""
        self._lock = threading.Lock()
        self._surveys: dict[int, Item] = {}

        class Handler(_Handler):
            awx = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LabAwx:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, endpoint: str, name: str) -> Item:
        """The one object of this name, as it is stored: secrets are not hidden."""
        (found,) = [one for one in self.items[endpoint] if one.get("name", one.get("identifier")) == name]
        return found

    def survey(self, template: Item) -> list[Item]:
        """The questions that a job template asks."""
        return list(self._surveys[template["id"]]["spec"]) if template["survey_enabled"] else []

    def playbooks(self) -> list[str]:
        """The files of the project that AWX takes for playbooks."""
        found = sorted(self.project.rglob("*.yml"))
        return [str(path.relative_to(self.project)) for path in found if _PLAYBOOK.search(path.read_text())]

    def answer(self, method: str, path: str, query: list[tuple[str, str]], body: t.Any) -> tuple[int, t.Any]:
        """Answer one request. Raises Refused."""
        with self._lock:
            parts = path.removeprefix(_API).strip("/").split("/")
            if method != "GET":
                self.writes.append(f"{method} {path.removeprefix(_API).strip('/')}")
            if len(parts) == 1:
                return self._list(method, parts[0], query, body)
            if parts[0] == "project_updates":
                return 200, {"id": int(parts[1]), "status": "successful"}
            item = next((one for one in self._all(parts[0]) if one["id"] == int(parts[1])), None)
            if item is None:
                raise Refused("Not found.", 404)
            if len(parts) == 3:
                return self._related(method, parts[0], item, parts[2], body)
            if method == "PATCH":
                return 200, self._shown(self._store(parts[0], item, body))
            return 200, self._shown(item)

    def _all(self, endpoint: str) -> list[Item]:
        if endpoint == "unified_job_templates":
            return [one for name in _UNIFIED for one in self.items[name]]
        if endpoint not in self.items:
            raise Refused("Not found.", 404)
        return self.items[endpoint]

    def _list(self, method: str, endpoint: str, query: list[tuple[str, str]], body: t.Any) -> tuple[int, t.Any]:
        if method == "POST":
            return 201, self._shown(self._store(endpoint, None, body))
        found = [one for one in self._all(endpoint) if all(self._fits(one, name, text) for name, text in query)]
        return 200, {
            "count": len(found),
            "next": None,
            "previous": None,
            "results": [self._shown(one) for one in found],
        }

    def _fits(self, item: Item, name: str, text: str) -> bool:
        if name.startswith("or__"):
            raise Refused(f"The lab has no objects with a number as their name, asked by {name}.")
        if name == "page_size":
            return True
        key, _mark, rest = name.partition("__")
        if rest and key in _REFERENCES:
            return any(self._fits(one, rest, text) for one in self.items[_REFERENCES[key]] if one["id"] == item[key])
        if name not in item and item["type"] not in map(_TYPES.get, _UNIFIED):
            raise Refused(f"{item['type']} has no field named {name}")
        return str(item.get(name)) == text

    def _store(self, endpoint: str, item: Item | None, body: Item) -> Item:
        """Check and keep what a request gives. *item* is what is there."""
        given = {key: value for key, value in body.items() if key not in _NOT_KEPT.get(endpoint, ())}
        self._check_fields(endpoint, item, given)
        new: Item = {**_BLANK[endpoint], **(item or {}), **given}
        for key in (*_REQUIRED.get(endpoint, ()), *(("name",) if "name" in _BLANK[endpoint] else ())):
            if new.get(key) in (None, ""):
                raise Refused(f"{key}: This field is required.")
        for key, target in _REFERENCES.items():
            if new.get(key) is not None and new[key] not in [one["id"] for one in self.items[target]]:
                raise Refused(f'{key}: Invalid pk "{new[key]}" - object does not exist.')
        same = _UNIQUE.get(endpoint, ("name", "organization"))
        for other in self.items[endpoint]:
            if other is not item and all(other.get(key) == new.get(key) for key in same):
                raise Refused(f"{_TYPES[endpoint]} with this {' and '.join(same)} already exists.")
        if check := getattr(self, f"_check_{_TYPES[endpoint]}", None):
            check(new, item)
        if item is None:
            number = 1 + sum(len(items) for items in self.items.values())
            item = {"id": number, "type": _TYPES[endpoint], "url": f"{_API}{endpoint}/{number}/"}
            item |= {name: [] for name in _LISTS.get(endpoint, {})}
            self.items[endpoint].append(item)
        item |= new
        return item

    def _check_fields(self, endpoint: str, item: Item | None, given: Item) -> None:
        for key, value in given.items():
            if key not in _BLANK[endpoint]:
                raise Refused(f"{_TYPES[endpoint]} has no field {key}, which AWX would ignore.")
            blank = _BLANK[endpoint][key]
            if isinstance(blank, bool | int | str | dict) and type(value) is not type(blank):
                raise Refused(f"{key}: {value!r} is not a {type(blank).__name__}.")
            if key in _NUMBERS and value < _NUMBERS[key]:
                raise Refused(f"{key}: Ensure this value is greater than or equal to {_NUMBERS[key]}.")
        actions = _options().get(endpoint, {}).get("actions", {})
        known = actions.get("GET", {}) | actions.get("POST", {})
        for key, value in given.items():
            if known and key not in known:
                raise Refused(f"{endpoint} has no field {key} in the reference data.")
            rule = known.get(key, {})
            if rule.get("type") == "choice" and value not in [choice[0] for choice in rule["choices"]]:
                raise Refused(f'{key}: "{value}" is not a valid choice.')

    def _check_execution_environment(self, new: Item, item: Item | None) -> None:
        rules.image(new["image"])

    def _check_credential_type(self, new: Item, item: Item | None) -> None:
        if new["kind"] not in ("cloud", "net"):
            raise Refused(f"Must be 'cloud' or 'net', not {new['kind']}")
        new["inputs"] = rules.type_inputs(copy.deepcopy(new["inputs"]))
        rules.type_injectors(new["injectors"], new["inputs"])
        used = item and any(one["credential_type"] == item["id"] for one in self.items["credentials"])
        if item and used and new["inputs"] != item["inputs"]:
            raise Refused("Modifications to inputs are not allowed for credential types that are in use", 403)

    def _check_credential(self, new: Item, item: Item | None) -> None:
        kind = next(one for one in self.items["credential_types"] if one["id"] == new["credential_type"])
        if item is None or new["inputs"] is not item["inputs"]:
            new["inputs"] = rules.credential_inputs(new["inputs"], (item or {}).get("inputs", {}), kind["inputs"])

    def _check_notification_template(self, new: Item, item: Item | None) -> None:
        keys = {"webhook": _WEB_HOOK, "email": _EMAIL}[new["notification_type"]]
        if missing := [key for key in keys if key not in new["notification_configuration"]]:
            raise Refused(f"Missing required fields for Notification Configuration: {missing}.")

    def _check_project(self, new: Item, item: Item | None) -> None:
        if new["scm_type"] != "git":
            raise Refused("The lab has projects of type git only.")

    def _check_inventory_source(self, new: Item, item: Item | None) -> None:
        if new["source"] != "scm":
            raise Refused("The lab has sources of type scm only.")
        if new["verbosity"] not in (0, 1, 2):
            raise Refused(f'verbosity: "{new["verbosity"]}" is not a valid choice.')
        _parsed(new["source_vars"], "source_vars")

    def _check_job_template(self, new: Item, item: Item | None) -> None:
        project = next(one for one in self.items["projects"] if one["id"] == new["project"])
        new["organization"] = project["organization"]
        if not project["allow_override"] and new["playbook"] not in self.playbooks():
            raise Refused("playbook: Playbook not found for project.")
        if new["inventory"] is None and not new["ask_inventory_on_launch"]:
            raise Refused("inventory: Job Template must provide 'inventory' or allow prompting for it.")
        _parsed(new["extra_vars"], "extra_vars")

    def _check_workflow_job_template_node(self, new: Item, item: Item | None) -> None:
        template = next((one for one in self._targets() if one["id"] == new["unified_job_template"]), None)
        if new["unified_job_template"] is not None and template is None:
            raise Refused("unified_job_template: object does not exist.")
        if new["limit"] and not (template or {}).get("ask_limit_on_launch"):
            raise Refused("limit: Field is not configured to prompt on launch.")
        self._check_answers(new["extra_data"], template, missing=False)

    def _check_schedule(self, new: Item, item: Item | None) -> None:
        rules.rrule(new["rrule"])
        template = next((one for one in self._targets() if one["id"] == new["unified_job_template"]), None)
        if template is None or template["type"] == "workflow_approval_template":
            raise Refused("unified_job_template: object does not exist.")
        self._check_answers(new["extra_data"], template, missing=True)

    def _targets(self) -> list[Item]:
        return self._all("unified_job_templates") + self.items["workflow_approval_templates"]

    def _check_answers(self, answers: Item, template: Item | None, missing: bool) -> None:
        questions = self._surveys.get((template or {}).get("id", 0), {}).get("spec", [])
        if unknown := answers.keys() - {one["variable"] for one in questions}:
            raise Refused(f"extra_data: Variables {sorted(unknown)} are not allowed on launch.")
        needed = [one["variable"] for one in questions if one["required"] and one["variable"] not in answers]
        if missing and needed:
            raise Refused(f"variables_needed_to_start: {needed} value missing")

    def _related(self, method: str, endpoint: str, item: Item, name: str, body: t.Any) -> tuple[int, t.Any]:
        if endpoint == "projects" and name == "playbooks":
            return 200, self.playbooks()
        if endpoint == "job_templates" and name == "survey_spec":
            if method == "POST":
                rules.survey(body)
                self._surveys[item["id"]] = body
            return 200, self._surveys.get(item["id"], {})
        if name == "create_approval_template" and method == "POST":
            approval = self._store("workflow_approval_templates", None, body)
            item["unified_job_template"] = approval["id"]
            return 201, self._shown(approval)
        if name not in _LISTS.get(endpoint, {}):
            raise Refused("Not found.", 404)
        others = {one["id"]: one for one in self.items[_LISTS[endpoint][name]]}
        if method == "POST":
            self._associate(item, name, others.get(body["id"]), bool(body.get("disassociate")))
            return 204, None
        found = [self._shown(others[number]) for number in item[name]]
        return 200, {"count": len(found), "next": None, "previous": None, "results": found}

    def _associate(self, item: Item, name: str, other: Item | None, remove: bool) -> None:
        if other is None:
            raise Refused("object does not exist")
        if remove:
            item[name].remove(other["id"])
            return
        if name == "credentials":
            mine = [one for one in self.items["credentials"] if one["id"] in item[name]]
            if other["credential_type"] in [one["credential_type"] for one in mine]:
                raise Refused(f"Cannot assign multiple credentials of the type of {other['name']}.")
        if name in _LINKS:
            if other["workflow_job_template"] != item["workflow_job_template"] or self._leads_to(other, item["id"]):
                raise Refused("Cycle detected, or a node of another workflow.")
            if any(other["id"] in item[kind] for kind in _LINKS):
                raise Refused("Relationship not allowed: the nodes are linked already.")
        item[name].append(other["id"])

    def _leads_to(self, node: Item, number: int) -> bool:
        nodes = {one["id"]: one for one in self.items["workflow_job_template_nodes"]}
        return node["id"] == number or any(
            self._leads_to(nodes[child], number) for kind in _LINKS for child in node[kind]
        )

    def _shown(self, item: Item) -> Item:
        """What a client sees: no secret, and where related objects are."""
        shown = {**copy.deepcopy(item), "related": {}, "summary_fields": {}}
        if item["type"] == "credential":
            kind = next(one for one in self.items["credential_types"] if one["id"] == item["credential_type"])
            for field in kind["inputs"]["fields"]:
                if field.get("secret") and field["id"] in shown["inputs"]:
                    shown["inputs"][field["id"]] = "$encrypted$"
        if item["type"] == "project":
            shown |= {"scm_revision": "0" * 40, "status": "successful"}
            shown["summary_fields"]["current_update"] = {"id": item["id"]}
        if item["type"] == "job_template":
            shown["related"]["survey_spec"] = f"{item['url']}survey_spec/"
        if template := item.get("unified_job_template"):
            (target,) = [one for one in self._targets() if one["id"] == template]
            shown["related"]["unified_job_template"] = target["url"]
        return shown


_NAMED: Item = {"name": "", "description": "", "organization": None}
_BLANK: dict[str, Item] = {
    "organizations": {"name": "", "description": ""},
    "execution_environments": {**_NAMED, "image": "", "pull": "", "credential": None},
    "credential_types": {"name": "", "description": "", "kind": "", "inputs": {}, "injectors": {}, "managed": False},
    "credentials": {**_NAMED, "credential_type": None, "inputs": {}},
    "notification_templates": {**_NAMED, "notification_type": "", "notification_configuration": {}},
    "projects": {
        **_NAMED,
        **{"scm_type": "", "scm_url": "", "scm_branch": "", "credential": None, "default_environment": None},
        **{"scm_update_on_launch": False, "scm_update_cache_timeout": 0, "allow_override": False},
    },
    "inventories": {**_NAMED, "kind": "", "host_filter": None},
    "inventory_sources": {
        **{"name": "", "description": "", "inventory": None, "source": "", "source_project": None, "source_path": ""},
        **{"source_vars": "", "credential": None, "execution_environment": None, "verbosity": 1, "limit": ""},
        **{"overwrite": False, "overwrite_vars": False, "update_on_launch": False, "update_cache_timeout": 0},
    },
    "job_templates": {
        **{"name": "", "description": "", "organization": None, "project": None, "playbook": "", "inventory": None},
        **{"execution_environment": None, "job_type": "run", "forks": 0, "job_slice_count": 1, "extra_vars": ""},
        **{"ask_limit_on_launch": False, "ask_job_type_on_launch": False, "ask_inventory_on_launch": False},
        **{"allow_simultaneous": False, "survey_enabled": False, "job_tags": ""},
    },
    "workflow_job_templates": {**_NAMED, "allow_simultaneous": False},
    "workflow_job_template_nodes": {
        **{"identifier": "", "workflow_job_template": None, "unified_job_template": None, "extra_data": {}},
        "limit": "",
    },
    "workflow_approval_templates": {"name": "", "description": "", "timeout": 0},
    "schedules": {
        **{"name": "", "description": "", "unified_job_template": None, "rrule": "", "extra_data": {}},
        "enabled": True,
    },
}


def _parsed(text: str, name: str) -> None:
    try:
        parsed = json.loads(text or "{}")
    except ValueError as error:
        raise Refused(f"{name}: Cannot parse as JSON.") from error
    if not isinstance(parsed, dict):
        raise Refused(f"{name}: is not an object.")


class _Handler(BaseHTTPRequestHandler):
    awx: t.ClassVar[LabAwx]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused("Authentication credentials were not provided.", 401)
            data = json.loads(body) if body and self.command != "GET" else None
            status, said = self.awx.answer(self.command, parts.path, parse_qsl(parts.query), data)
        except Refused as error:
            status, said = error.status, {"detail": str(error), "error": str(error)}
        content = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer
