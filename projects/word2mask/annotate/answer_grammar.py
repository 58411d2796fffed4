"""Holds a model of this process to a JSON schema while it writes: what can't follow has no chance (llguidance).

A model may go on within a text for ever; so every text of an answer gets a share of the tokens that there are, and is
closed when its share is used. Whatever the model, the answer is whole.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor

from word2mask.errors import UserError

__all__ = ["AnswerGrammar", "HeldAnswer"]

#: Tokens that it may take until a text can be closed: the rest of an escape or of a character.
UNTIL_CLOSABLE = 8


class AnswerGrammar:
    """What the tokens of a model spell, prepared for any schema.

    Args:
        tokenizer: of transformers, of the fast kind.
        ends: tokens with which the model ends an answer.

    Raises:
        ImportError: llguidance isn't installed (extra ``annotate``).
        ValueError: a tokenizer that it can't read, or one without an end.
    """

    def __init__(self, tokenizer: Any, ends: list[int]) -> None:
        import llguidance.hf

        if not ends:
            raise ValueError("no token ends an answer")
        self._matcher = llguidance.LLMatcher
        self._tokens = llguidance.hf.from_tokenizer(tokenizer, eos_token=ends)
        self._quote = self._tokens.tokenize_str('"')[-1]
        if self._tokens.decode_bytes([self._quote]) != b'"':
            raise ValueError("no token spells a quotation mark")

    def open(self, schema: dict[str, Any], max_tokens: int) -> HeldAnswer:
        """What holds one answer, a logits processor for ``generate``.

        Args:
            schema: of an object whose values are texts, truth values, or strings from a list.
            max_tokens: that the answer may have.

        Raises:
            UserError: no answer of this schema is sure to be so short.
            ValueError: another kind of schema.
        """
        shortest, texts = _shortest(schema)
        # In bytes, as no token is less than one; and the token that ends the answer.
        needed = len(shortest.encode()) + texts * UNTIL_CLOSABLE + 1
        if max_tokens < needed:
            raise UserError(
                f"max_tokens is {max_tokens}, and an answer of {', '.join(schema['properties'])} may take {needed}; "
                "give --max-tokens more"
            )
        # As models write JSON, and as the prompts show it.
        form: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        matcher = self._matcher(self._tokens, self._matcher.grammar_from_json_schema(schema, overrides=form))
        if matcher.is_error():
            raise ValueError(f"llguidance can't hold an answer to this schema: {matcher.get_error()}")
        return HeldAnswer(matcher, self._tokens, self._quote, max_tokens - needed, texts)


class HeldAnswer(LogitsProcessor):
    """One answer while it is written.

    Args:
        matcher: llguidance's, at the answer's beginning.
        tokens: llguidance's tokenizer.
        quote: the token that closes a text.
        spare: tokens that all texts together may have.
        texts: of the answer.
    """

    def __init__(self, matcher: Any, tokens: Any, quote: int, spare: int, texts: int) -> None:
        self._matcher, self._tokens, self._quote = matcher, tokens, quote
        self._spare, self._texts = spare, texts
        self._seen: int | None = None
        self._share = self._used = 0
        # What the last byte leaves behind: whether a string is open, whether it is a value, and an escape in it.
        self._is_open = self._is_value = self._is_escaped = self._after_colon = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores ``[1,V]`` of the next token, minus infinity for what can't follow; ``input_ids`` is ``[1,L]``."""
        if self._seen is None:
            self._seen = input_ids.shape[1]
        for token in input_ids[0, self._seen :].tolist():
            self._take(token)
        self._seen = input_ids.shape[1]
        allowed = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), np.uint8), bitorder="little")
        if self._is_open and self._is_value and self._used >= self._share and allowed[self._quote]:
            allowed[:] = 0
            allowed[self._quote] = 1
        # A model may have more rows than its tokenizer has tokens.
        mask = torch.zeros(scores.shape[-1], dtype=torch.bool)
        count = min(len(allowed), len(mask))
        mask[:count] = torch.from_numpy(allowed[:count]).bool()
        return scores.masked_fill(~mask.to(scores.device), -torch.inf)

    def _take(self, token: int) -> None:
        """Goes on by a token that was chosen."""
        if not self._matcher.consume_token(token):
            raise RuntimeError(f"llguidance refuses a token that it allowed: {self._matcher.get_error()}")
        if self._is_open and self._is_value:
            self._used += 1
            self._spare -= 1
        for byte in self._tokens.decode_bytes([token]):
            self._read(byte)

    def _read(self, byte: int) -> None:
        if not self._is_open:
            if byte == ord('"'):
                self._is_open, self._is_value, self._used = True, self._after_colon, 0
                if self._is_value:
                    self._share = max(0, self._spare) // max(1, self._texts)
                    self._texts -= 1
            elif byte != ord(" "):
                self._after_colon = byte == ord(":")
        elif self._is_escaped:
            self._is_escaped = False
        elif byte == ord("\\"):
            self._is_escaped = True
        elif byte == ord('"'):
            self._is_open = False
            self._after_colon = False


def _shortest(schema: dict[str, Any]) -> tuple[str, int]:
    """The shortest answer but for a longest choice from lists, and how many of its values are strings."""
    values: dict[str, Any] = {}
    for name, kind in schema["properties"].items():
        if "enum" in kind:
            values[name] = max(kind["enum"], key=len)
        elif kind.get("type") == "string":
            values[name] = "x" * kind.get("minLength", 0)
        elif kind.get("type") == "boolean":
            values[name] = False
        else:
            raise ValueError(f"an answer can't be held to {name}: {kind}")
    return json.dumps(values), sum(isinstance(value, str) for value in values.values())
