"""Bodies of requests, as the tests of the server send them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def png(width: int = 20, height: int = 16) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def asked(text: str, media: bytes | str | None = None, **options: Any) -> dict[str, Any]:
    """A chat request's body."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if media is not None:
        url = data_url(media) if isinstance(media, bytes) else media
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return {"messages": [{"role": "user", "content": content}], **options}
