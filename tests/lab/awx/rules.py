# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX 24.6.1 refuses, as its running application answered."""

from __future__ import annotations

import re
import typing as t

from jinja2 import StrictUndefined, TemplateError, sandbox


class Refused(Exception):
    """The request is answered with 400, or with *status*, and this text."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


_VARIABLE = re.compile(r"[a-zA-Z_]+[a-zA-Z0-9_]*")
_FILE = re.compile(r"template(\.[a-zA-Z_]+[a-zA-Z0-9_]*)?")
_FIELD_KEYS = {
    *("id", "label", "type", "format", "choices", "help_text", "multiline", "secret", "default"),
    "ask_at_runtime",
}
_REFUSED_VARIABLES = frozenset(
    {
        *("VIRTUAL_ENV", "PATH", "PYTHONPATH", "JOB_ID", "INVENTORY_ID", "INVENTORY_SOURCE_ID", "INVENTORY_UPDATE_ID"),
        *("AD_HOC_COMMAND_ID", "REST_API_URL", "REST_API_TOKEN", "MAX_EVENT_RES", "CALLBACK_QUEUE"),
        *("CALLBACK_CONNECTION", "CACHE", "JOB_CALLBACK_DEBUG", "INVENTORY_HOSTVARS", "AWX_HOST"),
        *("PROJECT_REVISION", "SUPERVISOR_CONFIG_PATH"),
    }
)
_QUESTION_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("text", "textarea", "password", "multiplechoice", "multiselect"), str),
    "integer": int,
    "float": (int, float),
}
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n.+\n-----END [A-Z ]*PRIVATE KEY-----\s*", re.DOTALL)


def _object(value: t.Any, keys: set[str], what: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise Refused(f"{what} is not of type 'object'")
    if unknown := value.keys() - keys:
        raise Refused(f"{what}: additional properties are not allowed ({sorted(unknown)})")
    return value


def type_inputs(inputs: t.Any) -> dict[str, t.Any]:
    """Check the inputs of a custom credential type. Returns them as AWX stores them."""
    given = _object(inputs, {"fields", "required"}, "inputs")
    fields = [_field(dict(_object(field, _FIELD_KEYS, "field"))) for field in given.get("fields", [])]
    ids = [field["id"] for field in fields]
    if len(set(ids)) < len(ids):
        raise Refused("field IDs must be unique")
    if not all(isinstance(one, str) for one in given.get("required", [])):
        raise Refused("required is not a list of strings")
    return {**given, "fields": fields}


def _field(field: dict[str, t.Any]) -> dict[str, t.Any]:
    for key in ("id", "label"):
        if not isinstance(field.get(key), str):
            raise Refused(f"'{key}' is a required property")
    if field["id"] == "tower":
        raise Refused('"tower" is a reserved field name')
    if not _VARIABLE.fullmatch(field["id"]):
        raise Refused(f"{field['id']} is an invalid variable name")
    kind = field.setdefault("type", "string")
    if kind not in ("string", "boolean"):
        raise Refused(f"'{kind}' is not one of ['string', 'boolean']")
    if field.get("format", "url") not in ("ssh_private_key", "url"):
        raise Refused(f"'{field['format']}' is not one of ['ssh_private_key', 'url']")
    if field.get("ask_at_runtime"):
        raise Refused("'ask_at_runtime' is not supported for custom credentials.")
    if not isinstance(field.get("default", kind == "boolean" or ""), {"string": str, "boolean": bool}[kind]):
        raise Refused(f"{field['default']} is not a {kind}")
    for key in ("choices", "multiline", "format", "secret"):
        if key in field and kind != "string":
            raise Refused(f"{key} not allowed for {kind} type ({field['id']})")
    choices = field.get("choices", ["x"])
    if not choices or len(set(choices)) < len(choices) or not all(isinstance(one, str) for one in choices):
        raise Refused("choices is not a list of different strings")
    return field


def type_injectors(injectors: t.Any, inputs: dict[str, t.Any]) -> None:
    """Check the injectors of a custom credential type against its inputs."""
    given = _object(injectors, {"env", "extra_vars", "file"}, "injectors")
    files = given.get("file", {})
    for name in files:
        if not _FILE.fullmatch(name):
            raise Refused(f"file: {name} does not match")
    if "template" in files and len(files) > 1:
        raise Refused("Must use multi-file syntax when injecting multiple files")
    names = {name.partition(".")[2]: "EXAMPLE_FILENAME" for name in files}
    filename = "EXAMPLE_FILENAME" if "template" in files else names
    namespace = {field["id"]: "EXAMPLE" for field in inputs["fields"]} | {"tower": {"filename": filename}}
    for name, template in given.get("env", {}).items():
        if not _VARIABLE.fullmatch(name) or not isinstance(template, str) or not template.isascii():
            raise Refused(f"env: {name} is not a variable with a text of ASCII characters")
        if name.startswith("ANSIBLE_") or name in _REFUSED_VARIABLES:
            raise Refused(f"Environment variable {name} is not allowed to be used in credentials.")
    for template in _templates(given):
        if not isinstance(template, str):
            raise Refused(f"{template!r} is not of type 'string'")
        try:
            sandbox.ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(template).render(namespace)
        except TemplateError as error:
            raise Refused(f"{template!r} cannot be rendered: {error}") from error


def _templates(node: t.Any) -> t.Iterator[t.Any]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("env", "file", "extra_vars"):
                yield key
            yield from _templates(value)
    elif isinstance(node, list):
        for one in node:
            yield from _templates(one)
    else:
        yield node


def credential_inputs(given: t.Any, stored: dict[str, str], inputs: dict[str, t.Any]) -> dict[str, t.Any]:
    """Check the inputs of a credential. Returns what AWX stores: *given* replaces *stored*."""
    fields = {field["id"]: field for field in inputs["fields"]}
    result = {}
    for name, value in _object(given, set(fields), "inputs").items():
        field = fields[name]
        if value == "$encrypted$" and field.get("secret"):
            if name not in stored:
                raise Refused(f"$encrypted$ is a reserved keyword, and cannot be used for {name}.")
            value = stored[name]
        if not value:
            value = False if field["type"] == "boolean" else (field.get("choices") or [""])[0]
        if not isinstance(value, {"string": str, "boolean": bool}[field["type"]]):
            raise Refused(f"{value!r} is not of type '{field['type']}'")
        if field.get("choices") and value not in field["choices"]:
            raise Refused(f"{value!r} is not one of {field['choices']}")
        if value and field.get("format") == "ssh_private_key" and not _PRIVATE_KEY.fullmatch(value):
            raise Refused("Invalid certificate or key")
        if value or not field.get("secret"):  # an empty secret is not stored
            result[name] = value
    return result


def survey(spec: t.Any) -> None:
    """Check a survey specification."""
    for key, kind in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(key), kind):
            raise Refused(f"Field '{key}' is missing from survey spec.")
    if not spec["spec"]:
        raise Refused("'spec' doesn't contain any items.")
    variables: set[str] = set()
    for number, question in enumerate(spec["spec"]):
        for key, kinds in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
            if not isinstance(question.get(key), kinds):
                raise Refused(f"'{key}' in survey question {number} expected to be {kinds.__name__}.")
        if question["variable"] in variables:
            raise Refused(f"'variable' '{question['variable']}' duplicated in survey question {number}.")
        variables.add(question["variable"])
        _question(number, question)


def _question(number: int, question: dict[str, t.Any]) -> None:
    kind = question["type"]
    if kind not in _QUESTION_TYPES:
        raise Refused(f"'{kind}' in survey question {number} is not one of the allowed question types.")
    default = question.get("default", "")
    if default != "" and not isinstance(default, _QUESTION_TYPES[kind]):
        raise Refused(f"Default value {default} in survey question {number} expected to be {kind}.")
    for limit in ("min", "max"):
        if not isinstance(question.get(limit), int | None):
            raise Refused(f"The {limit} limit in survey question {number} expected to be integer.")
    if kind in ("multiselect", "multiplechoice"):
        if "choices" not in question:
            raise Refused(f"Survey question {number} of type {kind} must specify choices.")
        chosen = default.splitlines()
        if kind == "multiplechoice" and len(chosen) > 1:
            raise Refused("Multiple Choice (Single Select) can only have one default value.")
        if any(one not in question["choices"] for one in chosen):
            raise Refused("Default choice must be answered from the choices listed.")
    if str(default).startswith("$encrypted$"):
        raise Refused("$encrypted$ is a reserved keyword.")


def rrule(text: str) -> None:
    """Check the rule of a schedule."""
    starts = re.findall(r"DTSTART(?:;[^:]+)?:[0-9]+T[0-9]+Z?", text)
    rules = re.findall(r"RULE:[^\s]*", text)
    if len(starts) != 1:
        raise Refused("Exactly one DTSTART is required in rrule.")
    if not (starts[0].endswith("Z") or "TZID=" in starts[0]):
        raise Refused("DTSTART cannot be a naive datetime.")
    if not rules:
        raise Refused("One or more rule required in rrule.")
    if re.search("EXDATE:|RDATE:", text, re.IGNORECASE):
        raise Refused("EXDATE and RDATE are not allowed in rrule.")
    for rule in rules:
        if "INTERVAL" not in rule:
            raise Refused(f"INTERVAL required in rrule: {rule}")
        if "SECONDLY" in rule or re.search(r"BYDAY[:=][0-9]+[a-zA-Z]{2}", rule):
            raise Refused(f"SECONDLY and BYDAY with numeric prefix are not supported: {rule}")
        count = re.search(r"COUNT=([0-9]+)", rule)
        if count and ("UNTIL" in rule or int(count[1]) > 999):
            raise Refused(f"COUNT > 999, or with UNTIL, is unsupported: {rule}")
    if "\n" in text:
        raise Refused("A line end is stored as a blank, so the rule would differ in each run.")


def image(reference: str) -> None:
    """Check the reference of a container image."""
    if "://" in reference or " " in reference or reference.partition(":")[0] != reference.partition(":")[0].lower():
        raise Refused("The container image name is not a valid reference.")
