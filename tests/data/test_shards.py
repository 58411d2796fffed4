"""Shards: what is written, read back by offset, and what a stopped or damaged one says."""

import hashlib
import tarfile

import numpy as np
import pytest
from PIL import Image

from word2mask.data import files, shards
from word2mask.data.fixtures import draw_boxes
from word2mask.data.media import MissingMedia, UnreadableMedia, VideoFile, open_image, open_media
from word2mask.data.sources.video_chat import write_mp4
from word2mask.errors import UserError

CONTENT = {"a.jpg": b"one", "a.json": b"{}", "a-1.jpg": b"", "b/1.jpg": b"x" * 700, "b/10.jpg": b"y", "ü c/2.txt": b"z"}


@pytest.fixture
def folder(tmp_path):
    for name, content in CONTENT.items():
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "media"


def pack(folder, out, size=2**30):
    plan = shards.plan_shards(folder, out, size)
    out.mkdir(parents=True, exist_ok=True)
    for shard in plan.shards:
        if not shards.is_written(plan, shard):
            shards.write_shard(plan, shard)
    shards.finish(plan)
    return out


def test_tars_are_tars_and_the_index_tells_where_everything_lies(folder, tmp_path):
    out = pack(folder, tmp_path / "shards")
    assert sorted(path.name for path in out.iterdir()) == ["index.tsv", "shard-000000.tar"]
    with tarfile.open(out / "shard-000000.tar") as tar:
        assert {name: tar.extractfile(name).read() for name in tar.getnames()} == CONTENT
        offsets = {member.name: member.offset_data for member in tar}
    found = list(files.ShardFolder(out))
    assert [member.name for member in found] == sorted(CONTENT, key=str.encode)
    assert {member.name: member.offset for member in found} == offsets
    for member in found:
        assert member.sha256 == hashlib.sha256(CONTENT[member.name]).hexdigest()


def test_paths_within_lead_to_members(folder, tmp_path):
    out = pack(folder, tmp_path / "shards")
    for name, content in CONTENT.items():
        assert files.is_file(out / name) and files.exists(out / name) and not files.is_folder(out / name)
        assert files.read_bytes(out / name) == files.open_file(out / name).read() == content
        assert files.size_of(out / name) == len(content)
    assert files.read_bytes(out / "b" / ".." / "a.jpg") == b"one"
    assert files.is_folder(out) and files.is_folder(out / "b") and files.is_folder(out / "ü c")
    for name in ("a", "b/1", "b/1.jpg/x", "c", "a.jp"):
        assert not files.exists(out / name)
    assert sorted(path.name for path in files.list_folder(out / "b")) == ["1.jpg", "10.jpg"]
    assert {path.name for path in files.list_folder(out)} == {"a.jpg", "a.json", "a-1.jpg", "b", "ü c"}


def test_every_one_of_many_names_is_found(tmp_path):
    names = [f"{number:x}/{number * 7919 % 1000}.jpg" for number in range(400)]
    for name in names:
        (tmp_path / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "media" / name).write_bytes(name.encode())
    out = pack(tmp_path / "media", tmp_path / "shards", 300)
    assert len(list(out.glob("*.tar"))) > 5
    assert all(files.read_bytes(out / name) == name.encode() for name in names)
    assert sorted(path.name for path in files.list_folder(out)) == sorted({name.split("/")[0] for name in names})


def test_the_same_folder_gives_the_same_bytes(folder, tmp_path):
    first, second = pack(folder, tmp_path / "first", 500), pack(folder, tmp_path / "second", 500)
    names = sorted(path.name for path in first.iterdir())
    assert len(names) > 2
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_files_of_one_sample_share_a_shard(folder, tmp_path):
    plan = shards.plan_shards(folder, tmp_path / "shards", 1)
    by_name = {name: shard.name for shard in plan.shards for name, _ in shard.files}
    assert by_name["a.jpg"] == by_name["a.json"] and by_name["b/1.jpg"] != by_name["b/10.jpg"]


def test_a_long_name_is_kept(tmp_path):
    name = "/".join(["x" * 90] * 3) + ".jpg"
    (tmp_path / "media" / name).parent.mkdir(parents=True)
    (tmp_path / "media" / name).write_bytes(b"long")
    assert files.read_bytes(pack(tmp_path / "media", tmp_path / "shards") / name) == b"long"


