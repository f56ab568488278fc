# SPDX-FileCopyrightText: 2026 The outofband.chr authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The definition of an execution environment: ansible-builder takes it, and what it names of Python
can be installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DEFINITION = ROOT / "extensions" / "awx" / "execution-environment.yml"


def create(folder: Path) -> Path:
    """The context that ansible-builder makes of the definition."""
    builder = str(Path(sys.executable).parent / "ansible-builder")
    command = [builder, "create", "-f", str(DEFINITION), "-c", str(folder / "context")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "context"


def test_ansible_builder_makes_a_context_of_the_definition(tmp_path):
    context = create(tmp_path)
    collections = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    project = yaml.safe_load((DEFINITION.parent / "project" / "collections" / "requirements.yml").read_text())
    assert collections == project["collections"]
    (recipe,) = [path for path in context.iterdir() if path.is_file()]  # its name depends on podman or docker
    assert "ansible-core>=2.19" in recipe.read_text()


@pytest.mark.slow
def test_the_requirements_of_python_go_into_an_empty_environment(tmp_path):
    definition = yaml.safe_load(DEFINITION.read_text())["dependencies"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = [definition["ansible_core"]["package_pip"], definition["ansible_runner"]["package_pip"]]
    install = [python, "-m", "pip", "install", "--quiet", *packages, "-r", ROOT / "requirements.txt"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imports = "import ansible, ansible_runner, proxmoxer, pyVmomi, XenAPI"
    assert subprocess.run([python, "-c", imports], check=False).returncode == 0
