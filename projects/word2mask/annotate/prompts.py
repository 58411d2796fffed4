"""The prompts: text files that users can edit; the first digits of their hash are the version that records carry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from word2mask.errors import UserError

__all__ = ["BUILT_IN", "PLACEHOLDERS", "Prompt", "load_prompts"]

#: The prompts that come with the library.
BUILT_IN = Path(__file__).parent / "prompts"

#: Every prompt, and what stands in it as ``$name``.
PLACEHOLDERS: dict[str, frozenset[str]] = {
    "caption_masked": frozenset(),
    "caption_crop": frozenset(),
    "compare": frozenset({"caption_masked", "caption_crop"}),
    "scene": frozenset({"description"}),
    "video": frozenset({"description", "count"}),
    "repair": frozenset({"error"}),
}


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        name: of its file, without ``.md``.
        text: with ``$placeholders``.
    """

    name: str
    text: str

    @property
    def version(self) -> str:
        """The first 12 hexadecimal digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def fill(self, **values: str) -> str:
        """The text with its placeholders replaced."""
        return Template(self.text).substitute(values)


def load_prompts(folder: str | Path | None = None) -> dict[str, Prompt]:
    """All prompts by name.

    Args:
        folder: of a user's own files; those that it lacks are the library's.

    Raises:
        UserError: no such folder, a file in it that isn't a prompt's, or a placeholder that is missing or unknown.
    """
    given: dict[str, Path] = {}
    if folder is not None:
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such folder of prompts; leave it out to use the library's own")
        given = {path.stem: path for path in sorted(Path(folder).glob("*.md"))}
        unknown = sorted(set(given) - set(PLACEHOLDERS))
        if unknown:
            raise UserError(f"{given[unknown[0]]}: no prompt of this name; there are {', '.join(PLACEHOLDERS)}")
    return {name: _load(name, given.get(name, BUILT_IN / f"{name}.md")) for name in PLACEHOLDERS}


def _load(name: str, file: Path) -> Prompt:
    text = file.read_text(encoding="utf-8").strip()
    template = Template(text)
    expected = " ".join(f"${place}" for place in sorted(PLACEHOLDERS[name])) or "none"
    if not template.is_valid() or set(template.get_identifiers()) != PLACEHOLDERS[name]:
        found = " ".join(f"${place}" for place in sorted(set(template.get_identifiers()))) or "none"
        raise UserError(f"{file}: placeholders {found}, expected {expected}; write a dollar sign itself as $$")
    return Prompt(name, text)
