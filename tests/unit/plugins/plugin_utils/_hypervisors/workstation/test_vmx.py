# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file .vmx as VMware and people write it."""

from __future__ import annotations

from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors.workstation.vmx import Vmx

TEXT = '.encoding = "UTF-8"\r\nMemSize = "256"\nannotation = "a |22b|22|0Ac"\nethernet0.present = "TRUE"\nethernet01 = "x"\n'


def test_names_have_no_case_and_values_are_decoded():
    values = Vmx(TEXT).values
    assert (values["memsize"], values["annotation"], values[".encoding"]) == ("256", 'a "b"\nc', "UTF-8")


def test_a_value_is_replaced_whatever_its_case_and_read_back():
    vmx = Vmx(TEXT)
    vmx.update({"memsize": 512, "annotation": 'x|"\n#', "floppy0.present": False})
    assert vmx.text.count("emsize") + vmx.text.count("emSize") == 1
    assert (vmx.values["memsize"], vmx.values["annotation"]) == ("512", 'x|"\n#')
    assert 'annotation = "x|7C|22|0A|23"\n' in vmx.text
    assert vmx.values["floppy0.present"] == "FALSE"


def test_all_names_below_a_name_are_removed_and_no_others():
    vmx = Vmx(TEXT)
    vmx.drop("ethernet0.")
    assert vmx.values.keys() == {".encoding", "memsize", "annotation", "ethernet01"}
