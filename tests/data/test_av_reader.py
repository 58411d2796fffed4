"""Frames through PyAV: the same pixels as by decoding everything, with less decoded on the way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from word2mask.data.av_reader import AVReader
from word2mask.data.counted_reader import CountedReader
from word2mask.data.media import VideoFile, open_media
from word2mask.data.pictures import UnreadableMedia
from word2mask.data.video_readers import DecordReader

SIZE = (48, 64)


def write_video(path: Path, num_frames: int, codec: str = "libx264", **options: str) -> Path:
    """A square that moves over noise, so that frames differ and rest on each other."""
    noise = np.random.default_rng(0).integers(0, 90, (*SIZE, 3), dtype=np.uint8)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(num_frames):
            picture = noise.copy()
            picture[10:20, number : number + 10] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    """Two recordings one behind the other, as a transport stream may have them."""
    path = tmp_path / "mixed.ts"
    for side in (64, 96):
        with av.open(str(tmp_path / f"{side}.ts"), "w", format="mpegts") as part:
            stream = part.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 20 * number, np.uint8), format="rgb24")
                frame.pts = number + (10 if side == 96 else 0)
                part.mux(stream.encode(frame))
            part.mux(stream.encode(None))
    path.write_bytes((tmp_path / "64.ts").read_bytes() + (tmp_path / "96.ts").read_bytes())
    with pytest.raises(UnreadableMedia, match=r"a frame of \[96, 96\] .* a first of \[64, 64\]; all frames"):
        VideoFile(path).read(range(20))


@pytest.mark.parametrize("name", ["cut.mkv", "cut.webm"])
def test_a_file_that_is_cut_short_and_can_be_opened_says_so(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_video(tmp_path / name, 48, codec)
    assert len(VideoFile(path)) == 48
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UnreadableMedia, match=rf"cut short: it says that it has {len(whole)} bytes, and has {len(whole) // 2}; copy"
    ):
        VideoFile(path)
    # A recording that was never closed doesn't say its size, but how long it was to be.
    segment = whole.index(b"\x18S\x80g") + 4
    path.write_bytes(whole[:segment] + b"\x01" + 7 * b"\xff" + whole[segment + 8 :][: len(whole) // 2])
    with pytest.raises(
        UnreadableMedia, match=r"cut short: it says that it is 2.00 s long, and its frames end at [01]\."
    ):
        VideoFile(path)


@pytest.mark.parametrize("options", ["bframes=0:keyint=12", "bframes=3:keyint=12", "bframes=3:keyint=12:open-gop=1"])
def test_h265_in_avi(tmp_path: Path, options: str) -> None:
    """FFmpeg doesn't write it, but other programs do: packets of H.265 under a name of four letters."""
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 24), Fraction(24)
    encoder.options = {"x265-params": f"log-level=none:{options}"}
    path, packets = tmp_path / "a.avi", []
    for number in range(40):
        picture = np.full((*SIZE, 3), 60, np.uint8)
        picture[10:20, number : number + 10] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.height, stream.width = SIZE
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 24), number, number
            file.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"H264", b"HEVC"))
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "hevc"
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    video = VideoFile(path)
    assert len(video) == len(everything) == 40
    for indices in ([38], [5], [20], list(range(40))):
        for index, frame in zip(indices, video.read(indices), strict=True):
            assert np.array_equal(frame, everything[index])


def test_many_frames_that_lie_in_one_place_to_jump_to(tmp_path: Path) -> None:
    """MPEG's program streams have 2,048 bytes a pack; a small video has many frames in one, and key frames too."""
    path = write_video(tmp_path / "a.mpg", 60, "mpeg2video")
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    for index in (57, 30, 5, 59, 1):
        assert np.array_equal(VideoFile(path).read([index])[0], everything[index])


