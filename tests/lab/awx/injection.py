# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How AWX makes environment variables and files of credentials."""

from __future__ import annotations

import types
import typing as t
from pathlib import Path

from jinja2 import sandbox


def inject(inputs: dict[str, t.Any], credential_type: dict[str, t.Any], folder: Path) -> dict[str, str]:
    """Return the environment variables of a credential, and write its files below *folder*.

    An input that is empty or was left out is an empty text, and a boolean one is ``False``.
    """
    namespace: dict[str, t.Any] = {name: value for name, value in inputs.items() if value or value is False}
    for field in credential_type["inputs"]["fields"]:
        if field["type"] == "boolean":
            namespace.setdefault(field["id"], False)
        if field.get("format") == "ssh_private_key" and field["id"] in namespace:
            namespace[field["id"]] = namespace[field["id"]].rstrip("\n") + "\n"
    environment = sandbox.ImmutableSandboxedEnvironment()
    files = {}
    for name, template in credential_type["injectors"].get("file", {}).items():
        label = name.partition(".")[2]
        path = folder / f"{credential_type['id']}-{label or 'file'}"
        path.touch(mode=0o600)
        path.write_text(environment.from_string(template).render(namespace))
        files[label] = str(path)
    namespace["tower"] = types.SimpleNamespace(filename=files.get("") or types.SimpleNamespace(**files))
    return {
        name: environment.from_string(template).render(namespace)
        for name, template in credential_type["injectors"].get("env", {}).items()
    }
