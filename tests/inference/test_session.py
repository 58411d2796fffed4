"""Session: requests of every kind, alone and together, with small random models."""

import numpy as np
import pytest
import torch
from PIL import Image

from word2mask.data.collate import collate
from word2mask.data.media import VideoFile
from word2mask.errors import UserError
from word2mask.inference.session import Session
from word2mask.mllms.interface import Generated
from word2mask.mllms.internvl import InternVL
from word2mask.models.grounded import GroundedMLLM
from word2mask.segmenters.follower import MaskFollower
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.tracker import Tracker
from word2mask.text.conversation import answer_ids
from word2mask.types import Media, Request, Sample, Turn, VisualPrompt


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GroundedMLLM(InternVL.tiny(), SAM2Segmenter.tiny())


@pytest.fixture
def speaks(model, monkeypatch):
    """Makes the language model give a wanted answer, with states that depend on the sample's own prompt."""

    def install(*answers):
        def generate(batch, max_new_tokens, seg_state="at", settings=None, on_step=None):
            ids = [torch.tensor(answer_ids(answer, model.mllm.tokenizer)) for answer in answers[: len(batch.names)]]
            generator = torch.Generator().manual_seed(3)
            if settings:
                ids = [own[: one.max_new_tokens] for own, one in zip(ids, settings, strict=True)]
            states = torch.randn(8, model.mllm.hidden_size, generator=generator)
            return Generated(ids, [states[: int((answer == seg).sum())] for answer in ids])

        seg = model.mllm.tokenizer.convert_tokens_to_ids("[SEG]")
        monkeypatch.setattr(model.mllm, "generate", generate)

    return install


def ask(text="Where?", media=None, **options):
    return Request((Turn("user", text),), media, **options)


def picture(seed=0, size=(24, 20)):
    return Media("image", np.random.default_rng(seed).integers(0, 255, (1, *size, 3), dtype=np.uint8))


def clip(num_frames, seed=0, size=(24, 20)):
    frames = np.random.default_rng(seed).integers(0, 255, (num_frames, *size, 3), dtype=np.uint8)
    return Media("video", frames, tuple(range(num_frames)))


def test_picture(model, speaks):
    speaks("<p>A red circle</p> [SEG] and <p>a star</p> [SEG].")
    result = Session(model).ask(ask(media=picture()))
    assert result.text == "A red circle and a star."
    assert result.original_size == (24, 20) and result.num_frames == 1
    assert [segment.phrase for segment in result.segments] == ["A red circle", "a star"]
    assert [result.text[slice(*segment.span)] for segment in result.segments] == ["A red circle", "a star"]
    for segment in result.segments:
        assert segment.masks.shape == (1, 24, 20) and segment.masks.dtype == bool
        assert segment.scores.shape == (1,) and 0 <= segment.scores[0] <= 1


def test_plain_answer_takes_the_question_as_phrase(model, speaks):
    speaks("It is [SEG].")
    (segment,) = Session(model).ask(ask("the red circle", picture())).segments
    assert segment.phrase == "the red circle" and segment.span is None


@pytest.mark.parametrize(
    ("question", "answer", "phrases"),
    [
        ("What is region1?", "[SEG]", ["region1"]),
        ("What are region1 and region2?", "[SEG] [SEG]", ["region1", "region2"]),
        ("What is region2?", "<p>A star</p> [SEG], and [SEG].", ["A star", "A star"]),
        ("What is region2?", "[SEG] <p>A star</p> [SEG]", ["region2", "A star"]),
    ],
)
def test_masks_without_words_are_called_as_the_regions_asked_about(model, speaks, question, answer, phrases):
    left = np.zeros((24, 20), bool)
    left[:, :10] = True
    speaks(answer)
    prompts = (VisualPrompt(mask=left), VisualPrompt(mask=~left))
    result = Session(model).ask(ask(question, picture(), prompts=prompts))
    assert [segment.phrase for segment in result.segments] == phrases


def test_no_target_has_no_segment(model, speaks):
    speaks("There is no green heart.")
    result = Session(model).ask(ask(media=picture()))
    assert result.text == "There is no green heart." and list(result.segments) == []


