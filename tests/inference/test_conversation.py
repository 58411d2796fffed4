"""Conversations, streamed answers and masks that come frame by frame, with small random models."""

import numpy as np
import pytest
import torch

from word2mask.errors import UserError
from word2mask.inference.frames import LiveVideo
from word2mask.inference.masks import MaskStream
from word2mask.inference.session import Session
from word2mask.inference.streaming import readable_text
from word2mask.mllms.decoding import Generated
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.conversation import answer_ids
from word2mask.types import Generation, Media, Request, Turn


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny())


@pytest.fixture
def speaks(model, monkeypatch):
    """Makes the language model write a wanted answer token by token, with states of its own."""

    def install(*answers):
        waiting = list(answers)

        def write(batch, settings, seg_state="at", state_token="[SEG]", kept=None):
            ids = answer_ids(waiting.pop(0), model.mllm.tokenizer)
            for length in range(1, len(ids) + 1):
                yield [ids[:length]]
            states = torch.randn(8, model.mllm.hidden_size, generator=torch.Generator().manual_seed(3))
            count = ids.count(model.mllm.tokenizer.convert_tokens_to_ids("[SEG]"))
            return Generated([torch.tensor(ids)], [states[:count]])

        monkeypatch.setattr(model.mllm, "write", write)

    return install


def clip(num_frames, seed=0, size=(24, 20)):
    frames = np.random.default_rng(seed).integers(0, 255, (num_frames, *size, 3), dtype=np.uint8)
    return Media("video", frames, tuple(range(num_frames)))


def ask(text="Where?", media=None, **options):
    return Request((Turn("user", text),), media, **options)


def equal(one, other):
    assert (one.raw_text, one.text, one.num_frames) == (other.raw_text, other.text, other.num_frames)
    assert [segment.phrase for segment in one.segments] == [segment.phrase for segment in other.segments]
    for first, second in zip(one.segments, other.segments, strict=True):
        np.testing.assert_array_equal(np.asarray(first.masks), np.asarray(second.masks))
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)


# -- streaming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "<p>A red circle</p> [SEG], and <p>a star</p> [SEG].",
        "It is [SEG].",
        "Häuser, 红色的圆 [SEG] — ja!",
        "a < b, a <p and [SE, that is all;",
        "[SEG]",
        "",
    ],
)
def test_pieces_are_the_text(model, speaks, answer):
    speaks(answer)
    *pieces, result = Session(model).stream(ask(media=clip(1)))
    assert "".join(pieces) == result.text and all(pieces)
    assert len(result.segments) == answer.count("[SEG]")
    if len(answer) > 30:
        assert len(pieces) > 5  # as they come, and not at the end
    assert not any("\ufffd" in piece or "[SEG]" in piece for piece in pieces)


def test_a_streamed_answer_is_the_answer(model):
    """The real language model, drawn with a seed."""
    session = Session(model)
    request = ask(media=clip(3), generation=Generation(max_new_tokens=20, do_sample=True, temperature=3.0, seed=4))
    *pieces, streamed = session.stream(request)
    asked = session.ask(request)
    equal(streamed, asked)
    assert "".join(pieces) == asked.text
    assert session.ask(ask(media=clip(3), generation=Generation(max_new_tokens=20))).text != asked.text


def test_special_tokens_of_the_tokenizer_are_left_out(model):
    tokenizer = model.mllm.tokenizer
    others = tokenizer.convert_tokens_to_ids([model.mllm.processor.context_token, "<vp>"])
    ids = [*answer_ids("It is [SEG]", tokenizer), *others, *answer_ids(" there <vp>", tokenizer)]
    assert readable_text(ids, tokenizer) == "It is [SEG] there <vp>"  # the last one spelt, not meant


def test_what_progress_raises_ends_the_answer(model):
    calls = []

    def stop(*call):
        calls.append(call)
        if len(calls) == 4:
            raise KeyboardInterrupt

    session = Session(model)
    with pytest.raises(KeyboardInterrupt):
        session.ask(ask(media=clip(3), max_new_tokens=50), stop)
    assert len(calls) == 4 and {call[0] for call in calls} == {"answer"}


# -- conversations -----------------------------------------------------------------------------------------------------


