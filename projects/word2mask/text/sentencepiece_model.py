"""A SentencePiece model (``tokenizer.model``) of the byte-pair kind as a tokenizer of the library tokenizers.

The file is a Protocol Buffers message (sentencepiece_model.proto of github.com/google/sentencepiece); the few fields
that matter are read here, so that neither sentencepiece nor protobuf is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import BPE

from word2mask.errors import UserError

__all__ = ["SentencePieceModel", "byte_pair_tokenizer", "read_sentencepiece"]

# ModelProto.SentencePiece.Type
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
# TrainerSpec.ModelType
_BPE = 2

_SPACE = "▁"


@dataclass(frozen=True)
class SentencePieceModel:
    """What a ``tokenizer.model`` says.

    Attributes:
        pieces: text, score and type of each token, in the order of their ids.
        add_dummy_prefix: whether a space is put before every text.
    """

    pieces: tuple[tuple[str, float, int], ...]
    add_dummy_prefix: bool


def read_sentencepiece(file: str | Path) -> SentencePieceModel:
    """Reads a ``tokenizer.model``.

    Raises:
        UserError: no such file, or a model of another kind than byte-pair merges over unchanged text.
    """
    file = Path(file)
    pieces: list[tuple[str, float, int]] = []
    try:
        _, parts = _fields(file.read_bytes())
        for message in parts.get(1, []):
            numbers, texts = _fields(message)
            (score,) = struct.unpack("<f", texts.get(2, [bytes(4)])[-1])
            pieces.append((texts[1][-1].decode("utf-8"), score, numbers.get(3, _NORMAL)))
        trainer, _ = _fields(b"".join(parts.get(2, [])))
        normalizer, texts = _fields(b"".join(parts.get(3, [])))
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        raise UserError(f"{file}: can't be read as a SentencePiece model ({error}); get the file again") from None
    for name, got, wanted in (
        ("model_type", trainer.get(3, 1), _BPE),
        ("size of precompiled_charsmap", len(texts.get(2, [b""])[-1]), 0),
        ("remove_extra_whitespaces", normalizer.get(4, 1), 0),
        ("escape_whitespaces", normalizer.get(5, 1), 1),
    ):
        if got != wanted:
            raise UserError(f"{file}: {name} is {got}, and only {wanted} is supported")
    model = SentencePieceModel(tuple(pieces), bool(normalizer.get(3, 1)))
    if model.add_dummy_prefix and any(kind == _USER_DEFINED for *_, kind in pieces):
        raise UserError(f"{file}: user-defined symbols together with add_dummy_prefix are not supported")
    return model


def byte_pair_tokenizer(model: SentencePieceModel, renamed: Mapping[int, str] | None = None) -> Tokenizer:
    """The same tokenizer, run by the library tokenizers.

    Args:
        model: as read.
        renamed: ids whose piece is called something else.
    """
    names = [piece for piece, _, _ in model.pieces]
    for index, name in (renamed or {}).items():
        if index < len(names):
            names[index] = name
    vocabulary = {name: index for index, name in enumerate(names)}
    scores = {
        piece: score
        for index, (piece, score, kind) in enumerate(model.pieces)
        if kind in (_NORMAL, _USER_DEFINED, _UNUSED) and names[index] == piece
    }
    merges = sorted(
        (
            (-score, vocabulary[piece[:cut]], vocabulary[piece[cut:]], piece[:cut], piece[cut:])
            for piece, score in scores.items()
            for cut in range(1, len(piece))
            if piece[:cut] in scores and piece[cut:] in scores
        ),
    )
    unknown = next((names[i] for i, (_, _, kind) in enumerate(model.pieces) if kind == _UNKNOWN), None)
    bytes_known = any(kind == _BYTE for _, _, kind in model.pieces)
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=[(left, right) for *_, left, right in merges],
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=bytes_known,
        )
    )
    prefix = [normalizers.Prepend(_SPACE)] if model.add_dummy_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*prefix, normalizers.Replace(" ", _SPACE)])
    back = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.add_dummy_prefix:
        back.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(back)
    whole = [names[i] for i, (piece, _, kind) in enumerate(model.pieces) if kind == _USER_DEFINED and names[i] == piece]
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in whole])
    return tokenizer


def _fields(message: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """Fields of a message by their numbers: integers (the last counts), and bytes, also those of fixed width."""
    integers: dict[int, int] = {}
    chunks: dict[int, list[bytes]] = {}
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            integers[field], place = _varint(message, place)
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + size > len(message):
            raise ValueError("it ends too early")
        chunks.setdefault(field, []).append(message[place : place + size])
        place += size
    return integers, chunks


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where the next value begins."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
