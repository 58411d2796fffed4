"""What is deployed: the container's files, the Space and the notebook fit the repository. Nothing is built here."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def docker(repository: Path) -> Path:
    return repository / "tools/docker"


def test_the_dockerfile_copies_what_is_there(repository: Path, docker: Path) -> None:
    lines = (docker / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    let_in = {line[1:] for line in (docker / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied) == let_in
    assert all((repository / name).exists() for name in copied)
    # setup.py reads two files beside itself.
    assert {"requirements.txt", "README.md", "setup.py", "projects"} <= set(copied)


def test_the_dockerfile_has_its_stages_in_order(docker: Path) -> None:
    known: set[str] = set()
    for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", (docker / "Dockerfile").read_text(), re.MULTILINE):
        assert base in known or base.startswith("python:")
        known.add(name)
    assert {"cpu", "gpu"} <= known


def test_compose_has_a_profile_a_target(docker: Path) -> None:
    services = yaml.safe_load((docker / "compose.yaml").read_text())["services"]
    assert set(services) == {"cpu", "gpu"}
    for name, service in services.items():
        assert service["profiles"] == [name] and service["build"]["target"] == name
        assert (docker / service["build"]["context"]).resolve() == docker.parent.parent
        assert (docker.parent.parent / service["build"]["dockerfile"]).is_file()
        # Nobody reaches it from outside, and nobody without a key.
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["environment"]["WORD2MASK_API_KEY"].startswith("${WORD2MASK_API_KEY:?")
        assert service["volumes"][0]["read_only"] is True and service["read_only"] is True
    assert services["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


def test_the_space_has_the_same_pins(repository: Path) -> None:
    def pins(path: Path) -> set[str]:
        lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
        return {line for line in lines if line}

    space = pins(repository / "docs/space/requirements.txt")
    gradio = re.search(r"gradio==[\d.]+", (repository / "setup.py").read_text())
    assert gradio is not None
    assert space == pins(repository / "requirements.txt") | {gradio[0]}
    head = yaml.safe_load((repository / "docs/space/README.md").read_text().split("---\n")[1])
    assert head["sdk"] == "gradio" and f"gradio=={head['sdk_version']}" == gradio[0]
    assert (repository / "docs/space" / head["app_file"]).is_file()


def test_the_notebook_is_whole(repository: Path) -> None:
    notebook = json.loads((repository / "docs/notebooks/quickstart.ipynb").read_text())
    assert notebook["nbformat"] == 4 and notebook["nbformat_minor"] == 5
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown") and cell["source"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            ast.parse("".join(cell["source"]))
