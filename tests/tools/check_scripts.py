# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check RouterOS scripts against what is known of real routers.

    check_scripts.py FOLDER [--from DIALECT ...]

FOLDER holds the scripts that arrived at routers of the lab (``tests/lab/recorder.py``).
``routeros-lsp check --strict`` reads each of them with its own list of menus, commands and
arguments, and with that of every RouterOS version for which the collection claims support. These
lists are third-party data, which is not part of this project (``tests/lab/reference.py``).

Scripts that tests send themselves are among them and are checked in the same way, so nothing that
the collection sends can be left out by mistake. Those that are wrong on purpose are named in
WRONG_ON_PURPOSE.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ansible_collections.outofband.chr.tests.lab import reference

VERSIONS = ("7.9.2", "7.10.2", "7.12.2", "7.14.3", "7.16.2", "7.18.2", "7.20.8", "7.22.1", "7.24")
"""The RouterOS versions that scripts are checked against: all that the reference data has."""

OWN = "routeros-lsp's own"
"""The list of menus and commands that comes with the checker."""

MAY_BE_MISSING = {
    "/system routerboard": "facts asks for the model of the hardware, and goes on without it: a CHR has none",
    "/routing bgp peer": "facts asks for it where there is no /routing bgp connection: it is RouterOS 6's name for that",
    "/routing bgp instance": "facts shows BGP instances, which RouterOS 7 has from 7.20 on",
    "/routing bgp vpnv4-route": "facts shows what community.routeros.facts shows under that name; RouterOS 6 has it",
    "/interface ethernet poe": "mktxp, a judge of the bridge, asks for it: a CHR has none",
    "/interface wifi": "mktxp asks for it: RouterOS has it from 7.13 on",
    ":serialize": "an open question asks whether the router has it",
    ":onerror": "an open question is asked with it, and has no answer where it is missing",
    ":convert": "a file of a VM on Proxmox VE is printed as base64, or as it is on RouterOS before 7.12",
}
"""Menus and commands that scripts ask for because a router may not have them, and why.

Such a script fails as a whole, and its sender goes on without an answer.
"""

WRONG_ON_PURPOSE = {
    "/nonsense": "a script that is not RouterOS's ends with -1",
    "/no such menu": "what RouterOS cannot read is told from what is false, and from a menu that is missing",
    "/ip adress": "a menu that a client of the API misspells is a trap",
    "/ip nothing": "the same",
    "/ip address fly": "a command that no menu has is a trap",
    "adress=": "an argument that a client misspells is a trap",
    '[/ip address add interface="ether1"]': "a value that a client leaves out is a trap",
}
"""Parts of lines that tests send in order to see them fail, and why."""

_UNKNOWN = re.compile(r"'(\S+)' is not a (?:menu or command|global command) in (.+?) of the RouterOS ")
_GLOBAL, _TOP = "the global commands", "the top level"


@dataclass(frozen=True)
class Finding:
    """What is wrong with one script. ``known_by`` names the list of commands: a version, or OWN."""

    script: str
    line: int
    text: str
    """The line itself."""
    message: str
    rule: str
    known_by: str


def trees() -> dict[str, Path] | None:
    """The command tree of each of VERSIONS; None when one is not at hand."""
    found = {version: reference.find(f"routeros/{version}.json.gz") for version in VERSIONS}
    return {version: path for version, path in found.items() if path} if all(found.values()) else None


