# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

from ansible_collections.outofband.chr.plugins.modules import license_report
from ansible_collections.outofband.chr.plugins.plugin_utils._report import assets
from ansible_collections.outofband.chr.plugins.plugin_utils._report.files import FORMATS, ending
from ansible_collections.outofband.chr.plugins.plugin_utils._report.plot import MOST_ROWS, plot
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS

NOON = datetime(2026, 11, 23, 12)
HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</title></svg></script><b>",
    "=cmd|'/c calc'!A1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\uff1d1",
    "\u202egnp.exe",
    "\u05d0\u05d1\u05d2",
    "a\x00b\x1b[31m",
    "&lt;&amp;",
    "x" * 5000,
    "\ud800",
    "a,b\r\nc",
]


def router(name, days=20, level="p1", system_id="jZBX6bKzYKJ"):
    deadline = NOON + timedelta(days=days)
    found = {"system_id": system_id, "level": level, "router_time": NOON.isoformat(), "expired": days < 0}
    return fleet.read(name, found | ({} if level == "free" else {"deadline_at": deadline.isoformat()}))


def many(count, days=lambda number: number % 90 - 20):
    return fleet.fleet(
        router(f"chr{number}", days(number), LEVELS[number % 4], f"{number:011d}") for number in range(count)
    )


class Page(HTMLParser):
    """What a browser would make of it: elements, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.texts, self.open = [], [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_no_name_or_reason_becomes_markup(named):
    def parsed(pairs):
        routers = [one for name, reason in pairs for one in (router(name), fleet.not_read(name, reason))]
        page = Page(FORMATS["html"](fleet.fleet(routers)))
        elements = sorted(one for one in page.elements if one != "tspan")  # a long name has one more
        return elements, sorted({(tag, name) for tag, name, _value in page.attributes}), page

    tags, attributes, page = parsed(named)
    plain_tags, plain_attributes, _page = parsed([("plain", "plain")] * len(named))
    assert tags == plain_tags
    assert attributes == plain_attributes
    assert page.texts["script"] == assets.SCRIPT


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_csv_has_no_formula_and_json_is_what_the_fleet_is(named):
    whole = fleet.fleet(one for name, reason in named for one in (router(name), fleet.not_read(name, reason)))
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](whole))))
    assert len(rows) == len(whole.routers) + 1
    for cell in (cell for row in rows for cell in row if not re.fullmatch(r"-\d+", cell)):
        for begin in re.split(r"[;\t|\r\n]", cell):  # where a spreadsheet may begin a cell
            assert begin.lstrip()[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    assert json.loads(FORMATS["json"](whole)) == fleet.as_data(whole)


def test_a_formula_behind_a_semicolon_is_defused():
    whole = fleet.fleet([router('x;=HYPERLINK("http://evil")')])
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](whole)))
    assert row["name"] == """x;'=HYPERLINK("http://evil")"""


def test_a_negative_number_stays_one_in_csv_and_a_negative_name_does_not():
    whole = fleet.fleet([router("-1", days=-3, system_id="+ZBX6bKzYKJ")])
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](whole)))
    assert (row["name"], row["days_left"], row["system_id"]) == ("'-1", "-3", "'+ZBX6bKzYKJ")
    assert (row["cost_p1"], row["cost_p10"], row["expired"]) == ("", "95", "yes")


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else():
    page = Page(FORMATS["html"](many(3)))
    (policy,) = [value for tag, name, value in page.attributes if (tag, name) == ("meta", "content") and "src" in value]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for rule, text in (("style-src", page.texts["style"]), ("script-src", page.texts["script"])):
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert not [one for one in page.attributes if one[1].startswith("on") or one[1] == "style"]
    assert [value for _tag, name, value in page.attributes if name in ("src", "href", "action")] == ["data:,"]


# -- metrics ---------------------------------------------------------------------------------------


def samples(text):
    """All samples, as the parser of OpenMetrics and that of the textfile collector's format read
    them."""
    read = []
    for parse in (openmetrics, prometheus):
        families = list(parse.text_string_to_metric_families(text))
        assert {family.type for family in families} <= {"gauge"}
        assert all(family.documentation for family in families)
        read.append([sample for family in families for sample in family.samples])
    assert [(one.name, one.labels, one.value) for one in read[0]] == [
        (one.name, one.labels, one.value) for one in read[1]
    ]
    assert all(one.timestamp is None for one in read[0])
    return read[0]


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_metrics_are_read_by_both_parsers_whatever_the_names(named):
    whole = fleet.fleet(one for name, reason in named for one in (router(name), fleet.not_read(name, reason)))
    found = samples(FORMATS["openmetrics"](whole))
    assert len({(one.name, *sorted(one.labels.items())) for one in found}) == len(found)
    assert [one.value for one in found if one.name == "chr_licenses_routers"] == [len(whole.routers)]
    assert len([one for one in found if one.name == "chr_license_read"]) == len(whole.routers)


