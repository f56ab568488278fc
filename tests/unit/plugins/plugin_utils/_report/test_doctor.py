# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of the doctor as JSON and as a page."""

from __future__ import annotations

import json

from ansible_collections.outofband.chr.plugins.plugin_utils._report.doctor import as_json, page
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros import doctor
from ansible_collections.outofband.chr.plugins.plugin_utils._routeros.doctor import TITLES, Check, Patient

WELL = Patient("chr1", "qemu", "here", "/run/1.sock", "7.22", tuple(Check(one, "good", "ok") for one in TITLES))
ILL = doctor.unexamined("<b>chr2</b>", "<script>alert(1)</script>")


def test_json_has_a_summary_and_all_checks_of_all_routers():
    content = json.loads(as_json([WELL, ILL]))
    assert content["summary"]["wrong_routers"] == ["<b>chr2</b>"]
    assert [one["name"] for one in content["routers"]] == ["chr1", "<b>chr2</b>"]
    assert all(set(one["checks"]) == set(TITLES) for one in content["routers"])


def test_the_page_loads_nothing_and_escapes_the_words_of_others():
    text = page([WELL, ILL])
    assert "<script>alert" not in text
    assert "<b>chr2" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "default-src 'none'" in text
    assert text.index("&lt;b&gt;chr2") < text.rindex("chr1")
    for title in TITLES.values():
        assert f'<th scope="col">{title}</th>' in text