def test_turns_equal_the_whole_conversation_asked_at_once(model):
    session = Session(model, key_frames=2)
    video = clip(5)
    talk = session.converse(video)
    generation = Generation(max_new_tokens=12, do_sample=True, temperature=2.0, seed=9)
    for text in ("Where is it?", "And the other one?", "Why?"):
        request = Request((*talk.turns, Turn("user", text)), video, generation=generation)
        equal(talk.ask(text, generation=generation), session.ask(request))
    assert [turn.role for turn in talk.turns] == ["user", "assistant"] * 3


def test_frames_are_encoded_once(model, speaks, monkeypatch):
    encoded = []
    encode = SAM2Segmenter.encode_frames
    monkeypatch.setattr(
        SAM2Segmenter, "encode_frames", lambda self, pixels: encoded.append(len(pixels)) or encode(self, pixels)
    )
    speaks("It is [SEG].", "[SEG] and [SEG].", "[SEG].")
    talk = Session(model, key_frames=2).converse(clip(7))
    first = talk.ask("Where?")
    assert sum(encoded) == 7
    talk.ask("And those?")
    assert sum(encoded) == 7
    again = talk.ask("Where?")
    np.testing.assert_array_equal(first.segments[0].masks, again.segments[0].masks)


def test_kept_frames_have_a_limit(model, speaks):
    speaks("[SEG]", "[SEG]")
    one = sum(level.numel() * 4 for level in model.segmenter.encode_frames(torch.zeros(1, 3, 64, 64)).levels)
    talk = Session(model, key_frames=2).converse(clip(9), keep_bytes=3 * one + 1)
    first = talk.ask("Where?")
    assert len(talk._store) == 3 and talk._store.bytes == 3 * one
    equal(first, talk.ask("Where?"))


def test_undo_and_interrupted_turns(model):
    session = Session(model)
    talk = session.converse(clip(1))
    with pytest.raises(UserError, match="no turn to undo"):
        talk.undo()
    short = Generation(max_new_tokens=6)
    first = talk.ask("Where?", generation=short)
    second = talk.ask("And now?", generation=short)

    def stop(piece):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        talk.ask("A third?", generation=Generation(max_new_tokens=40), on_text=stop)
    assert [turn.text for turn in talk.turns] == ["Where?", first.raw_text, "And now?", second.raw_text]
    talk.undo()
    equal(talk.ask("And now?", generation=short), second)
    talk.undo()
    talk.undo()
    equal(talk.ask("Where?", generation=short), first)


def test_a_conversation_without_media(model):
    heard = []
    result = Session(model).converse().ask("Hello", generation=Generation(max_new_tokens=5), on_text=heard.append)
    assert "".join(heard) == result.text and result.num_frames == 0


def test_an_overlong_conversation_says_so(model):
    talk = Session(model).converse()
    talk.ask("a" * 900, generation=Generation(max_new_tokens=2))
    with pytest.raises(UserError, match=r"turn 2 of the conversation: \d+ tokens .* more than 2048; shorten the conv"):
        talk.ask("b" * 1200)
    assert len(talk.turns) == 2


def test_a_conversation_about_something_that_passes(model):
    with pytest.raises(UserError, match="about LiveVideo"):
        Session(model).converse(LiveVideo([]))


# -- frame by frame ----------------------------------------------------------------------------------------------------


def given(text, media):
    return ask(media=media, answer=text)


@pytest.mark.parametrize("choice", ["uniform", "first", 3, [4, 2]])
def test_tracked_frames_are_the_result(model, choice):
    video = clip(7)
    session = Session(model, key_frames=2, key_frame_choice=choice)
    tracking = session.track(given("<p>A cat</p> [SEG] and [SEG].", video))
    assert tracking.result.text == "A cat and." and tracking.objects == (("A cat", (0, 5)),) * 2
    result = session.ask(given("<p>A cat</p> [SEG] and [SEG].", video))
    first = 2 if choice == [4, 2] else 0
    order = []
    for frame, masks, scores in tracking:
        order.append(frame)
        np.testing.assert_array_equal(masks, np.stack([segment.masks[frame] for segment in result.segments]))
        np.testing.assert_allclose(scores, [segment.scores[frame] for segment in result.segments])
    assert order == [*range(first, 7), *range(first - 1, -1, -1)]


