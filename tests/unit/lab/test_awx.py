# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's AWX refuses what the real one refused, and takes what that took."""

from __future__ import annotations

import pytest

from ansible_collections.outofband.chr.tests.lab.awx import rules
from ansible_collections.outofband.chr.tests.lab.awx.injection import inject
from ansible_collections.outofband.chr.tests.lab.awx.rules import Refused

HOST = {"id": "host", "label": "Host"}
TLS = {"id": "tls", "label": "TLS", "type": "boolean", "default": True}


def make(fields, **injectors):
    inputs = rules.type_inputs({"fields": fields, "required": []})
    rules.type_injectors(injectors, inputs)
    return {"id": 1, "inputs": inputs, "injectors": injectors}


def test_a_type_is_taken_and_has_the_kind_of_each_field():
    kind = make([HOST, TLS], env={"ROUTEROS_HOST": "{{ host }}", "ansible_foo": "x"})
    assert [field["type"] for field in kind["inputs"]["fields"]] == ["string", "boolean"]
    assert make([HOST], file={"template.a": "{{ host }}"}, env={"A": "{{ tower.filename.a }}"})


@pytest.mark.parametrize(
    "field",
    [
        {"id": "tower"},
        {"id": "a-b"},
        {"type": "integer"},
        {"type": "boolean", "secret": True},
        {"default": 8728},
        {"pattern": "x"},
        {"required": True},
        {"choices": []},
        {"format": "ipv4"},
        {"ask_at_runtime": True},
    ],
    ids=str,
)
def test_a_field_that_is_refused(field):
    with pytest.raises(Refused):
        make([HOST | field])
    with pytest.raises(Refused, match="unique"):
        make([HOST, HOST])


@pytest.mark.parametrize(
    "injectors",
    [
        {"env": {"ANSIBLE_X": "x"}},
        {"env": {"PATH": "x"}},
        {"env": {"CACHE": "x"}},
        {"env": {"1A": "x"}},
        {"env": {"A": 5}},
        {"env": {"A": "ü"}},
        {"env": {"A": "{{ nope }}"}},
        {"env": {"A": "{{ host | b64encode }}"}},
        {"env": {"A": "{{ host"}},
        {"env": {"A": "{{ tower.filename.b }}"}},
        {"file": {"template": "x", "template.a": "y"}},
        {"file": {"other": "x"}},
        {"extra_vars": {"a": True}},
        {"more": {}},
    ],
    ids=str,
)
def test_an_injector_that_is_refused(injectors):
    with pytest.raises(Refused):
        make([HOST], **injectors)


def test_inputs_of_a_credential():
    fields = [HOST, TLS, {"id": "pw", "label": "P", "secret": True}, {"id": "c", "label": "C", "choices": ["a", "b"]}]
    kind = make(fields)["inputs"]
    assert rules.credential_inputs({"host": "", "c": "", "pw": "", "tls": None}, {}, kind) == {
        **{"host": "", "c": "a", "tls": False},
    }
    assert rules.credential_inputs({"pw": "$encrypted$"}, {"pw": "old", "host": "h"}, kind) == {"pw": "old"}
    for wrong in ({"tls": "yes"}, {"host": 5}, {"nope": "x"}, {"pw": "$encrypted$"}, {"c": "z"}):
        with pytest.raises(Refused):
            rules.credential_inputs(wrong, {}, kind)


def test_what_was_left_out_is_injected_as_an_empty_text_and_false(tmp_path):
    key = {"id": "key", "label": "K", "secret": True, "format": "ssh_private_key"}
    kind = make(
        [HOST, TLS, key],
        env={"H": "{{ host }}", "T": "{{ tls }}", "F": "{{ tower.filename.k }}"},
        file={"template.k": "{{ key }}"},
    )
    assert {**inject({}, kind, tmp_path), "F": ""} == {"H": "", "T": "False", "F": ""}
    given = inject({"host": "h", "tls": True, "key": "text"}, kind, tmp_path)
    assert (given["H"], given["T"]) == ("h", "True")
    assert (tmp_path / "1-k").read_text() == "text\n"


QUESTION = {"type": "text", "question_name": "Q", "variable": "v", "required": True}


@pytest.mark.parametrize(
    "change",
    [
        {"required": "yes"},
        {"type": "boolean"},
        {"type": "integer", "default": "5"},
        {"default": None},
        {"min": "1"},
        {"type": "multiselect"},
        {"type": "multiselect", "choices": ["a", "b"], "default": ["a"]},
        {"type": "multiplechoice", "choices": ["a", "b"], "default": "a\nb"},
        {"type": "multiplechoice", "choices": ["a"], "default": "z"},
        {"type": "password", "default": "$encrypted$"},
    ],
    ids=str,
)
def test_a_question_that_is_refused(change):
    rules.survey({"name": "", "description": "", "spec": [QUESTION]})
    for spec in ([QUESTION | change], [QUESTION, QUESTION], []):
        with pytest.raises(Refused):
            rules.survey({"name": "", "description": "", "spec": spec})
    with pytest.raises(Refused, match="description"):
        rules.survey({"name": "", "spec": [QUESTION]})


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20270101T000000 RRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20270101T000000Z RRULE:FREQ=DAILY",
        "DTSTART:20270101T000000Z RRULE:FREQ=SECONDLY;INTERVAL=1",
        "DTSTART:20270101T000000Z RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1MO",
        "DTSTART:20270101T000000Z RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000",
        "DTSTART:20270101T000000Z RRULE:FREQ=DAILY;INTERVAL=1 EXDATE:20270102T000000Z",
        "DTSTART:20270101T000000Z\nRRULE:FREQ=DAILY;INTERVAL=1",
        "DTSTART:20270101T000000Z",
    ],
)
def test_a_rule_that_is_refused(rule):
    rules.rrule("DTSTART;TZID=Europe/Riga:20270101T000000 RRULE:FREQ=DAILY;INTERVAL=1")
    with pytest.raises(Refused):
        rules.rrule(rule)


@pytest.mark.parametrize("image", ["https://x.net/a:1", "x.net/A:1", "x.net/a b"])
def test_an_image_that_is_refused(image):
    rules.image("registry.example.net/chr-ee:1.0.0")
    with pytest.raises(Refused):
        rules.image(image)
