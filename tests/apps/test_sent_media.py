"""Files of strangers: told by their first bytes, measured before anything is decoded."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from word2mask.apps.sent_media import Extent, is_picture, video_extent
from word2mask.data.av_reader import AVReader
from word2mask.data.first_bytes import suffix_of, suffix_of_file
from word2mask.errors import UserError

H, W = 32, 48


def frames(count: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((H, W, 3), 20 * place, dtype=np.uint8)) for place in range(count)]


def encoded(path: Path, count: int, codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, width=W, height=H)
        stream.pix_fmt = "yuv420p"
        for frame in frames(count):
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_pictures_as_others_write_them(kind: str) -> None:
    file = io.BytesIO()
    frames(1)[0].save(file, kind)
    suffix = suffix_of(file.getvalue())
    assert suffix == {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")
    assert is_picture(suffix) == (kind != "GIF")


@pytest.mark.parametrize(
    ("name", "codec", "suffix"),
    [
        ("a.mp4", "mpeg4", ".mp4"),
        ("a.mov", "mpeg4", ".mp4"),
        ("a.mkv", "mpeg4", ".webm"),
        ("a.webm", "libvpx-vp9", ".webm"),
        ("a.avi", "mpeg4", ".avi"),
    ],
)
def test_videos_as_others_write_them(tmp_path: Path, name: str, codec: str, suffix: str) -> None:
    path = encoded(tmp_path / name, 7, codec)
    assert suffix_of_file(path) == suffix
    assert video_extent(path, 100) == Extent(7, H, W)
    assert video_extent(path, 7).num_frames == 7
    assert video_extent(path, 3).num_frames == 4, "counting ends behind the limit"


def test_gifs_still_and_moving(tmp_path: Path) -> None:
    first, *rest = frames(5)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    first.save(tmp_path / "b.gif")
    assert video_extent(tmp_path / "a.gif", 100) == Extent(5, H, W)
    assert video_extent(tmp_path / "b.gif", 100) == Extent(1, H, W)


def test_what_names_other_files_is_none(tmp_path: Path) -> None:
    """A playlist, a list of parts, a description of a stream: their readers would open what they name."""
    secret = encoded(tmp_path / "secret.mp4", 3)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    parts = b"ffconcat version 1.0\nfile secret.mp4\n"
    manifest = (
        b'<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" '
        b'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        b'bandwidth="1"><BaseURL>'
        + str(secret).encode()
        + b"</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    stream = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    heads = {"mp4": struct.pack(">I", 24) + b"ftypisom" + bytes(12), "webm": b"\x1aE\xdf\xa3" + bytes(8)}
    heads["avi"] = b"RIFF" + struct.pack("<I", 9_999) + b"AVI "
    for content in (playlist, parts, manifest, stream):
        assert suffix_of(content) is None
        (tmp_path / "plain").write_bytes(content)
        with pytest.raises(UserError, match="not a video by its first bytes"):
            video_extent(tmp_path / "plain", 100)
        for suffix, head in heads.items():
            path = tmp_path / f"dressed.{suffix}"
            path.write_bytes(head + b"\n" + content)
            with pytest.raises(UserError, match="a damaged video, or none in it"):
                video_extent(path, 100)


def two_faced(path: Path, text: bytes) -> Path:
    """A Matroska file whose header hides a text where FFmpeg looks first; its own kind is named megabytes later."""
    content = encoded(path, 3, "mpeg4").read_bytes()
    assert content[:4] == b"\x1aE\xdf\xa3" and content[4] & 0x80, "a size of one byte"
    end = 5 + (content[4] & 0x7F)
    hidden = b"\n" + text + bytes(3_000_000)
    void = b"\xec\x01" + len(hidden).to_bytes(7) + hidden
    head = void + content[5:end]
    path.write_bytes(content[:4] + b"\x01" + len(head).to_bytes(7) + head + content[end:])
    return path


def test_what_can_be_taken_for_something_else_is_refused(tmp_path: Path) -> None:
    path = two_faced(
        tmp_path / "a.mkv", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    )
    with av.open(str(path)) as guessed:
        assert guessed.format.name == "sdp", "FFmpeg alone would listen to a network's stream"
    with pytest.raises(UserError, match="a damaged video, or none in it"):
        video_extent(path, 100)
    # Who is given it all the same reads the video, and nothing else.
    assert AVReader(path).read([0, 2]).shape == (2, H, W, 3)
    assert video_extent(two_faced(tmp_path / "b.mkv", b"nothing in it"), 100) == Extent(3, H, W)


def test_what_is_damaged_or_has_only_sound(tmp_path: Path) -> None:
    content = encoded(tmp_path / "a.mp4", 4).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[:200])
    with pytest.raises(UserError, match="a damaged video, or none in it"):
        video_extent(tmp_path / "cut.mp4", 100)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="a damaged video, or none in it"):
        video_extent(tmp_path / "sound.mp4", 100)
