# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit as its users run it, and its report as they see it, in Chromium."""

from __future__ import annotations

import base64
import json
import os
import random
import stat
import subprocess
import sys
import time
import typing as t
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.plugin_utils._report.files import FORMATS, ending
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import fleet
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.license import LEVELS
from ansible_collections.outofband.chr.tests.lab.cache import cache
from ansible_collections.outofband.chr.tests.lab.chromium import Browser

NOON = datetime(2026, 11, 23, 12)
SITES = ("fra", "ams", "waw", "nyc")
HOSTILE = [
    "<script>document.title='taken'</script>",
    "'\"><img src=http://192.0.2.1/x onerror=alert(1)>",
    "\u202e\u05d0\u05d1\u05d2",
    "chr-" + "very-" * 60 + "long",
]


def license_of(level, days, system_id="jZBX6bKzYKJ", **more):
    """What license_info returns at noon."""
    deadline = None if level == "free" else NOON + timedelta(days=days)
    return {
        "system_id": system_id,
        "level": level,
        "next_renewal_at": deadline and (deadline - timedelta(days=30)).isoformat(),
        "deadline_at": deadline and deadline.isoformat(),
        "router_time": NOON.isoformat(),
        "expired": bool(deadline) and days < 0,
        "renewal_due": bool(deadline) and days < 30,
        **more,
    }