def test_a_stopped_run_goes_on_and_its_folder_is_no_shard_folder_yet(folder, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    out.mkdir()
    plan = shards.plan_shards(folder, out, 1)
    shards.write_shard(plan, plan.shards[0])

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards.os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            shards.write_shard(plan, plan.shards[1])
    assert [shards.is_written(plan, shard) for shard in plan.shards[:2]] == [True, False]
    assert sorted(path.name for path in out.glob("*.tar")) == [plan.shards[0].name]
    assert not files.exists(out / plan.shards[0].files[0][0])
    # Cut short by a full disk, say: it is written again.
    tar = out / plan.shards[0].name
    tar.write_bytes(tar.read_bytes()[:-1])
    assert not shards.is_written(plan, plan.shards[0])
    pack(folder, out, 1)
    assert shards.is_complete(plan) and shards.damaged(out) == []
    assert not list(out.glob(".*.tsv")) and not list(out.glob("*.part"))


def test_other_files_are_refused(folder, tmp_path):
    out = tmp_path / "shards"
    out.mkdir()
    plan = shards.plan_shards(folder, out, 2**30)
    shards.write_shard(plan, plan.shards[0])
    (folder / "new.jpg").write_bytes(b"new")
    changed = shards.plan_shards(folder, out, 2**30)
    with pytest.raises(UserError, match="written of other files than .* holds now"):
        shards.is_written(changed, changed.shards[0])
    shards.finish(plan)
    with pytest.raises(UserError, match="holds shards of other files than .* holds now"):
        shards.is_complete(changed)
    (out / "shard-000009.tar").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds shards of something else \(shard-000009.tar\)"):
        shards.plan_shards(folder, out, 2**30)


def test_a_file_that_changes_meanwhile_is_refused(folder, tmp_path):
    plan = shards.plan_shards(folder, tmp_path, 2**30)
    (folder / "a.jpg").write_bytes(b"longer than planned")
    with pytest.raises(UserError, match=r"a.jpg: has changed while it was packed"):
        shards.write_shard(plan, plan.shards[0])
    assert not list(tmp_path.glob("*.tar"))


def test_what_cannot_be_packed_is_named(folder, tmp_path):
    out = pack(folder, tmp_path / "shards")
    for wrong, message in (
        (tmp_path / "none", "no such folder to pack"),
        (out, "holds shards already"),
        (tmp_path, "lies within"),
    ):
        with pytest.raises(UserError, match=message):
            shards.plan_shards(wrong, tmp_path / "more", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no file in it"):
        shards.plan_shards(tmp_path / "empty", tmp_path / "shards", 1)
    (folder / "tab\there.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="a name with a tab"):
        shards.plan_shards(folder, tmp_path / "other", 1)


def test_damage_is_found_and_named(folder, tmp_path):
    out = pack(folder, tmp_path / "shards")
    member = files.ShardFolder(out).find("b/1.jpg")
    tar = bytearray((out / member.shard).read_bytes())
    tar[member.offset] ^= 1
    (out / member.shard).write_bytes(tar)
    assert shards.damaged(out) == ["b/1.jpg: other bytes in shard-000000.tar than were packed"]
    (out / member.shard).write_bytes(tar[: member.offset + 5])
    assert "b/1.jpg: shard-000000.tar ends before it" in shards.damaged(out)
    (out / member.shard).unlink()
    assert shards.damaged(out) == ["shard-000000.tar: missing"]
    with pytest.raises(UserError, match="no index.tsv in it"):
        shards.damaged(folder)


@pytest.fixture
def media(tmp_path):
    """A picture, an encoded video, a GIF and a folder of frames, as they are and packed."""
    frames = np.stack([draw_boxes((48, 64), {"red": (2 * t, 4, 2 * t + 20, 24)}) for t in range(12)])
    folder = tmp_path / "plain, with a comma"
    (folder / "frames").mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "frames" / f"{number}.jpg")
    Image.fromarray(frames[0]).save(folder / "picture.png")
    write_mp4(folder / "video.mp4", frames, fps=8)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(folder / "moving.gif", save_all=True, append_images=pictures[1:], duration=100)
    return folder, pack(folder, tmp_path / "packed, too")


def test_pictures_and_videos_are_the_same_from_a_shard(media, monkeypatch):
    plain, packed = media
    first, second = open_image(plain / "picture.png"), open_image(packed / "picture.png")
    assert np.array_equal(first.frames, second.frames)
    for name in ("video.mp4", "moving.gif", "frames"):
        ours, theirs = open_media(packed / name), open_media(plain / name)
        assert isinstance(ours, VideoFile)
        assert (len(ours), ours.size, ours.fps) == (len(theirs), theirs.size, theirs.fps) and len(ours) == 12
        assert np.array_equal(ours.read([7, 2, 11]), theirs.read([7, 2, 11]))
    from word2mask.data.video_readers import OpenCVReader

    both = [OpenCVReader(folder / "video.mp4").read([3, 9]) for folder in media]
    assert np.array_equal(*both)


def test_what_is_missing_or_damaged_in_a_shard_is_said_in_one_sentence(media):
    _, packed = media
    with pytest.raises(MissingMedia, match="none.jpg: no such picture; check the path"):
        open_image(packed / "none.jpg")
    with pytest.raises(MissingMedia, match="none.mp4: no such video or folder of frames; check the path"):
        VideoFile(packed / "none.mp4")
    index = files.ShardFolder(packed)
    shard = packed / index.find("picture.png").shard
    content = bytearray(shard.read_bytes())
    content[index.find("picture.png").offset] ^= 255
    shard.write_bytes(content)
    with pytest.raises(UnreadableMedia, match="picture.png: not a picture that can be read"):
        open_image(packed / "picture.png")


def test_a_damaged_index_is_named(folder, tmp_path):
    out = pack(folder, tmp_path / "shards")
    (out / "index.tsv").write_text("a.jpg\tshard-000000.tar\t512\n")
    with pytest.raises(UserError, match=r"index.tsv: a damaged line b'a.jpg.*; write the shards again"):
        files.read_bytes(out / "a.jpg")