def test_text_only(model, speaks):
    speaks("Hello.")
    result = Session(model).ask(ask("Hi"))
    assert (result.original_size, result.num_frames, list(result.segments)) == (None, 0, [])


@pytest.mark.parametrize("choice", ["uniform", "first"])
def test_video_covers_every_frame_and_keeps_key_frames(model, speaks, choice):
    speaks("[SEG] and [SEG]")
    video = clip(9)
    session = Session(model, key_frames=3, key_frame_choice=choice)
    result = session.ask(ask(media=video))
    keys = [0, 4, 8] if choice == "uniform" else [0, 1, 2]
    alone = Session(model, key_frames=3).ask(ask(media=Media("video", video.frames[keys], tuple(keys))))
    for segment, key in zip(result.segments, alone.segments, strict=True):
        assert segment.masks.shape == (9, 24, 20) and segment.scores.shape == (9,)
        np.testing.assert_array_equal(segment.masks[keys], key.masks)
        np.testing.assert_allclose(segment.scores[keys], key.scores, atol=1e-5)


def test_video_file_is_streamed(model, speaks, tmp_path, monkeypatch):
    speaks("[SEG]")
    video = clip(30)
    for index, frame in enumerate(video.frames):
        Image.fromarray(frame).save(tmp_path / f"{index:05}.png")
    file = VideoFile(tmp_path)
    largest = 0

    def read(indices, original=file.read):
        nonlocal largest
        largest = max(largest, len(indices))
        return original(indices)

    monkeypatch.setattr(file, "read", read)
    session = Session(model, key_frames=2)
    from_file = session.ask(ask(media=file))
    assert largest <= 8
    np.testing.assert_array_equal(from_file.segments[0].masks, session.ask(ask(media=video)).segments[0].masks)


def test_each_object_is_tracked_from_the_first_place_where_it_is(model, speaks, monkeypatch):
    speaks("[SEG] and [SEG] and [SEG]")
    monkeypatch.setattr(model, "prompt_frames", "first")
    segment, keys = model.segment, []

    def segmented(*arguments):
        (objects,) = segment(*arguments)
        objects.object_logits = torch.tensor([[-1.0, 2.0, 9.0], [-3.0, -1.0, -2.0], [1.0, -1.0, -1.0]])
        return [objects]

    class Spy(Tracker):
        def track(self, frames, key_frames, num_frames):
            keys.append({frame: len(logits) for frame, logits in key_frames.items()})
            return super().track(frames, key_frames, num_frames)

    monkeypatch.setattr(model, "segment", segmented)
    monkeypatch.setattr("word2mask.inference.tracking.Tracker", Spy)
    result = Session(model, key_frames=3).ask(ask(media=clip(9)))
    assert keys == [{0: 1}, {4: 2}]
    assert [float(segment.scores[frame]) for segment, frame in zip(result.segments, (4, 4, 0), strict=True)] == (
        pytest.approx([0.8808, 0.2689, 0.7311], abs=1e-4)
    )


def test_progress_reaches_the_end(model, speaks):
    speaks("[SEG]")
    calls = []
    Session(model, key_frames=2).ask(ask(media=clip(5)), progress=lambda *call: calls.append(call))
    assert calls[0] == ("answer", 0, 1) and ("answer", 1, 1) in calls and calls[-1] == ("track", 5, 5)


def test_batch_equals_singles(model):
    """The real language model, whose random weights say something of their own about each request."""
    requests = [
        ask("Hi"),
        ask("Where is the circle?", picture(1), max_new_tokens=5),
        ask("And now?", clip(4, 2), max_new_tokens=9),
        ask("This?", picture(3), regions=np.ones((1, 24, 20), dtype=bool), max_new_tokens=7),
    ]
    session = Session(model, key_frames=2)
    for together, request in zip(session.batch(requests), requests, strict=True):
        alone = session.ask(request)
        assert together.raw_text == alone.raw_text
        assert len(together.segments) == len(alone.segments)
        assert len(model.mllm.tokenizer.encode(together.raw_text)) <= request.max_new_tokens * 4