def test_objects_that_start_on_different_key_frames(model, monkeypatch):
    """Frames that all have reached come first; the others when the last has come back to them."""
    monkeypatch.setattr(model, "prompt_frames", "first")
    segment = model.segment

    def segmented(*arguments):
        (objects,) = segment(*arguments)
        objects.object_logits = torch.tensor([[-1.0, 2.0, 9.0], [1.0, -1.0, -1.0]])[: len(objects.object_logits)]
        return [objects]

    monkeypatch.setattr(model, "segment", segmented)
    session = Session(model, key_frames=3)
    tracked = list(session.track(given("[SEG] [SEG]", clip(9))))
    assert [frame for frame, *_ in tracked] == [4, 5, 6, 7, 8, 3, 2, 1, 0]
    alone = {frame: (masks, scores) for frame, masks, scores in session.track(given("[SEG]", clip(9)))}
    for frame, masks, scores in tracked:
        np.testing.assert_array_equal(masks[0], alone[frame][0][0])
        assert scores[0] == pytest.approx(alone[frame][1][0], abs=1e-5)


def test_a_live_video_is_followed_as_it_comes(model):
    """Each frame's masks are there before the next frame is taken; what they are is what a file of them gives."""
    video = clip(9)
    taken = []

    def camera():
        for index, frame in enumerate(video.frames):
            taken.append(index)
            yield frame

    session = Session(model, key_frames=3)
    whole = Session(model, key_frames=3, key_frame_choice="first").ask(given("[SEG]", video))
    tracking = session.track(given("[SEG]", LiveVideo(camera())))
    assert taken == [0, 1, 2]
    for frame, masks, _ in tracking:
        assert len(taken) == max(3, frame + 1) and len(tracking.result.segments) == 0
        np.testing.assert_array_equal(masks[0], whole.segments[0].masks[frame])
    assert frame == 8 and tracking.result.num_frames == 9
    collected = session.ask(given("[SEG]", LiveVideo(iter(video.frames))))
    assert isinstance(collected.segments[0].masks, MaskStream)
    equal(collected, whole)


def test_a_live_video_that_is_short_or_no_good(model):
    session = Session(model, key_frames=3)
    result = session.ask(given("[SEG]", LiveVideo(iter(clip(2).frames))))
    assert result.num_frames == 2 and result.segments[0].masks.shape == (2, 24, 20)
    with pytest.raises(UserError, match="no frames"):
        session.ask(given("[SEG]", LiveVideo([])))
    mixed = [*clip(4).frames, clip(1, size=(20, 24)).frames[0]]
    with pytest.raises(UserError, match=r"camera: frame 4 is \[20, 24\] .* those before it \[24, 20\]"):
        session.ask(given("[SEG]", LiveVideo(mixed, "camera")))
    with pytest.raises(UserError, match=r"frame 0 is float64 \[4, 4\]; expected uint8 RGB"):
        session.ask(given("[SEG]", LiveVideo([np.zeros((4, 4))])))
    video = LiveVideo(iter(clip(3).frames))
    session.ask(given("[SEG]", video))
    with pytest.raises(UserError, match="passes once"):
        session.ask(given("[SEG]", video))


@pytest.mark.parametrize("form", ["arrays", "runs"])
def test_both_forms_of_masks_are_equal(model, form):
    request = given("[SEG] [SEG]", clip(5))
    plain = Session(model, key_frames=2).ask(request)
    result = Session(model, key_frames=2, mask_form=form).ask(request)
    assert isinstance(result.segments[0].masks, MaskStream) == (form == "runs")
    equal(result, plain)
    for one, other in zip(result.segments, plain.segments, strict=True):
        assert (one.is_found, one.confidence) == (other.is_found, other.confidence)
        np.testing.assert_array_equal(one.found_on, other.found_on)


def test_key_frames_outside_of_the_video(model):
    session = Session(model, key_frame_choice=[0, 9])
    with pytest.raises(UserError, match="key frame 9 lies outside of a video of 5 frames"):
        session.ask(given("[SEG]", clip(5)))
    for choice in (0, [], [-1], "second", 1.5):
        with pytest.raises(UserError, match="key_frame_choice must be"):
            Session(model, key_frame_choice=choice)