def test_metrics_have_the_numbers_of_the_report():
    whole = fleet.fleet(
        [router("soon", 5), router("late", -3), fleet.not_read("off", "no answer", True), router("free", level="free")]
    )
    found = samples(FORMATS["openmetrics"](whole))
    values = {(one.name, one.labels.get("router") or one.labels.get("task")): one.value for one in found}
    assert values["chr_license_days_left", "soon"] == 5
    assert values["chr_license_days_left", "late"] == -3
    assert ("chr_license_days_left", "free") not in values
    assert [values["chr_license_read", name] for name in ("soon", "off")] == [1, 0]
    assert [values["chr_license_expired", name] for name in ("soon", "late")] == [0, 1]
    assert values["chr_licenses_to_do", "prepaid_key"] == values["chr_licenses_expired", None] == 1
    assert values["chr_licenses_as_of_timestamp_seconds", None] == datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    (about,) = [one.labels for one in found if (one.name, one.labels.get("router")) == ("chr_license_router", "late")]
    assert about == {"router": "late", "level": "p1", "system_id": "jZBX6bKzYKJ", "to_do": "prepaid_key"}


def test_a_node_exporter_finds_the_file():
    assert {one: ending(one) for one in FORMATS} == {
        **{one: one for one in ("html", "json", "csv")},
        "openmetrics": "prom",
    }


def test_new_columns_are_at_the_end():
    header = next(csv.reader(io.StringIO(FORMATS["csv"](many(1)))))
    assert header[-7:] == ["cost_p1", "cost_p10", "cost_p-unlimited", "hypervisor", "groups", "routeros", "to_do"]


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [assets.LIGHT, assets.DARK], ids=["light", "dark"])
def test_text_and_marks_have_the_contrast_of_wcag_aa(palette):
    for ground in ("page", "surface"):
        for ink in ("text", "muted"):
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
    for mark in (*fleet.BANDS, "focus"):
        assert contrast(palette[mark], palette["surface"]) >= 3, mark


@pytest.mark.parametrize("count", [1, 10, MOST_ROWS, MOST_ROWS + 1, 1000])
@pytest.mark.parametrize("far", [0, 59, 2_900_000, -700_000])
def test_the_plot_keeps_every_mark_inside_whatever_the_dates(count, far):
    drawn = plot(many(count * 2, lambda number: far if number % 7 == 1 else number % 61))
    inside = [float(value) for value in re.findall(r'\b(?:x|cx|x1|x2)="([-\d.]+)%', drawn)]
    assert inside
    assert all(0 <= value <= 100 for value in inside)
    bars = re.findall(r'class="bar \w+" x="([\d.]+)%" y="([\d.]+)" width="([\d.]+)%"', drawn)
    assert all(float(x) + float(width) <= 100.02 and float(y) > 0 for x, y, width in bars)


def test_few_routers_are_named_in_the_plot_and_many_are_counted_by_day():
    few = plot(many(MOST_ROWS))
    assert few.count("<circle") == sum(one.days_left is not None for one in many(MOST_ROWS).routers)
    assert ">chr3<" in few
    crowd = plot(many(1000))
    assert "<circle" not in crowd
    told = [int(count.replace(",", "")) for count in re.findall(r"<g><title>[^<]*: ([\d,]+) \(", crowd)]
    assert sum(told) == sum(one.days_left is not None for one in many(1000).routers)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("routers", [[], [fleet.not_read("chr1", "off", True)], [router("chr1", level="free")]])
def test_a_fleet_without_deadlines_has_a_report_too(form, routers):
    assert FORMATS[form](fleet.fleet(routers)).strip()


def test_the_page_documents_every_key_of_the_data():
    data = fleet.as_data(many(3))
    documented = yaml.safe_load(license_report.RETURN)["summary"]
    assert documented["contains"].keys() == fleet.summary(many(3)).keys()
    assert (data["schema"], data["version"]) == ("outofband.chr.license_report", 1)
    assert list(data)[0] == "schema"
    text = " ".join(documented["description"])
    for key in data["routers"][0]:
        assert f"C({key})" in text
    for key in ("bands", "levels"):
        assert documented["contains"][key]["sample"].keys() == data[key].keys()


@given(st.integers(0, 40))
def test_the_same_fleet_gives_the_same_bytes(count):
    for form in FORMATS.values():
        assert form(many(count)) == form(many(count))
