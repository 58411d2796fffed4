"""A file that has fewer bytes than it says is cut short, wherever the cut is."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from word2mask.data.media import VideoFile
from word2mask.data.pictures import UnreadableMedia
from word2mask.data.said_sizes import said_size


def write_video(path: Path, codec: str) -> Path:
    """Ten seconds of a square that moves over noise."""
    noise = np.random.default_rng(0).integers(0, 90, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="asf" if path.suffix == ".wmv" else None) as file:
        stream = file.add_stream(codec, rate=24, options={"bf": "2"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(240):
            picture = noise.copy()
            picture[10:20, number % 50 : number % 50 + 10] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("b.avi", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.wmv", "wmv2")],
)
@pytest.mark.parametrize("lost", [0.03, 0.003])
def test_a_file_that_lacks_its_last_moments_says_so(tmp_path: Path, name: str, codec: str, lost: float) -> None:
    """Of ten seconds less than a third of one, which no length in seconds tells from a file's own rounding."""
    path = write_video(tmp_path / name, codec)
    assert len(VideoFile(path)) == 240
    whole = path.read_bytes()
    path.write_bytes(whole[: -max(20, int(lost * len(whole)))])
    with pytest.raises(UnreadableMedia, match=rf"cut short: it says that it has {len(whole)} bytes, and has \d+; copy"):
        VideoFile(path)


def test_sizes_that_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content, said in (
        (b"RIFF" + (100).to_bytes(4, "little") + b"AVI " + bytes(80), 108),
        (b"RIFF" + (88).to_bytes(4, "little") + b"AVI " + bytes(80), None),  # larger by a head: programs differ
        (b"RIFF" + bytes(4) + b"AVI " + bytes(80), None),  # never closed
        (b"\x1aE\xdf\xa3\x82\0\0\x18S\x80g\x81" + b"\0", 13),
        (b"\x1aE\xdf\xa3\x82\0\0\x18S\x80g\x40\x64" + b"\0", 113),
        (b"\x1aE\xdf\xa3\x82\0\0\x18S\x80g\xff" + b"\0", None),  # live
        (b"\x1aE\xdf\xa3", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"", None),
    ):
        path.write_bytes(content)
        assert said_size(path) == said, content
