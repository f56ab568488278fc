# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the README and the guides.

Every hypervisor has a guide, links lead somewhere, quoted messages exist, and lines are short.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.outofband.chr.plugins.connection import guest_agent, network_cli
from ansible_collections.outofband.chr.plugins.plugin_utils._actions.errors import topic
from ansible_collections.outofband.chr.plugins.plugin_utils._core import errors
from ansible_collections.outofband.chr.plugins.plugin_utils._hypervisors import BACKENDS

ROOT = Path(__file__).parents[2]
DOCSITE = ROOT / "docs" / "docsite"
GUIDES = sorted((DOCSITE / "rst").glob("*.rst"))
PAGES = sorted(
    [
        *(page for page in ROOT.glob("*.md") if page.name != "CHANGELOG.md"),
        *ROOT.glob("roles/*/README.md"),
        *ROOT.glob("tests/lab/README.md"),
    ]
)
FRAGMENTS = "ansible_collections.outofband.chr.plugins.doc_fragments"
LABEL = "ansible_collections.outofband.chr.docsite."

HYPERVISORS = sorted(
    folder.name
    for folder in (ROOT / "plugins" / "plugin_utils" / "_hypervisors").iterdir()
    if folder.is_dir() and folder.name not in ("qga", "__pycache__")  # a protocol of several hypervisors
)
VM_MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*_vm.py")) + ["rescue_disk"]


def guide(name: str) -> str:
    return (DOCSITE / "rst" / f"{name}_guide.rst").read_text()


def words(text: str) -> str:
    """The text with single blanks."""
    return " ".join(text.split())


def without_code(text: str) -> str:
    """Markdown without fenced blocks; reStructuredText without code blocks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^( *)\.\. code-block::.*\n(?:\1  .*\n|\n)*", "", text, flags=re.MULTILINE)


def path_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


@pytest.mark.parametrize("page", [*PAGES, *GUIDES], ids=path_id)
def test_lines_of_prose_have_at_most_100_columns(page):
    for line in without_code(page.read_text()).splitlines():
        # A row of a Markdown table cannot be broken, nor can an address.
        assert len(line) <= 100 or line.startswith("|") or "://" in line, line


@pytest.mark.parametrize("hypervisor", HYPERVISORS)
def test_every_hypervisor_has_a_guide(hypervisor):
    assert f"docs/docsite/rst/{hypervisor}_guide.rst" in (ROOT / "README.md").read_text()
    for heading in ("What you need", "Connect", "How scripts are handed over", "Limits", "What can go wrong"):
        assert f"\n{heading}\n{'-' * len(heading)}\n" in guide(hypervisor), heading


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_has_a_guide(backend):
    assert f"chr_backend: {backend}\n" in guide(BACKENDS[backend].package)


@pytest.mark.parametrize("module", VM_MODULES)
def test_every_vm_module_is_in_a_guide_of_a_hypervisor(module):
    assert any(f"outofband.chr.{module}#module" in guide(hypervisor) for hypervisor in HYPERVISORS)


@pytest.mark.parametrize("page", PAGES, ids=path_id)
def test_relative_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", without_code(page.read_text())):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", GUIDES, ids=path_id)
def test_labels(page):
    labels = {label for one in GUIDES for label in re.findall(r"^\.\. _(.+):$", one.read_text(), re.MULTILINE)}
    text = page.read_text()
    assert f".. _{LABEL}{page.stem}:\n\n" in text
    for target in re.findall(r":ref:`(?:[^`<]*<)?([^`>]+)>?`", text):
        assert target in labels, target


def test_the_website_lists_every_guide():
    sections = yaml.safe_load((DOCSITE / "extra-docs.yml").read_text())["sections"]
    assert sorted(name for section in sections for name in section["toctree"]) == [page.stem for page in GUIDES]


@pytest.mark.parametrize("page", GUIDES, ids=path_id)
def test_inventories_use_variables_that_exist(page):
    sources = [*ROOT.glob("plugins/connection/*.py"), *ROOT.glob("plugins/doc_fragments/*.py")]
    options = "".join(path.read_text() for path in sources)
    known = set(re.findall(r"- name: (chr_\w+)", options)) | {"chr_image_sha256"}
    known |= set(re.findall(r'"(chr_\w+)"', (ROOT / "plugins/plugin_utils/_inventory/hosts.py").read_text()))
    blocks = re.findall(r"\.\. code-block:: yaml\n\n((?:  .*\n|\n)+)", page.read_text())
    for block in blocks:
        assert yaml.safe_load(block)
        assert set(re.findall(r"\bchr_\w+", block)) <= known


def code_strings() -> str:
    """Every text in the code, with blanks joined; a placeholder becomes a NUL."""
    tasks = ("roles/**/*.yml", "playbooks/*.yml", "extensions/awx/**/*.yml")
    found = [path.read_text() for pattern in tasks for path in ROOT.glob(pattern)]
    for path in [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("extensions/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return words("\n".join(found))


def test_each_class_of_errors_has_a_section_in_the_troubleshooting_guide():
    page = guide("troubleshooting")
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.ChrError):
            heading = topic(kind)
            label = f".. _{LABEL}troubleshooting_guide.{heading.lower().replace(' ', '_')}:"
            assert f"{label}\n\n{heading}\n{'-' * len(heading)}\n" in page, heading


def test_quoted_messages_are_in_the_code():
    code = code_strings()
    quoted = []
    for page in GUIDES:
        for table in re.findall(r"^  \* - What you see\n(.*?)(?:\n\n|\Z)", page.read_text(), re.MULTILINE | re.DOTALL):
            for cell in re.findall(r"^  \* - (.*?)\n    - ", table, re.MULTILINE | re.DOTALL):
                quoted += [(page.stem, text) for text in re.findall(r"``(.+?)``", words(cell))]
    assert len(quoted) > 100
    assert [where for where in quoted if where[1] not in code] == []


def test_the_page_of_environment_variables_lists_each_one_with_what_it_stands_for():
    connection = yaml.safe_load(guest_agent.DOCUMENTATION)
    fragments = [name.split(".")[2] for name in connection["extends_documentation_fragment"]]
    pages = [yaml.safe_load(network_cli.DOCUMENTATION)]
    for name in fragments:
        fragment = importlib.import_module(f"{FRAGMENTS}.{name}").ModuleDocFragment
        pages += [yaml.safe_load(getattr(fragment, part, "options: {}")) for part in ("DOCUMENTATION", "CONNECTION")]
    known = {
        (variable["name"], f"chr_{option}")
        for page in pages
        for option, described in page["options"].items()
        for variable in described.get("env", [])
        if not variable["name"].startswith("ANSIBLE_")  # those of every persistent connection
    }
    known |= {
        (variable, f"chr_{option}")
        for backend in BACKENDS.values()
        for option, variables in backend.options.ENVIRONMENT.items()
        for variable in variables
    }
    for defaults in ROOT.glob("roles/*/defaults/main.yml"):
        lookup = r"^(\w+): .*lookup\('ansible\.builtin\.env', '(\w+)'\)"
        known |= {(variable, name) for name, variable in re.findall(lookup, defaults.read_text(), re.MULTILINE)}
    section = guide("connection").partition("Environment variables\n---")[2]
    table = section.partition("  * - Environment variable\n")[2].partition("\n\n")[0]
    listed = re.findall(r"  \* - ``(\w+)``\n    - ``(\w+)``\n", table)
    assert sorted(listed) == sorted(known)