def test_batch_of_masks_equals_singles(model, speaks):
    requests = [ask("a", picture(1)), ask("b", clip(4, 2)), ask("c"), ask("d", picture(4, (16, 30)))]
    answers = ["[SEG]", "[SEG] [SEG]", "No.", "[SEG][SEG][SEG]"]
    speaks(*answers)
    together = Session(model, key_frames=2).batch(requests)
    for answer, request, result in zip(answers, requests, together, strict=True):
        speaks(answer)
        alone = Session(model, key_frames=2).ask(request)
        assert len(result.segments) == len(alone.segments) == answer.count("[SEG]")
        for one, other in zip(result.segments, alone.segments, strict=True):
            np.testing.assert_array_equal(one.masks, other.masks)


def test_limit_of_each_request_counts(model, speaks):
    speaks("[SEG][SEG][SEG]", "[SEG][SEG][SEG]")
    results = Session(model).batch([ask(media=picture(), max_new_tokens=2), ask(media=picture(), max_new_tokens=3)])
    assert [len(result.segments) for result in results] == [2, 3]


def test_empty_question_and_empty_video(model):
    session = Session(model)
    with pytest.raises(UserError, match="question is empty"):
        session.ask(ask("  ", picture()))
    with pytest.raises(UserError, match="no frames"):
        session.ask(ask(media=Media("video", np.zeros((0, 8, 8, 3), dtype=np.uint8), ())))
    assert session.batch([]) == []


@pytest.mark.parametrize("option", [{"key_frames": 0}, {"key_frame_choice": "last"}, {"threshold": 1.0}])
def test_options_are_checked(model, option):
    with pytest.raises(UserError, match=next(iter(option))):
        Session(model, **option)


@pytest.fixture
def two_decoders(model):
    """The model with a trained decoder beside the original one."""
    decoder = model.segmenter.keep_original_decoder().model.mask_decoder
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(8)), alpha=0.1)
    yield model
    decoder.load_state_dict(model.segmenter.original_decoder.state_dict())
    model.segmenter.original_decoder = None


@pytest.mark.parametrize("choice", [None, "original", "trained"])
def test_the_trained_decoder_finds_and_the_chosen_one_follows(two_decoders, speaks, monkeypatch, choice):
    """Key frames by the trained decoder, and between them the tracker with whichever decoder was chosen."""
    found, followed = [], []
    segment, track = GroundedMLLM.segment, Tracker.track

    def watched_segment(self, *arguments):
        objects = segment(self, *arguments)
        found.extend(objects)
        return objects

    def watched_track(self, frames, key_frames, num_frames):
        followed.append((self.segmenter, key_frames))
        return track(self, frames, key_frames, num_frames)

    monkeypatch.setattr(GroundedMLLM, "segment", watched_segment)
    monkeypatch.setattr(Tracker, "track", watched_track)
    speaks("It is [SEG].")
    media = clip(6)
    session = Session(two_decoders, key_frames=2, propagate_with=choice)
    (result,) = session.ask(ask(media=media)).segments
    assert session.propagate_with == (choice or "original")
    ((segmenter, key_frames),) = followed
    expected = two_decoders.segmenter
    assert segmenter.model.mask_decoder is (
        expected.model.mask_decoder if choice == "trained" else expected.original_decoder
    )
    assert torch.equal(key_frames[0], found[0].mask_logits[:, 0])
    # Frames between come out as that segmenter alone tracks them, its own image features included.
    pixels = expected.processor.prepare_frames(media.frames)
    alone = {t: masks for t, masks, _ in track(Tracker(segmenter), lambda t: pixels[t : t + 1], key_frames, 6)}
    assert np.array_equal(result.masks[2], session.finder.at_original_size(alone[2], (24, 20))[0])


def test_the_original_decoder_must_be_there(model):
    assert Session(model).propagate_with is None
    with pytest.raises(UserError, match="keeps one mask decoder only"):
        Session(model, propagate_with="original")
    with pytest.raises(UserError, match='"original" or "trained", got \'both\''):
        Session(model, propagate_with="both")
    with pytest.raises(UserError, match="procedure must be one of sa2va-i, sa2va, masks, got 'sa2va-ii'"):
        Session(model, procedure="sa2va-ii")