def test_a_bare_stream_is_to_be_put_into_a_container(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.h264"), "w", format="h264") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.height, stream.width = SIZE
        for _ in range(8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((*SIZE, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode())
    with pytest.raises(UnreadableMedia, match=r"a bare stream of frames.*ffmpeg -framerate 25 -i a.h264 -c copy a.mp4"):
        VideoFile(tmp_path / "a.h264")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("one.mp4", "libx264", {"bf": "3"}),  # one key frame
        ("many.mp4", "libx264", {"bf": "3", "g": "8"}),  # key frames to jump by
        ("open.mkv", "libx264", {"bf": "2", "g": "10", "x264-params": "open-gop=1"}),
        ("h265.mp4", "libx265", {"x265-params": "log-level=error:keyint=12"}),
        ("plain.avi", "mpeg4", {"g": "12"}),
        ("web.webm", "libvpx-vp9", {"g": "16"}),
    ],
)
def test_the_same_frames_as_by_decoding_all(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = write_video(tmp_path / name, 40, codec, **options)
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert isinstance(VideoFile(path)._open(), AVReader)
    video = VideoFile(path)
    assert (len(video), video.size, video.fps) == (40, SIZE, 24)
    assert np.array_equal(DecordReader(path).read(list(range(40))), everything)  # another decoder, from end to end
    found = dict(video.walk([33, 0, 9, 10, 21, 39]))
    assert list(found) == [0, 9, 10, 21, 33, 39]
    # On, back, the same again, one behind the other, what was left out on the way, and all.
    orders = [[5], [7], [39], [0, 1, 2], [2], [3], [4, 5, 6, 7], [20], [21], [19], [38, 12, 12], list(range(40))]
    for indices in orders:
        for index, frame in zip(indices, video.read(indices), strict=True):
            found[index] = frame
            assert np.array_equal(frame, everything[index]), (indices, index)
    assert all(np.array_equal(frame, everything[index]) for index, frame in found.items())
    assert np.array_equal(np.stack(list(video.iterate())), everything)
    assert [index for index, _ in video.walk([7, 7])] == [7] and list(video.walk([])) == []
    with pytest.raises(IndexError, match="there are 0 … 39"):
        list(video.walk([40]))


def packed(path: Path, into: Path) -> Path:
    """The video with each B frame in a packet with the frame that it rests on, and an empty one behind, as Xvid has it.

    That a file is so says a note in its first packet (ISO/IEC 14496-2, 6.2.2: user data), as DivX 5 writes it.
    """
    frame, note, empty = b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p", b"\0\0\1\xb6\x51\x20"
    with av.open(str(path)) as opened, av.open(str(into), "w") as file:
        stream = opened.streams.video[0]
        packets = [(bytes(packet), packet.is_keyframe) for packet in opened.demux(stream) if packet.size]
        place = packets[0][0].index(frame)
        packets[0] = packets[0][0][:place] + note + packets[0][0][place:], True
        contents: list[tuple[bytes, bool]] = []
        for content, is_key in packets:
            if content[content.index(frame) + 4] >> 6 == 2:  # a B frame
                contents[-1] = contents[-1][0] + content, contents[-1][1]
                contents.append((empty, False))
            else:
                contents.append((content, is_key))
        copy = file.add_stream_from_template(stream)
        for number, (content, is_key) in enumerate(contents):
            packet = av.Packet(content)
            packet.stream, packet.is_keyframe, packet.time_base = copy, is_key, stream.time_base
            packet.pts = packet.dts = number
            file.mux(packet)
    return into


@pytest.mark.parametrize(
    ("codec", "options", "is_packed"),
    [
        ("mpeg4", {"bf": "2", "g": "12"}, False),
        ("mpeg4", {"bf": "1", "g": "12"}, True),
        ("libx264", {"bf": "3", "g": "10", "x264-params": "open-gop=1"}, False),
        ("libx264", {"bf": "3"}, False),
    ],
)
def test_frames_that_come_out_of_turn_and_say_nothing_of_it(tmp_path: Path, codec: str, options, is_packed) -> None:
    """As in AVI, whose packets are numbered in the order of decoding."""
    path = write_video(tmp_path / "a.avi", 40, codec, **options)
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(everything) == 40
    if is_packed:
        path = packed(path, tmp_path / "packed.avi")
        with av.open(str(path)) as file:
            sizes = [packet.size for packet in file.demux(video=0) if packet.size]
        assert min(sizes) == 6 and len(sizes) >= 39
    video = VideoFile(path)
    assert isinstance(video._open(), CountedReader)
    assert (len(video), video.size, video.fps) == (40, SIZE, 24)
    assert np.array_equal(np.stack(list(video.iterate())), everything)
    # The square's left edge says which frame it is.
    assert [int((frame[15].max(1) > 150).argmax()) for frame in everything] == list(range(40))
    orders = [[5], [7], [39], [0, 1, 2], [2], [3], [20], [21], [19], [38, 12, 12], [11], [10], [9], list(range(40))]
    for indices in orders:
        assert np.array_equal(video.read(indices), np.stack([everything[index] for index in indices])), indices
    assert [index for index, _ in video.walk([30, 1])] == [1, 30]


def test_a_jump_that_lands_elsewhere_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the key frame, nothing that rests on it can be had."""
    reader = CountedReader(write_video(tmp_path / "a.avi", 40, "mpeg4", bf="2", g="12"))
    everything = reader.read(list(range(40)))
    key = max(key for key in reader._packets if key <= 30)
    number, decoded = reader._packets[key]
    later = min(packet for packet in reader._packets if packet > key)
    monkeypatch.setitem(reader._packets, key, (number, reader._packets[later][1]))
    assert decoded < reader._packets[later][1]
    assert np.array_equal(reader.read([30])[0], everything[30])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("name", ["cut.avi", "cut.mp4"])
def test_a_file_with_sound_or_its_index_in_front_is_seen_to_be_cut(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    with av.open(str(path), "w", options={"movflags": "faststart"} if name.endswith("mp4") else {}) as file:
        stream = file.add_stream("mpeg4", rate=24)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        sound = file.add_stream("mp3" if name.endswith("avi") else "aac", rate=48000)
        for number in range(48):
            pixels = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 2000), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, 2000 * number
            file.mux(sound.encode(samples))
        file.mux([*stream.encode(), *sound.encode()])
    assert len(VideoFile(path)) == 48
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableMedia, match=r"cut short: (it says that it has \d+ bytes|its last frame isn't whole)"):
        VideoFile(path)


def counted(reader: AVReader, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When the frames are shown that a reader decodes from now on."""
    decoded: list[int] = []
    original = reader._from

    def counting(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(reader, "_coming", counting(reader._coming))
    monkeypatch.setattr(reader, "_from", lambda *where: counting(original(*where)))
    return decoded


def test_frames_on_the_way_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 40, bf="3", **{"x264-params": "b-adapt=0:b-pyramid=none"})
    reader = AVReader(path)
    decoded = counted(reader, monkeypatch)
    reader.read([39])
    # Three of four frames are B frames, on which nothing rests: of 40, the others are 11.
    assert len(decoded) <= 12


def test_it_goes_on_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = AVReader(write_video(tmp_path / "a.mp4", 40, bf="3", **{"x264-params": "b-adapt=0:b-pyramid=none"}))
    decoded = counted(reader, monkeypatch)
    for start in range(0, 40, 8):
        reader.read(list(range(start, start + 8)))
    assert len(decoded) <= 60  # each about once, and not every part from the only key frame on


def test_the_first_frame_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By opening; asked for later it is decoded anew, and not kept for ever."""
    path = write_video(tmp_path / "a.mp4", 40)
    reader = AVReader(path)
    decoded = counted(reader, monkeypatch)
    first = reader.read([0])
    assert decoded == [] and reader._first is None
    assert np.array_equal(reader.read([0]), first) and len(decoded) >= 1
    later = AVReader(path)
    later.read([5])
    assert later._first is None
    assert np.array_equal(later.read([0]), first)


def test_it_starts_no_threads(tmp_path: Path) -> None:
    """A process forked off one with FFmpeg's threads hangs when it lets go of a frame, and data loaders fork."""
    path = write_video(tmp_path / "a.mp4", 40)
    before = len(list(Path("/proc/self/task").iterdir()))
    reader = AVReader(path)
    reader.read([0, 20, 39])
    assert len(list(Path("/proc/self/task").iterdir())) <= before


def test_folders_have_the_same_walk(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(3):
        picture = np.full((*SIZE, 3), 60 * number, np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), picture)
    video = VideoFile(tmp_path / "frames")
    assert [(index, int(frame.mean())) for index, frame in video.walk([2, 1])] == [(1, 60), (2, 120)]


def test_a_file_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "whole.mkv", 40, g="8")
    every = VideoFile(path).read(range(40))
    (tmp_path / "cut.mkv").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    # It is refused, for it says how long it was; without the saying it has fewer frames and never gives others.
    with pytest.raises(UnreadableMedia, match="cut short"):
        VideoFile(tmp_path / "cut.mkv")
    monkeypatch.setattr(AVReader, "_check_length", lambda *_: None)
    video = VideoFile(tmp_path / "cut.mkv")
    assert len(video) < 40
    assert all(np.array_equal(frame, every[index]) for index, frame in video.walk([0, len(video) // 2]))


def test_a_frame_that_is_not_where_the_file_says(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    reader = AVReader(path)
    reader._times.append(reader._times[-1] + 10_000_000)
    with pytest.raises(UnreadableMedia, match="frame 40 can't be decoded"):
        reader.read([40])


def turned(path: Path, matrix: tuple[int, int, int, int], into: Path) -> Path:
    """The file with another matrix ``a b c d`` in its track's header (ISO/IEC 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    place = content.find(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)  # 16.16 fixed point, the last column 2.30
    values = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    content[place : place + 36] = b"".join((value % (1 << 32)).to_bytes(4, "big") for value in values)
    into.write_bytes(content)
    return into


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), lambda picture: picture),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # as phones record when held upright
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),  # mirrored, as some front cameras do
        ((1, 0, 0, -1), lambda picture: picture[::-1]),
        ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
    ],
)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_file_that_lies_on_its_side_is_read_upright(tmp_path: Path, codec: str, matrix, upright) -> None:
    options = {"x265-params": "log-level=error:keyint=12"} if codec == "libx265" else {"bf": "2", "g": "12"}
    path = write_video(tmp_path / "a.mp4", 30, codec, **options)
    every = VideoFile(path).read(range(30))
    video = VideoFile(turned(path, matrix, tmp_path / "turned.mp4"))
    assert isinstance(video._open(), AVReader)
    assert video.size == upright(every[0]).shape[:2]
    for index, frame in video.walk([0, 7, 29]):
        assert np.array_equal(frame, upright(every[index])), index
    assert np.array_equal(video.read([20, 3]), np.stack([upright(every[20]), upright(every[3])]))


def test_a_file_that_lies_askew_is_left_to_others(tmp_path: Path) -> None:
    path = turned(write_video(tmp_path / "a.mp4", 5), (2, 1, -1, 2), tmp_path / "askew.mp4")
    with pytest.raises(OSError, match="an angle that isn't a right one"):
        AVReader(path)
    assert len(VideoFile(path)) == 5


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_streams_without_an_index(tmp_path: Path, name: str) -> None:
    """As cameras and television have them; a jump lands where it may."""
    codec = "mpeg2video" if name.endswith("mpg") else "libx264"
    path = write_video(tmp_path / name, 60, codec, bf="2", g="12")
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    video = VideoFile(path)
    assert isinstance(video._open(), AVReader) and len(video) == len(everything)
    for indices in ([50], [3], [2], [59], [0, 13, 30], [29], list(range(60))):
        assert all(
            np.array_equal(frame, everything[index]) for index, frame in zip(indices, video.read(indices), strict=True)
        ), indices


def bad_files(folder: Path) -> dict[str, str]:
    """Names of files that are no good → what is said of them."""
    whole = write_video(folder / "whole.mp4", 20).read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("hello")
    (folder / "text.foo").write_text("hello")
    (folder / "zeros.mp4").write_bytes(whole.replace(whole[60:1500], bytes(1440)))
    with av.open(str(folder / "sound.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return {
        "cut.mp4": "not a video that can be decoded, or cut short",
        "empty.mp4": "the file is empty",
        "text.mp4": "not a video that can be decoded, or cut short",
        "text.foo": "neither a picture nor a video",
        "zeros.mp4": "can be decoded|can't be decoded",
        "sound.mp4": "no video in it, only audio",
    }


def test_bad_files_get_one_sentence_and_no_library_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """decord, OpenCV and FFmpeg write to stderr themselves, past Python."""
    for name, said in bad_files(tmp_path).items():
        with pytest.raises(UnreadableMedia, match=f"{name}: .*({said})") as caught:
            opened = open_media(tmp_path / name)
            assert isinstance(opened, VideoFile)
            opened.read([0])
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def without_usability(source: Path, target: Path) -> Path:
    """A copy whose H.264 parameters don't say how many frames come out of turn (ITU-T H.264, 7.3.2.1.1 and E.1.1)."""

    class Bits:
        def __init__(self, content: bytes) -> None:
            self.text, self.place = "".join(f"{byte:08b}" for byte in content), 0

        def take(self, count: int) -> int:
            self.place += count
            return int(self.text[self.place - count : self.place], 2)

        def golomb(self) -> int:
            zeros = self.text.index("1", self.place) - self.place
            self.place += zeros
            return self.take(zeros + 1) - 1

    with av.open(str(source)) as opened, av.open(str(target), "w") as file:
        stream = opened.streams.video[0]
        header = bytes(stream.codec_context.extradata)  # avcC: 6 bytes, a length in 2, the parameters, the rest
        end = 8 + int.from_bytes(header[6:8], "big")
        parameters = header[8:end].replace(b"\0\0\3", b"\0\0")
        bits = Bits(parameters[1:])
        assert bits.take(8) == 100  # profile "high"
        bits.take(16)
        for _ in range(4):  # number, format of colours, depths
            bits.golomb()
        bits.take(2)
        bits.golomb()
        assert bits.golomb() == 0  # order by numbers that are sent
        for count in (0, 0, 1, 0, 0, 1, 1):
            bits.take(count) if count else bits.golomb()
        if bits.take(1):  # cut at the sides
            for _ in range(4):
                bits.golomb()
        assert bits.take(1) == 1  # it says more: no longer
        text = f"{bits.text[: bits.place - 1]}01"
        text += "0" * (-len(text) % 8)
        short = parameters[:1] + bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))
        copy = file.add_stream_from_template(stream)
        copy.codec_context.extradata = header[:6] + len(short).to_bytes(2, "big") + short + header[end:]
        for packet in opened.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                file.mux(packet)
    return target


@pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "8", "x264-params": "b-adapt=0:ref=6"}])
def test_an_index_says_how_far_frames_come_out_of_turn(tmp_path: Path, options: dict[str, str]) -> None:
    """Opening decodes nothing to find it out, and frames come whole and in order all the same."""
    whole = write_video(tmp_path / "a.mp4", 40, **options)
    with av.open(str(whole)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    reader = AVReader(without_usability(whole, tmp_path / "b.mp4"))
    assert np.array_equal(reader.read(list(range(40))), everything)


def test_a_name_that_says_another_container(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", 12)
    every = AVReader(path).read(list(range(12)))
    path.rename(tmp_path / "a.mp4")
    assert np.array_equal(AVReader(tmp_path / "a.mp4").read(list(range(12))), every)
