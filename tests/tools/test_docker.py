"""What is deployed: the container's files, the Space and the notebook fit the repository. Nothing is built here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from word2mask.apps.server.__main__ import parse_arguments


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


def instructions(docker: Path) -> list[str]:
    """The Dockerfile's instructions, each on one line, without comments."""
    lines = [line for line in (docker / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    return [line for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines() if line]


def test_each_image_starts_a_server_that_its_own_check_finds(repository: Path, docker: Path) -> None:
    lines = instructions(docker)
    commands = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    checks = [json.loads(line.partition("CMD ")[2]) for line in lines if line.startswith("HEALTHCHECK ")]
    devices = [re.search(r"WORD2MASK_DEVICE=(\w+)", line)[1] for line in lines if "ENV WORD2MASK_DEVICE" in line]  # type: ignore[index]
    assert len(commands) == len(checks) == 2 and devices == ["cpu", "cuda"]
    for command, check, device in zip(commands, checks, devices, strict=True):
        assert command[:2] == ["sh", "-c"]
        words = command[2].replace("${WORD2MASK_DEVICE}", device).split()
        assert words[:3] == ["exec", "python", "tools/serve.py"] and (repository / words[2]).is_file()
        options = parse_arguments(words[3:])
        assert options.model == "/model" and options.host == "0.0.0.0" and options.device == device
        assert f"EXPOSE {options.port}" in lines and check[:2] == ["python", "-c"]
        ast.parse(check[2])
        asked = re.findall(r"urlopen\('([^']+)'", check[2])
        assert asked == [f"http://127.0.0.1:{options.port}/healthz"]
    # Nobody is root, and whoever asks knows that from the image alone.
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"] * 2


def test_the_pins_that_the_dockerfile_looks_for_are_there(repository: Path, docker: Path) -> None:
    """It takes torch's own line for the CPU build, and builds with the setuptools that is pinned."""
    (step,) = [line for line in instructions(docker) if "--index-url" in line]
    script = re.search(r"\$\((sed -n '[^']+' requirements.txt)\)", step)
    assert script is not None
    found = subprocess.run(["bash", "-c", script[1]], cwd=repository, capture_output=True, text=True, check=True)
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", (repository / "requirements.txt").read_text(), re.MULTILINE))
    assert found.stdout == f"torch=={pinned['torch']}\n"
    (wanted,) = tomllib.loads((repository / "pyproject.toml").read_text())["build-system"]["requires"]
    assert Requirement(wanted).name == "setuptools" and Requirement(wanted).specifier.contains(pinned["setuptools"])


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
