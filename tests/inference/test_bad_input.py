"""What a user may give by mistake, from the file to the session's answer: one sentence each, and no answer."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.data.media import open_media
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.types import Generation, Media, Request, Turn, VisualPrompt


@pytest.fixture(scope="module")
def session():
    torch.manual_seed(0)
    return Session(GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny()), key_frames=2)


def ask(session, media, text="Where?"):
    return session.ask(Request((Turn("user", text),), media, answer="[SEG]"))


def text_file(folder):
    (folder / "a.jpg").write_text("hello")
    return folder / "a.jpg"


def empty_video(folder):
    (folder / "a.mp4").write_bytes(b"")
    return folder / "a.mp4"


def cut_video(folder):
    writer = cv2.VideoWriter(str(folder / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 8, (64, 48))
    for level in range(0, 250, 5):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    whole = (folder / "a.mp4").read_bytes()
    (folder / "a.mp4").write_bytes(whole[: len(whole) // 2])
    return folder / "a.mp4"


def cut_picture(folder):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(folder / "a.png")
    (folder / "a.png").write_bytes((folder / "a.png").read_bytes()[:4000])
    return folder / "a.png"


def huge_picture(folder):
    Image.new("1", (20_000, 10_000)).save(folder / "a.png")
    return folder / "a.png"


def empty_folder(folder):
    (folder / "a").mkdir()
    return folder / "a"


def mixed_folder(folder):
    (folder / "a").mkdir()
    for index, size in enumerate([(20, 24), (20, 24), (24, 20), (20, 24)]):
        Image.new("RGB", size).save(folder / "a" / f"{index}.png")
    return folder / "a"


def nothing(folder):
    return folder / "a"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (text_file, "not a picture that can be read"),
        (empty_video, "not a video that can be read: the file is empty"),
        (cut_video, "not a video that can be decoded, or cut short"),
        (cut_picture, "cut short|can't be read|not a picture"),
        (huge_picture, "too large: 200 megapixels, at most 64 megapixels are read"),
        (empty_folder, "no frames"),
        (mixed_folder, r"a frame of \[20, 24\] .* in a video of \[24, 20\]"),
        (nothing, "no such file or folder"),
    ],
)
def test_files(session, tmp_path, make, says):
    path = make(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        ask(session, open_media(path))
    message = str(caught.value)
    assert str(path) in message and "\n" not in message


def test_text_and_arrays(session):
    picture = Media("image", np.zeros((1, 8, 8, 3), np.uint8))
    for text in ("", "  \n"):
        with pytest.raises(UserError, match="the question is empty"):
            ask(session, picture, text)
        with pytest.raises(UserError, match="the question is empty"):
            session.converse(picture).ask(text)
        with pytest.raises(UserError, match="the question is empty"):
            next(session.stream(Request((Turn("user", text),), picture)))
    with pytest.raises(UserError, match="media is str; expected"):
        ask(session, "picture.jpg")
    with pytest.raises(UserError, match=r"frame 0 is float32 \[8, 8, 3\]; expected uint8 RGB"):
        ask(session, Media("image", np.zeros((1, 8, 8, 3), np.float32), name="a"))
    with pytest.raises(UserError, match="has no pixels"):
        ask(session, Media("image", np.zeros((1, 0, 8, 3), np.uint8)))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0; expected 1 or more"),
        ({"temperature": 0.0}, "temperature is 0.0; expected more than 0"),
        ({"top_p": 1.5}, "top_p is 1.5; expected more than 0 and at most 1"),
        ({"top_k": -1}, "top_k is -1; expected 0 or more"),
        ({"num_beams": 0}, "num_beams is 0; expected 1 or more"),
        ({"num_beams": 2, "do_sample": True}, "num_beams=2 with do_sample"),
    ],
)
def test_generation_settings(setting, says):
    with pytest.raises(UserError, match=says):
        Generation(**setting)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ({}, "a visual prompt is empty"),
        ({"box": (4, 0, 2, 3)}, "x1 < x2 and y1 < y2"),
        ({"points": ((1, 2, 3),)}, "label 1 on the object or 0 off it"),
        ({"mask": np.zeros((3, 3))}, r"float64 of shape \[3, 3\]; expected bool"),
        ({"frame": -1, "box": (0, 0, 1, 1)}, "is on frame -1; frames count from 0"),
    ],
)
def test_visual_prompts(prompt, says):
    with pytest.raises(UserError, match=says):
        VisualPrompt(**prompt)