@pytest.mark.parametrize("pointed", [False, True])
@pytest.mark.parametrize("family", [SAMSegmenter, SAM2Segmenter])
def test_masks_are_followed_without_a_memory(model, speaks, monkeypatch, family, pointed):
    """What is found on a key frame, by words or by a mark, goes on as the follower alone takes it."""
    known, track = [], MaskFollower.track

    def watched_track(self, frames, key_frames, num_frames):
        known.append(key_frames)
        return track(self, frames, key_frames, num_frames)

    monkeypatch.setattr(MaskFollower, "track", watched_track)
    monkeypatch.setattr(Tracker, "track", lambda *arguments: pytest.fail("there is no memory"))
    torch.manual_seed(1)
    segmenter, media = family.tiny(), clip(5)
    own = GroundedMLLM(model.mllm, segmenter)
    if not segmenter.tracks:
        with pytest.raises(UserError, match=r'5 frames, .* followed by their masks \(procedure "masks"\)'):
            Session(own).ask(ask(media=media))
    session = Session(own, key_frames=1, key_frame_choice=[2], procedure="masks")
    speaks("It is [SEG].")
    if pointed:
        result = session.follow(media, [VisualPrompt(2, box=(3, 4, 15, 20))])
    else:
        result = session.ask(ask(media=media))
    (given,), (segment,) = known, result.segments
    assert list(given) == [2]
    pixels = segmenter.processor.prepare_frames(media.frames)
    alone = {t: masks for t, masks, _ in track(MaskFollower(segmenter), lambda t: pixels[t : t + 1], given, 5)}
    expected = [session.finder.at_original_size(alone[t], (24, 20))[0] for t in range(5)]
    assert np.array_equal(segment.masks, expected) and expected[2].any()


def test_a_given_answer_is_read_not_written(model, monkeypatch):
    """As training sees it: the states at ``[SEG]`` of the whole conversation."""
    session = Session(model)
    media, answer = picture(5), "It is [SEG], and [SEG]."
    sample = Sample(
        "s", "1", "refer", (Turn("user", "Where?"), Turn("assistant", answer)), media, np.ones((2, 1, 24, 20), bool)
    )
    batch = collate([session.encoder(sample)], model.mllm.tokenizer.pad_token_id)
    with torch.no_grad():
        hidden = model.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media).hidden[0]
    seen = []
    monkeypatch.setattr(model, "prompts", lambda states: seen.extend(states) or GroundedMLLM.prompts(model, states))
    monkeypatch.setattr(model.mllm, "generate", None)
    other = ask("Which is it, then?", picture(6), answer="[SEG].")
    # Beside another of other length, which pads it.
    result, short = session.batch([ask(media=media, answer=answer), other])
    torch.testing.assert_close(seen[0], hidden[batch.seg_positions[0]], atol=1e-5, rtol=1e-5)
    assert (result.raw_text, result.text) == (answer, "It is, and.")
    assert [len(result.segments), len(short.segments)] == [2, 1]
    (alone,) = session.batch([ask(media=media, answer=answer)])
    for one, both in zip(alone.segments, result.segments, strict=True):
        np.testing.assert_array_equal(one.masks, both.masks)


def test_given_and_written_answers_side_by_side(model, speaks):
    speaks("It is [SEG].", "Nothing.")
    requests = [ask(media=picture(1)), ask(media=picture(2), answer="[SEG]."), ask(media=picture(3))]
    results = Session(model).batch(requests)
    assert [result.raw_text for result in results] == ["It is [SEG].", "[SEG].", "Nothing."]
    assert [len(result.segments) for result in results] == [1, 1, 0]


def test_a_given_answer_of_an_earlier_turn_keeps_its_own_seg(model):
    turns = (Turn("user", "Where?"), Turn("assistant", "It is [SEG]."), Turn("user", "And the other?"))
    result = Session(model).ask(Request(turns, picture(), answer="[SEG]."))
    assert len(result.segments) == 1