def some_fleet(count, names=()):
    """Routers as they are found: most well, some free, some near their end, a few in trouble."""
    chance = random.Random(count)
    for number in range(count):
        name = names[number] if number < len(names) else f"chr-{SITES[number % 4]}-{number + 1:03d}"
        if number % max(count // 30, 9) == 8:
            reason = f"Cannot reach the guest agent of {name!r} at /run/{name}.sock within 5 s: Connection refused."
            yield {"name": name, "reason": reason, "unreachable": True}
            continue
        level = chance.choices(LEVELS, [3, 5, 2, 1])[0]
        system_id = base64.b64encode(chance.randbytes(8)).decode()[:11] if number not in (2, 3) else "e9XUfkRvzsI"
        days = min(max(chance.gauss(34, 16), -20.2), 59.9)
        wrong = {"clock_wrong": True, "clock_ahead": 7261.5} if number % 97 == 5 else {}
        yield {"name": name, "license": license_of(level, days, system_id, **wrong)}


def modelled(routers):
    return fleet.fleet(
        fleet.read(one["name"], one["license"])
        if "license" in one
        else fleet.not_read(one["name"], one["reason"], True)
        for one in routers
    )


HYPERVISORS = (
    fleet.RouterPlace("proxmox", "pve1.example.net:8006", "104", ("edge", "fra")),
    fleet.RouterPlace(
        "libvirt", "qemu+ssh://kvm1.example.net/system", "4b7e3c0a-8a53-4a0e-9d52-8f1f8a6e0001", ("ams",)
    ),
    fleet.RouterPlace("vmware", "vcenter.example.net:443", "vm-1042", ("customers_of_the_second_kind", "waw")),
)


def in_use(routers):
    """The fleet with all that a page can have: places, versions and changes since a week ago."""
    whole = modelled(routers)
    last = json.loads(FORMATS["json"](whole)) | {"as_of": "2026-11-16"}
    for number, row in enumerate(last["routers"]):
        row["name"] += "-old" if number % 50 == 3 else ""
        row["renewal_due"] = False
        row["deadline_at"] = "2026-11-17T12:00:00" if number % 9 == 1 else row["deadline_at"]
        row["system_id"] = "A" * 11 if number % 70 == 2 else row["system_id"]
    placed = (
        fleet.located(one, HYPERVISORS[number % len(HYPERVISORS)], f"7.{number % 30} (stable)")
        for number, one in enumerate(whole.routers)
    )
    return fleet.compared(fleet.fleet(placed), last)


# -- the playbook and the module -------------------------------------------------------------------


@pytest.fixture
def audit(tmp_path):
    """Run the playbook license_audit on an inventory."""

    def run(hosts, *arguments):
        inventory = tmp_path / "inventory.yml"
        routers = {"vars": {"ansible_connection": "outofband.chr.guest_agent", "chr_backend": "qemu"}, "hosts": hosts}
        inventory.write_text(yaml.safe_dump({"all": {"children": {"routers": routers}}}))
        program = Path(sys.executable).parent / "ansible-playbook"
        extra = json.dumps({"license_audit_dest": str(tmp_path / "audit"), "chr_connect_timeout": 2})
        command = [program, "-i", inventory, "outofband.chr.license_audit", "-e", extra, "--forks", "10", *arguments]
        environment = os.environ | {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def test_an_audit_reports_clones_garbage_and_routers_that_are_not_there_and_fails_nothing(lab, audit, tmp_path):
    routers = {name: lab(name) for name in ("paid", "clone", "free", "due", "garbage", "gone")}
    today = routers["paid"].router.clock.now().date()
    for name, days in (("paid", 45.0), ("due", 3.0)):
        license = routers[name].router.license
        license.level = "p10"
        deadline = routers[name].router.clock.now().replace(hour=12, microsecond=0) + timedelta(days=days)
        license.deadline_at, license.next_renewal_at = deadline, deadline - timedelta(days=30)
    routers["clone"].router.license.system_id = routers["free"].router.license.system_id
    routers["garbage"].router.license.system_id = "<b>garbage</b>"
    routers["gone"].stop()
    # The first host is the one that the report's play runs on.
    hosts = {"astray": {"chr_socket": "{{ nowhere }}"}}
    hosts |= {name: {"chr_socket": str(one.address)} for name, one in routers.items()}

    first = audit(hosts)
    assert first.returncode == 0, first.stdout + first.stderr
    summary = "Routers: 7. Due for renewal: 1. Expired: 0. Expire within 7 days: 1, within 30: 1."
    summary += " Without a license: 2. Duplicate system ids: 1. Not read: 3."
    assert summary in " ".join(first.stdout.split())
    report = json.loads((tmp_path / "audit" / "chr-licenses.json").read_text())
    found = {one["name"]: one for one in report["routers"]}
    assert list(found) == sorted(hosts)
    assert {name: one["band"] for name, one in found.items()} == {
        "paid": "within_60",
        "due": "within_7",
        "clone": "no_deadline",
        "free": "no_deadline",
        "garbage": "not_read",
        "gone": "not_read",
        "astray": "not_read",
    }
    assert report["duplicates"] == [
        {"system_id": routers["free"].router.license.system_id, "routers": ["clone", "free"]}
    ]
    reasons = {one["name"]: one for one in report["not_read"]}
    assert reasons["gone"]["unreachable"] and "refused" in reasons["gone"]["reason"]
    assert not reasons["garbage"]["unreachable"] and "not the license of a CHR" in reasons["garbage"]["reason"]
    assert "'nowhere' is undefined" in reasons["astray"]["reason"]
    assert {name: one["to_do"] for name, one in found.items() if one["to_do"]} == {
        "due": f"renew, or buy before {today + timedelta(days=3)}",
        "clone": "new id",
        "free": "new id",
    }
    columns = ("backend", "hypervisor", "vm", "groups", "routeros")
    assert [found["gone"][key] for key in columns] == ["qemu", None, "gone", ["routers"], None]
    assert [found["paid"][key] for key in columns[3:]] == [["routers"], "7.22 (stable)"]
    assert found["paid"]["vm"] == str(routers["paid"].address).removeprefix("unix:")
    assert "<b>garbage" not in (tmp_path / "audit" / "chr-licenses.html").read_text()
    assert len((tmp_path / "audit" / "chr-licenses.csv").read_text().splitlines()) == 8

    again = audit(hosts)
    assert again.returncode == 0
    if routers["paid"].router.clock.now().date() == today:
        assert "changed=0" in again.stdout.split("PLAY RECAP")[1]
        assert "changed=1" not in again.stdout.split("PLAY RECAP")[1]

    alarm = {
        "license_audit_name": "due",
        "license_audit_fail_within_days": "14",
        "license_audit_metrics_dest": str(tmp_path / "metrics"),
    }
    one = audit(hosts, "--limit", "due", "-e", json.dumps(alarm))
    said = " ".join(one.stdout.split())
    assert one.returncode == 2, said + one.stderr
    buy = f"renew, or buy before {today + timedelta(days=3)}"
    assert f"1 license expired, or will within 14 days: due (in 3 days, {buy}); see" in said
    assert "Routers: 1. Due for renewal: 1." in said, "the summary is shown all the same"
    assert 'chr_license_days_left{router="due"} 3\n' in (tmp_path / "metrics" / "due.prom").read_text()
    assert stat.S_IMODE((tmp_path / "metrics" / "due.prom").stat().st_mode) == 0o644
    limited = json.loads((tmp_path / "audit" / "due.json").read_text())
    assert [router["name"] for router in limited["routers"]] == ["due"]

    red = audit(hosts, "--limit", "gone,garbage,paid", "-e", json.dumps({"license_audit_fail_within_days": 14}))
    said = " ".join(red.stdout.split())
    assert red.returncode == 2, said + red.stderr
    assert (
        "2 of 3 routers were not read, so it is not known when their licenses end: garbage, gone (unreachable). The first"
        in said
    )
    assert "license expired" not in said and "licenses expired" not in said
    assert "Routers: 3. Due for renewal: 0." in said, "the summary is shown all the same"


def test_metrics_that_cannot_be_written_cost_neither_the_report_nor_its_summary(lab, audit, tmp_path):
    (tmp_path / "file").touch()
    given = {"license_audit_metrics_dest": str(tmp_path / "file" / "metrics")}
    run = audit({"chr1": {"chr_socket": lab("chr1").address}}, "-e", json.dumps(given))
    said = " ".join(run.stdout.split())
    assert run.returncode == 2, said + run.stderr
    assert "chr-licenses.prom' cannot be written" in said
    assert json.loads((tmp_path / "audit" / "chr-licenses.json").read_text())["total"] == 1
    assert "Routers: 1. Due for renewal: 0." in said


def test_files_are_written_once_with_their_mode_and_check_mode_writes_none(playbook, tmp_path):
    dest = tmp_path / "new" / "folder"
    routers = list(some_fleet(12, HOSTILE))
    task = {"dest": str(dest), "routers": routers, "mode": "0640", "formats": list(FORMATS)}
    tasks = [{"name": "report", "outofband.chr.license_report": task}]
    here = {"localhost": {"ansible_connection": "local"}}

    check = playbook(tasks, here, "--check", "--diff")
    assert check.of("report")["result"]["changed"], check.output
    assert "chr-fra-005,within_" in check.output or "chr-fra-005,no_deadline" in check.output
    assert not dest.exists()

    first = playbook(tasks, here).of("report")["result"]
    assert first["changed"]
    assert first["paths"] == {one: f"{dest}/chr-licenses.{ending(one)}" for one in FORMATS}
    data = json.loads((dest / "chr-licenses.json").read_text())
    assert {key: data[key] for key in first["summary"]} == first["summary"]
    assert [one["name"] for one in data["routers"]] == [one.name for one in modelled(routers).routers]
    assert sorted(one.name for one in dest.iterdir()) == sorted(f"chr-licenses.{ending(one)}" for one in FORMATS)
    assert {stat.S_IMODE(one.stat().st_mode) for one in dest.iterdir()} == {0o640}

    written = {one: one.stat().st_mtime_ns for one in dest.iterdir()}
    assert not playbook(tasks, here).changed()
    assert {one: one.stat().st_mtime_ns for one in dest.iterdir()} == written
    task["mode"] = "0600"
    assert playbook(tasks, here).changed()
    assert {stat.S_IMODE(one.stat().st_mode) for one in dest.iterdir()} == {0o600}


def test_a_router_that_is_missing_since_the_last_report_raises_the_alarm_for_the_reports_of_one_day(playbook, tmp_path):
    def reading(name, ago=0, days=55):
        time = {"router_time": (NOON - timedelta(days=ago)).isoformat()} if ago else {}
        return {"name": name, "license": license_of("p1", days, f"{name:A<11}", **time)}

    def report(name, routers, **more):
        given = {"dest": str(tmp_path), "formats": ["json"], "routers": routers, "fail_within_days": 7, **more}
        return {"name": name, "outofband.chr.license_report": given, "ignore_errors": True}

    tasks = [
        report("before", [reading("chr1", 8), reading("chr2", 8), reading("chr3", 8)]),
        report("missing", [reading("chr1", 7)]),
        report("again", [reading("chr1", 7)]),
        report("quiet", [reading("chr1", 7)], fail_within_days=None),
        report("page", [reading("chr1", 7)], formats=["html"]),
        report("next day", [reading("chr1", 6)]),
    ]
    run = playbook(tasks, {"localhost": {"ansible_connection": "local"}})
    status = {task["name"]: run.of(task["name"])["status"] for task in tasks}
    wanted = {"missing": "failed", "again": "failed"}
    assert status == {**dict.fromkeys(status, "ok"), **wanted}
    assert run.of("missing")["result"]["msg"] == (
        "2 routers of the report of 2026-11-15 are missing: chr2, chr3. If they were removed, the report of another day "
        f"has no such alarm; see {tmp_path}/chr-licenses.json."
    )
    some = playbook(tasks[:2], {"localhost": {"ansible_connection": "local"}}, "--limit=localhost")
    assert some.rc == 0, some.output


def test_the_report_tells_what_changed_and_the_alarm_comes_after_it(playbook, tmp_path):
    """The routers of the last report had another clone and one router less; then one whose file is
    broken, and one without an alarm."""
    week = {"router_time": (NOON - timedelta(days=7)).isoformat()}
    for name in ("changed", "broken", "quiet"):
        (tmp_path / name).mkdir()
    last = fleet.fleet(
        fleet.read(name, license_of("p1", days, system_id, **week) | {"renewal_due": False})
        for name, days, system_id in (("chr1", 6, "A" * 11), ("chr2", 33, "B" * 11))
    )
    (tmp_path / "changed" / "chr-licenses.json").write_text(FORMATS["json"](last))
    (tmp_path / "broken" / "chr-licenses.json").write_text('{"schema": "outofband')
    now = [
        {"name": "chr1", "license": license_of("p1", 5, "A" * 11)},
        {"name": "chr2", "license": license_of("p1", 55, "C" * 11)},
        *({"name": f"many{number}", "license": license_of("p10", 9.1, f"{number:011d}")} for number in range(30)),
    ]
    tasks = [
        {
            "name": name,
            "outofband.chr.license_report": {"dest": str(tmp_path / name), "formats": ["json"], "routers": now, **more},
            "ignore_errors": True,
        }
        for name, more in {
            "changed": {"fail_within_days": 14},
            "broken": {"fail_within_days": 7.5},
            "quiet": {"fail_within_days": 0},
            "unread": {"fail_within_days": 7, "routers": [*now[:2], {"name": "chr3"}]},
            "nobody": {"fail_within_days": 7, "routers": []},
        }.items()
    ]
    run = playbook(tasks, {"localhost": {"ansible_connection": "local"}})

    changed = run.of("changed")
    assert changed["status"] == "failed" and changed["result"]["changed"]
    assert changed["result"]["msg"].startswith(
        "31 licenses expired, or will within 14 days: chr1 (in 5 days, renew, or buy before 2026-11-28), many0 (in 9 days"
    )
    assert f" and 11 more; see {tmp_path}/changed/chr-licenses.json." in changed["result"]["msg"]
    written = json.loads((tmp_path / "changed" / "chr-licenses.json").read_text())
    assert written["changes"] == changed["result"]["summary"]["changes"]
    assert written["changes"]["since"] == "2026-11-16"
    assert written["changes"]["newly_due"] == ["chr1"]
    assert [one["name"] for one in written["changes"]["renewed"]] == ["chr2"]
    assert written["changes"]["id_changed"] == [{"name": "chr2", "from": "B" * 11, "to": "C" * 11}]
    assert len(written["changes"]["new"]) == 30

    broken = run.of("broken")
    assert broken["status"] == "failed" and "chr1" in broken["result"]["msg"] and "many0" not in broken["result"]["msg"]
    assert "cannot be read, so it is not told what changed" in broken["result"]["warnings"][0]
    unread = run.of("unread")
    assert unread["status"] == "failed"
    assert unread["result"]["msg"].startswith("1 license expired, or will within 7 days: chr1 (in 5 days, ")
    text = (
        ". 1 of 3 routers was not read, so it is not known when its license ends: chr3. The first reason is: "
        "Its license was not read in this run; see "
    )
    assert text in unread["result"]["msg"]
    assert run.of("nobody")["status"] == "failed"
    assert run.of("nobody")["result"]["msg"].startswith(
        "The report has no routers, so it is not known when any license"
    )
    assert run.of("quiet")["status"] == "ok"
    assert run.of("quiet")["result"]["summary"]["changes"] is None


CANNOT_BE: list[tuple[dict[str, t.Any], str]] = [
    ({"mode": "rw-r--r--"}, "is not a valid file mode"),
    ({"name": "../x"}, "is not a valid file name"),
    ({"formats": ["pdf"]}, "value of formats must be one or more of: html, json, csv, openmetrics"),
    ({"formats": []}, "formats is empty, so no file would be written: it must name at least one format."),
    ({"fail_within_days": "soon"}, "fail_within_days"),
    ({"fail_within_days": "nan"}, "fail_within_days is nan: it must be a number of days from 0."),
    ({"fail_within_days": -1}, "fail_within_days is -1: it must be a number of days from 0."),
    ({"dest": "/dev/null/x"}, "cannot be written"),
    ({"routers": [{"name": "a"}, {"name": "a"}]}, "has 'a' twice"),
    ({"routers": None, "hosts": ["nobody"]}, "'nobody' is not in the inventory"),
]


def test_what_cannot_be_is_said_in_one_sentence(playbook, tmp_path):
    tasks = []
    for change, message in CANNOT_BE:
        arguments = {"dest": str(tmp_path / "x"), "routers": [], "formats": ["json"]} | change
        given = {key: value for key, value in arguments.items() if value is not None}
        tasks.append({"name": message, "outofband.chr.license_report": given, "ignore_errors": True})
    run = playbook(tasks, {"localhost": {"ansible_connection": "local"}})
    for _change, message in CANNOT_BE:
        assert run.of(message)["status"] == "failed"
        assert message in run.of(message)["result"]["msg"]
    assert not (tmp_path / "x").exists()


def test_the_facts_of_the_play_are_taken_unless_a_result_is_asked_for(lab, playbook, tmp_path):
    chr1 = lab("chr1")
    report = {"dest": str(tmp_path), "formats": ["json"]}
    trial = {"license": license_of("p1", 5), "ends_soon": True}  # as outofband.chr.license returns it
    tasks = [
        {"name": "read", "outofband.chr.license_info": None},
        {"name": "facts", "outofband.chr.license_report": report},
        {"name": "result", "outofband.chr.license_report": report | {"registered": "nothing"}},
        {"name": "version", "outofband.chr.facts": {"gather_subset": ["default"]}},
        {"name": "trial", "outofband.chr.license_report": report | {"registered": "renewed"}},
    ]
    run = playbook(tasks, {"chr1": {"chr_socket": str(chr1.address), "chr_vm": "the VM", "renewed": trial}})
    assert run.rc == 0, run.output
    assert run.of("facts")["result"]["summary"]["levels"]["free"] == 1
    why = "Its license was not read in this run. It has no variable 'nothing' with a result."
    (unread,) = run.of("result")["result"]["summary"]["not_read"]
    assert unread == {"name": "chr1", "unreachable": False, "reason": why}
    (row,) = json.loads((tmp_path / "chr-licenses.json").read_text())["routers"]
    assert {key: row[key] for key in ("to_do", "backend", "vm", "routeros")} == {
        "to_do": "buy before 2026-11-28",
        "backend": "qemu",
        "vm": "the VM",
        "routeros": "7.22 (stable)",
    }


# -- the page --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of 10 routers, some with hostile names, and that of 1,000."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for count in (10, 1000):
        found[count] = folder / f"{count}.html"
        found[count].write_text(FORMATS["html"](in_use(some_fleet(count, HOSTILE if count == 10 else ()))))
    return found


BRIGHTNESS = """(() => {
  const parts = getComputedStyle(document.querySelector(%r))[%r].match(/[\\d.]+/g).slice(0, 3);
  return parts.reduce((sum, part) => sum + Number(part), 0) / 3;
})()"""
VISIBLE = "[...document.querySelectorAll('#routers tbody tr')].filter(row => row.checkVisibility())"


@pytest.mark.parametrize("count", [10, 1000])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_loads_nothing_and_says_nothing_on_the_console(browser, pages, count, width, scheme):
    browser.show(pages[count], width, scheme=scheme)
    assert browser.evaluate("document.title") == "CHR licenses"
    assert browser.requests == [pages[count].as_uri()]
    assert browser.complaints == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    body, text = (browser.evaluate(BRIGHTNESS % one) for one in (("body", "backgroundColor"), ("body", "color")))
    assert (body < 60 and text > 200) if scheme == "dark" else (body > 200 and text < 60)
    pictures = cache().parent / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    browser.screenshot(pictures / f"report-{count}-{width}-{scheme}.png")
    outside = """[...document.querySelectorAll('.plot rect, .plot circle, .plot text')].filter(one => {
        const [mine, whole] = [one, document.querySelector('.plot')].map(each => each.getBoundingClientRect());
        return mine.width && (mine.left < whole.left - 1 || mine.right > whole.right + 1);
    }).map(one => one.outerHTML)"""
    assert browser.evaluate(outside) == []


def test_on_paper_the_page_is_light_and_has_every_router(browser, pages):
    browser.show(pages[1000], scheme="dark")
    browser.order(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    try:
        assert browser.evaluate(BRIGHTNESS % ("body", "backgroundColor")) > 200
        assert browser.evaluate(BRIGHTNESS % ("body", "color")) < 60
        assert browser.evaluate(f"{VISIBLE}.length") == 1000
        assert not browser.evaluate("document.getElementById('tools').checkVisibility()")
        assert browser.evaluate("getComputedStyle(document.querySelector('#all ~ .scroll')).overflowX") == "visible"
    finally:
        browser.order("Emulation.setEmulatedMedia", media="")


def test_a_thousand_routers_are_drawn_within_two_seconds_and_small(browser, pages, tmp_path):
    del browser  # it shows that there is one; what pages cost is counted from the browser's start
    assert pages[1000].stat().st_size < 1_500_000
    with Browser(tmp_path) as fresh:
        fresh.show(pages[1000])
        assert 0 < fresh.busy() < 2
        assert fresh.evaluate(f"{VISIBLE}.length") == 1000


def test_the_table_is_sorted_from_the_keyboard(browser, pages):
    browser.show(pages[1000])
    column = "[...document.querySelectorAll('#routers tbody tr')].map(row => row.cells[%d].textContent)"
    whole = modelled(some_fleet(1000))
    focused = "document.activeElement.closest('th')?.textContent"
    for _unused in range(20):
        browser.press("Tab")
        if browser.evaluate(focused) == "Days":
            break
    assert browser.evaluate(focused) == "Days"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    days = [one.days_left for one in whole.routers if one.days_left is not None]
    empty = [""] * (1000 - len(days))
    for key, direction, order in (("Enter", "ascending", False), (" ", "descending", True)):
        browser.press(key)
        assert browser.evaluate("document.activeElement.closest('th').ariaSort") == direction
        assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
        assert browser.evaluate(column % 2) == [*map(str, sorted(days, reverse=order)), *empty]
        assert browser.evaluate("document.getElementById('said').textContent") == f"Sorted by Days, {direction}."
    browser.evaluate("document.querySelector('#routers th button').focus()")
    browser.press("Enter")
    assert browser.evaluate(column % 0) == [one.name for one in whole.routers]
    assert browser.complaints == []


def test_the_table_is_filtered_by_words_and_by_state(browser, pages):
    browser.show(pages[1000])
    whole = modelled(some_fleet(1000))
    browser.evaluate("document.getElementById('words').focus()")
    browser.type("duplicate E9X")
    assert browser.evaluate(f"{VISIBLE}.length") == 2
    assert browser.evaluate("document.getElementById('said').textContent") == "2 of 1,000 routers shown."
    browser.evaluate(
        "words.value = ''; state.value = 'within_7'; state.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert browser.evaluate(f"{VISIBLE}.length") == whole.bands["within_7"] > 0


def test_hostile_names_are_only_text(browser, pages):
    browser.show(pages[10])
    shown = browser.evaluate("[...document.querySelectorAll('#routers tbody th')].map(one => one.textContent)")
    assert set(shown) == {one.name for one in modelled(some_fleet(10, HOSTILE)).routers}
    assert browser.evaluate("document.querySelectorAll('img, script:not(body > script)').length") == 0


def test_the_page_reads_without_its_script(browser, pages):
    browser.order("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.order("Emulation.setEmulatedMedia", features=[])
        browser.order("Page.navigate", url=pages[10].as_uri())
        time.sleep(0.5)
        root = browser.order("DOM.getDocument", depth=-1)["root"]["nodeId"]
        for selector, there in (("#routers tbody tr", 10), ("svg circle", 1), ("th button", 0), ("#tools[hidden]", 1)):
            found = browser.order("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]
            assert len(found) == there if there != 1 else found, selector
    finally:
        browser.order("Emulation.setScriptExecutionDisabled", value=False)