def findings(scripts: t.Mapping[str, bytes], known: t.Mapping[str, Path] | None = None) -> list[Finding]:
    """What is wrong with the *scripts* (name to text).

    They are checked by the checker's own list and by the trees *known* (version to path). The names
    become names of files. Raises RuntimeError when the checker cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="chr-scripts-") as name:
        folder = Path(name)
        sources = folder / "scripts"
        sources.mkdir()
        for script, source in scripts.items():
            # RouterOS reads bytes, the checker UTF-8.
            (sources / f"{script}.rsc").write_bytes(source if _is_utf8(source) else source.decode("latin-1").encode())
        schemas = {OWN: "bundled"}
        for version, path in (known or {}).items():
            schemas[version] = str(folder / f"{version}.json")
            tree = json.loads(gzip.decompress(path.read_bytes()))
            Path(schemas[version]).write_text(json.dumps(database(version, tree)))
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda one: _run(sources, *one), schemas.items())
            return [finding for some in found for finding in some]


def _is_utf8(source: bytes) -> bool:
    try:
        source.decode()
    except UnicodeDecodeError:
        return False
    return True


def _run(folder: Path, known_by: str, schema: str) -> list[Finding]:
    program = Path(sysconfig.get_path("scripts")) / "routeros-lsp"
    options = ["--strict", "--scope", "script", "--format", "json", "--schema", schema]
    try:
        done = subprocess.run([program, "check", *options, folder], capture_output=True, check=False, text=True)
    except OSError as error:
        raise RuntimeError(f"routeros-lsp cannot be run: {error}") from error
    if done.returncode not in (0, 1) or "cannot read the command database" in done.stderr:
        raise RuntimeError(f"routeros-lsp: {done.stderr.strip()}")
    return [_finding(one, known_by) for one in json.loads(done.stdout) if one["severity"] in ("error", "warning")]


def _finding(found: dict[str, t.Any], known_by: str) -> Finding:
    path = Path(found["path"])
    text = path.read_text("utf-8").split("\n")[found["line"] - 1].strip()
    return Finding(path.stem, found["line"], text, found["message"], found["rule"], known_by)


def excepted(finding: Finding) -> bool:
    """Whether it is about what MAY_BE_MISSING or WRONG_ON_PURPOSE names."""
    return missing(finding) in MAY_BE_MISSING or any(part in finding.text for part in WRONG_ON_PURPOSE)


def missing(finding: Finding) -> str | None:
    """The menu (``/ip address``) or command (``/ip address add``, ``:put``) that is not known.

    None when the finding is about something else.
    """
    found = _UNKNOWN.match(finding.message) if finding.rule == "schema/unknown-command" else None
    if found is None:
        return None
    return {_GLOBAL: ":", _TOP: "/"}.get(found[2], f"{found[2]} ") + found[1]


# -- the lists of commands -------------------------------------------------------------------------

_ANY = 99


def database(version: str, tree: dict[str, t.Any]) -> dict[str, t.Any]:
    """A command tree of ``/console/inspect`` in the form that the checker reads.

    A tree does not tell which arguments are flags, which are required, and how many may come
    without a name. That is taken from the checker's own list if the command is in it.
    """
    return {"format": 1, "version": version, "root": _menu(tree, _own_list()["root"])}


def _own_list() -> dict[str, t.Any]:
    folder = resources.files("routeros_lsp").joinpath("data")
    (file,) = [entry for entry in folder.iterdir() if entry.name.endswith(".json.gz")]
    own: dict[str, t.Any] = json.loads(gzip.decompress(file.read_bytes()))
    return own


def _menu(tree: dict[str, t.Any], own: dict[str, t.Any]) -> dict[str, t.Any]:
    children = own.get("c", {})
    return {
        "c": {
            name: (_command if node["_type"] == "cmd" else _menu)(node, children.get(name, {}))
            for name, node in tree.items()
            if name != "_type"
        }
    }


def _command(tree: dict[str, t.Any], own: dict[str, t.Any]) -> dict[str, t.Any]:
    arguments = own.get("a", {})
    return {
        "k": 1,
        "a": {
            name: {key: value for key, value in arguments.get(name, {}).items() if key == "f"}
            for name in tree
            if name != "_type"
        },
        "r": [name for name in own.get("r", []) if name in tree],
        "u": own.get("u", 0) if own else _ANY,
    }


# -- the program -----------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the RouterOS scripts that arrived at routers of the lab.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="dialects", action="append", default=[], metavar="DIALECT")
    arguments = parser.parse_args()
    scripts = {path.stem: path.read_bytes() for path in sorted(arguments.folder.glob("*.rsc"))}
    counts: dict[str, int] = {}
    for name in scripts:
        dialect = name.rpartition("-")[0]
        counts[dialect] = counts.get(dialect, 0) + 1
    known = trees()
    found = [finding for finding in findings(scripts, known) if not excepted(finding)] if scripts else []
    for finding in found:
        print(f"{finding.script}:{finding.line}: {finding.message} [{finding.rule}; {finding.known_by}]")
        print(f"    {finding.text[:300]}")
    for dialect in arguments.dialects:
        if dialect not in counts:
            print(f"SKIPPED [1] RouterOS scripts by {dialect} are not checked: none arrived")
    if known is None:
        print("SKIPPED [1] RouterOS scripts are not checked against command trees: they are not next to the checkout")
    told = ", ".join(f"{dialect} {count}" for dialect, count in sorted(counts.items())) or "none"
    print(f"{len(scripts)} RouterOS scripts ({told}): {len({finding.script for finding in found})} with findings")
    return 1 if found or (arguments.dialects and not scripts) else 0


if __name__ == "__main__":
    sys.exit(main())
