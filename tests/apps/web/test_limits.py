"""Uploads: what is taken, what is refused, and that no message says where it lay."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.web.limits import Limits, checked_media, checked_text, said_without_paths, shown_name
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.render import save_video
from word2mask.types import Media


def picture(path: Path, size: tuple[int, int] = (20, 10)) -> Path:
    Image.new("RGB", size, (200, 0, 0)).save(path)
    return path


def video(path: Path, frames: int, size: tuple[int, int] = (32, 48)) -> Path:
    save_video([np.full((*size, 3), 20 * place, dtype=np.uint8) for place in range(frames)], path)
    return path


def huge_png(path: Path, side: int) -> Path:
    """A small file that says that it is a very large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )
    return path


def test_a_picture_and_a_video(tmp_path: Path) -> None:
    still = checked_media(picture(tmp_path / "a.png"), "a.png", Limits())
    assert isinstance(still, Media) and still.frames.shape == (1, 10, 20, 3) and still.name == "a.png"
    moving = checked_media(video(tmp_path / "b.mp4", 5), "b.mp4", Limits())
    assert isinstance(moving, VideoFile) and len(moving) == 5


def refused(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(UserError) as caught:
        checked_media(path, path.name, limits or Limits())
    assert str(path.parent) not in str(caught.value), "the message shows a path of the server"
    assert path.name in str(caught.value)
    return str(caught.value)


def test_what_is_refused(tmp_path: Path) -> None:
    assert "200 pixels" in refused(picture(tmp_path / "a.png", (30, 200)), Limits(megapixels=0.001))
    assert "more than 5 frames, which is what this page takes" in refused(
        video(tmp_path / "b.mp4", 7), Limits(frames=5)
    )
    assert "a video, and this page looks at pictures only" in refused(video(tmp_path / "b.mp4", 2), Limits(frames=1))
    assert "48 × 32 pixels" in refused(video(tmp_path / "c.mp4", 2), Limits(frame_megapixels=0.001))
    big = tmp_path / "d.png"
    big.write_bytes(b"\0" * 1_100_000)
    assert "larger than 1 MB" in refused(big, Limits(megabytes=1))
    page = tmp_path / "e.html"
    page.write_text("<script>")
    assert "not a picture or a video" in refused(page)
    (tmp_path / "f.png").write_bytes(page.read_bytes())
    assert "not a picture that can be read" in refused(tmp_path / "f.png")
    (tmp_path / "g.mp4").write_bytes(video(tmp_path / "h.mp4", 4).read_bytes()[:300])
    assert "a damaged video, or none" in refused(tmp_path / "g.mp4")


def test_a_name_that_lies_about_what_is_in_it(tmp_path: Path) -> None:
    """Nothing is opened that would have its reader open something else."""
    films = video(tmp_path / "film.mp4", 2)
    stills = picture(tmp_path / "still.png")
    cases = {
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + str(films).encode() + b"\n#EXT-X-ENDLIST\n",
        "list.mkv": b"ffconcat version 1.0\nfile film.mp4\n",
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "vectors.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "film.png": films.read_bytes(),
        "still.mp4": stills.read_bytes(),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        kind = "picture" if name.endswith(("png", "jpg")) else "video"
        assert f"not a {kind} that can be read, by its first bytes" in refused(tmp_path / name), name


def test_a_small_file_that_would_unpack_to_a_huge_picture(tmp_path: Path) -> None:
    path = huge_png(tmp_path / "bomb.png", 30_000)
    assert path.stat().st_size < 500
    assert "megapixels" in refused(path)


def test_questions() -> None:
    assert checked_text("  Wo ist das Herz? ", Limits()) == "Wo ist das Herz?"
    with pytest.raises(UserError, match="empty"):
        checked_text(" \n", Limits())
    with pytest.raises(UserError, match="11 characters, this page takes 10"):
        checked_text("a" * 11, Limits(characters=10))


def test_names_and_messages_without_paths() -> None:
    assert shown_name("C:\\Users\\me\\cat.png") == "cat.png"
    assert shown_name("") == "upload"
    assert len(shown_name("a" * 300 + ".png")) == 60 and shown_name("a" * 300 + ".png").endswith("aaaa.png")
    message = said_without_paths("/srv/tmp/gradio/ab/cat.png: cut short; see https://x.org/a/b", {})
    assert message == "cat.png: cut short; see https://x.org/a/b"
    assert said_without_paths("3/4 of 1/2 frames", {}) == "3/4 of 1/2 frames"
