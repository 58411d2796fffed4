"""A SentencePiece model (``tokenizer.model``) of the byte-pair kind as a tokenizer of the library tokenizers.

The file is a Protocol Buffers message (sentencepiece_model.proto of github.com/google/sentencepiece); the few fields
that matter are read here, so that neither sentencepiece nor protobuf is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
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
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    try:
        for field, value in _fields(file.read_bytes()):
            if field == 1:
                piece = dict(_fields(value))
                (score,) = struct.unpack("<f", piece.get(2, b"\0\0\0\0"))
                pieces.append((piece[1].decode("utf-8"), score, piece.get(3, _NORMAL)))
            elif field in (2, 3):
                (trainer if field == 2 else normalizer).update(_fields(value))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise UserError(f"{file}: can't be read as a SentencePiece model ({error}); get the file again") from None
    wrong = {
        "model_type": (trainer.get(3, 1), _BPE),
        "precompiled_charsmap": (normalizer.get(2, b""), b""),
        "remove_extra_whitespaces": (bool(normalizer.get(4, 1)), False),
        "escape_whitespaces": (bool(normalizer.get(5, 1)), True),
    }
    for name, (got, wanted) in wrong.items():
        if got != wanted:
            got = f"{len(got)} bytes" if isinstance(got, bytes) else got
            raise UserError(f"{file}: {name} is {got}, and only {wanted or 'none'} is supported")
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
    steps = [normalizers.Replace(" ", _SPACE)]
    if model.add_dummy_prefix:
        steps.insert(0, normalizers.Prepend(_SPACE))
    tokenizer.normalizer = normalizers.Sequence(steps)
    back = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.add_dummy_prefix:
        back.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(back)
    whole = [names[i] for i, (piece, _, kind) in enumerate(model.pieces) if kind == _USER_DEFINED and names[i] == piece]
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in whole])
    return tokenizer


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an integer, or bytes (also of fixed width)."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(message, place)
        elif kind in (1, 2, 5):
            if kind == 2:
                size, place = _varint(message, place)
            else:
                size = 8 if kind == 1 else 4
            value = message[place : place + size]
            if len(value) != size:
                raise ValueError("it ends too early")
            place += size
        else:
            raise ValueError(f"a field of kind {kind}")
        yield tag >> 3, value


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
