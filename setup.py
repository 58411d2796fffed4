"""Packages the source root ``projects/``; requirements.txt holds what it needs."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent


def requirements() -> list[str]:
    """The pins of requirements.txt, without comments."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line]


def version() -> str:
    """``__version__`` as the package states it, read without importing it."""
    source = (ROOT / "projects/word2mask/__init__.py").read_text()
    return next(line.split('"')[1] for line in source.splitlines() if line.startswith("__version__"))


#: What the HTTP server needs; versions that go with Gradio's.
SERVER = ["fastapi==0.165.0", "uvicorn==0.54.0", "prometheus-client==0.26.0", "python-multipart==0.0.34"]

setup(
    name="word2mask",
    version=version(),
    description="Language that points at pixels: vision-language models whose words become masks",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    package_dir={"": "projects"},
    packages=find_namespace_packages("projects", include=["word2mask*", "llava_sam2*", "lisa*"]),
    package_data={"word2mask.annotate": ["prompts/*.md"]},
    install_requires=requirements(),
    entry_points={
        "console_scripts": ["word2mask = word2mask.apps.cli.program:main"],
        "lmms_eval.models": ["word2mask = word2mask.apps.chat_benchmarks:manifest"],
    },
    extras_require={
        # The strategies zero… are tried with this version only: they use parts of DeepSpeed that aren't documented.
        "train": ["deepspeed==0.19.6"],
        "apps": ["gradio==6.31.0", *SERVER],
        # Answer.to_supervision. FiftyOne and Label Studio's SDK bring pins that don't go with ours.
        "formats": ["supervision==0.31.2"],
        # Annotation of videos (docs/annotate.md): the client, the answers' schemas, what holds a local model to them,
        # and the engine for clusters.
        "annotate": [
            "aiohttp==3.14.5",
            "jsonschema==4.26.0",
            "llguidance==1.9.1",
            "orjson==3.13.0",
            "ray[data]==2.60.0",
        ],
        # Language models in GGUF files (tools/fetch_pretrained.py smollm2-135m).
        "gguf": ["gguf==0.19.0"],
        # For log.tensorboard and log.wandb.
        "log": ["tensorboard==2.21.0", "wandb==0.25.1"],
        # METEOR and CIDEr; it brings their Java programs (104 MB) and wants a Java runtime on the PATH.
        "captions": ["pycocoevalcap==1.2"],
        # Benchmarks of chat. It brings torchvision and OpenCV's other wheel: only beside a CUDA build of torch.
        "chat-benchmarks": ["lmms-eval==0.7.3"],
        # Only beside a CUDA build of torch; flash-attn wants CUDA_HOME and pip's --no-build-isolation.
        "gpu": ["torchvision==0.28.0", "flash-attn==2.8.3.post2", "deepspeed==0.19.6", "bitsandbytes==0.50.2"],
        "dev": [
            "pytest==9.2.0",
            "pytest-xdist==3.8.0",
            "pytest-timeout==2.4.0",
            "ruff==0.17.6",
            "mypy==2.4.1",
            "pre-commit==4.7.0",
            # For the tests of the strategies zero…; on a CPU it compiles a part of itself, with g++.
            "deepspeed==0.19.6",
            # For the tests of the server, which are its clients.
            *SERVER,
            "httpx==0.28.1",
            "openai==3.57.0",
            "schemathesis==4.32.5",
            # For the tests that drive the web page and look for barriers; the browser is the system's own Chromium.
            "gradio==6.31.0",
            "playwright==1.65.2",
            "axe-playwright-python==0.1.8",
            # For the test that runs the notebook.
            "nbclient==0.11.0",
            "ipykernel==7.4.0",
            # For the tests of answers in other formats.
            "supervision==0.31.2",
            # For the tests of annotation.
            "aiohttp==3.14.5",
            "jsonschema==4.26.0",
            "llguidance==1.9.1",
            "orjson==3.13.0",
            # For the tests of what is logged.
            "tensorboard==2.21.0",
            "wandb==0.25.1",
        ],
        # Only for the parity test against Meta's own code; set SAM2_BUILD_CUDA=0 and --no-build-isolation.
        "meta-sam2": ["sam2==1.1.0", "hydra-core==1.3.8", "iopath==0.1.10", "torchvision==0.28.0"],
    },
)
