"""Pointing: the box of an object is what the visual tokens that a [SEG] means tell, corrected by its last state."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from word2mask.inference.session import Session
from word2mask.losses.grounding import GroundingLoss
from word2mask.mllms.composed import ComposedMLLM
from word2mask.models.folder import load_grounded, save_grounded
from word2mask.models.grounded import GroundedMLLM
from word2mask.models.guide import GuidePlan
from word2mask.models.pointer import Pointer, Scene, exchanges, whole_frames
from word2mask.models.projector import PointingProjector, make_projector
from word2mask.models.trainable import TrainablePlan
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.text.conversation import encode_conversation
from word2mask.types import Batch, Media, Request, Turn

WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


TOKENS = torch.eye(5)[:4]
#: What a head that says nothing tells, around each token's middle, and a cell.
TOLD, CELL = torch.sigmoid(torch.tensor(-1.0)).item(), 0.5


def pointer() -> Pointer:
    """Four tokens of one-hot states; what a [SEG] looks like is what it means."""
    heads = Pointer(hidden_size=5, grid=(2, 2), layer=1).eval()
    with torch.no_grad():
        for layer in (heads.query, heads.key):
            layer.weight.copy_(20 * torch.eye(5))
            layer.bias.zero_()
        heads.box[2].weight.zero_()
        heads.box[2].bias.zero_()
    return heads


def scene_of(segs: torch.Tensor, tokens: torch.Tensor = TOKENS) -> Scene:
    nothing = torch.zeros(0, 5)
    return Scene(segs, tokens, nothing, torch.zeros(len(segs), 0, dtype=torch.bool), torch.zeros_like(tokens), nothing)


def square(x: float, y: float, size: float) -> torch.Tensor:
    return torch.tensor([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]])


def test_a_seg_gets_the_box_of_the_token_that_it_means():
    """Half of it what the token tells, half as far as the one token reaches."""
    heads = pointer()
    for wanted, (x, y) in enumerate([(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]):
        box = heads(scene_of(TOKENS[[wanted]]))
        torch.testing.assert_close(box, square(x, y, (TOLD + CELL) / 2), atol=1e-4, rtol=0)


def test_tokens_of_another_object_have_no_say_however_likely():
    """Tokens 0 and 3 are meant alike; in between lies neither."""
    heads = pointer()
    between = heads(scene_of((TOKENS[0] + 1.001 * TOKENS[3])[None]))
    torch.testing.assert_close(between, heads(scene_of(TOKENS[[3]])), atol=1e-4, rtol=0)


def test_tokens_that_agree_are_averaged(monkeypatch):
    heads = pointer()
    told = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.1, 0.0, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.6, 0.6, 0.9, 0.9]])
    monkeypatch.setattr(heads, "told", lambda tokens: told)
    segs = (TOKENS[0] + TOKENS[1])[None]
    with torch.no_grad():
        heads.trust.fill_(50.0)
    torch.testing.assert_close(heads(scene_of(segs)), torch.tensor([[0.05, 0.0, 0.5, 0.5]]), atol=1e-4, rtol=0)
    with torch.no_grad():
        heads.trust.fill_(-50.0)  # the upper two of four cells, whole
    torch.testing.assert_close(heads(scene_of(segs)), torch.tensor([[0.0, 0.0, 1.0, 0.5]]), atol=1e-4, rtol=0)


def test_frames_do_not_mix():
    """The same things on two frames: the box is of one of them."""
    heads = pointer()
    boxes = heads(scene_of(TOKENS[[1]], TOKENS.repeat(2, 1)))
    torch.testing.assert_close(boxes, heads(scene_of(TOKENS[[1]])), atol=1e-4, rtol=0)


def test_nothing_to_point_at():
    heads = pointer()
    assert torch.equal(heads(scene_of(TOKENS[:1], torch.zeros(0, 5))), WHOLE)
    assert heads(scene_of(torch.zeros(0, 5))).shape == (0, 4)


def test_a_token_is_meant_that_looks_like_a_word_of_the_own_question():
    """Words 4 and 5 of a row are "token 1" and "token 2" in the eyes of the connector; each [SEG] asks for one."""
    heads = Pointer(hidden_size=5, grid=(2, 2), layer=1)
    with torch.no_grad():
        heads.query.weight.zero_()
        heads.query.bias.zero_()
    looks = torch.eye(5)[:4]
    embedded = torch.cat([looks, looks[[1, 2]], torch.zeros(2, 5)])
    visual = torch.tensor([True] * 4 + [False] * 4)
    asked = torch.zeros(2, 8, dtype=torch.bool)
    asked[0, 4] = asked[1, 5] = True
    scene = heads.scene(torch.randn(8, 5), embedded, torch.tensor([6, 7]), visual, asked)
    torch.testing.assert_close(heads.centre, looks.mean(0))  # of the first tokens that it sees
    assert heads.scores(scene).argmax(dim=1).tolist() == [1, 2]
    with torch.no_grad():
        heads.counts.weight.zero_()
        heads.counts.bias.fill_(-50.0)  # words that don't count
    torch.testing.assert_close(heads.scores(scene), torch.zeros(2, 4))
    seen = heads.centre.clone()
    heads.eval().scene(torch.randn(8, 5), 2 * embedded, torch.tensor([6, 7]), visual, asked)
    assert torch.equal(heads.centre, seen)


#: A dog on the left, a small dog on the right, a cat beside it and nothing: what four tokens look like and tell.
LOOKS = torch.tensor([[1.0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]])
BOXES = torch.tensor([[0.0, 0.2, 0.4, 0.8], [0.6, 0.4, 0.7, 0.6], [0.8, 0.4, 1.0, 0.6], [0.4, 0.0, 0.6, 0.1]])


def among_dogs(*wanted: str) -> list[int]:
    """Which tokens are meant, a ``[SEG]`` each; "+" is another one of the same answer. States say nothing but what
    heads are set to read: the first word names a dog, the second a cat beside it."""
    heads = Pointer(hidden_size=5, grid=(2, 2), layer=1, own_boxes=False).eval()
    with torch.no_grad():
        for layer in (heads.query, heads.key):
            layer.weight.zero_()
            layer.bias.zero_()
        heads.counts.weight[0, 4], heads.beside.weight[0, 4] = -20.0, 20.0  # the mark of a word that stands beside
        for row, reads in ((0, 0), (4, 1), (9, 2)):  # x, size and distance from edge to edge
            heads.wants.weight[row, reads] = -8.0
    places = {"left": [1.0, 0, 0, 0, 0], "right": [-1.0, 0, 0, 0, 0], "small": [0, 1.0, 0, 0, 0]}
    places |= {"near the cat": [0, 0, 1.0, 0, 0], "any": [0.0] * 5, "+": [0.0] * 5}
    segs = torch.tensor([places[word] for word in wanted])
    beside = torch.tensor([0, 0, 0, 0, 1.0])
    words, names, asked = [], [], torch.zeros(len(segs), 2 * len(segs), dtype=torch.bool)
    for place, word in enumerate(wanted):
        words += [-beside, beside]
        names += [LOOKS[0], LOOKS[2]]
        first = place if word != "+" else place - 1
        asked[place, 2 * first : 2 * first + 2] = True
    scene = Scene(segs, torch.zeros(4, 5), torch.stack(words), asked, LOOKS, torch.stack(names), BOXES)
    return heads.scores(scene).argmax(dim=1).tolist()


def test_places_sizes_and_neighbours_are_wanted_of_what_tokens_tell():
    assert among_dogs("left", "right", "small", "near the cat") == [0, 1, 1, 1]
    assert among_dogs("near the cat", "left") == [1, 0]


def test_no_object_is_meant_twice_in_an_answer():
    """Of two dogs that are meant alike, the second answer's first ``[SEG]`` is free again."""
    both = among_dogs("any", "+")
    assert sorted(both) == [0, 1]
    assert among_dogs("any", "any") == [both[0], both[0]]
    assert among_dogs("left", "+") == [0, 1] and among_dogs("right", "+") == [1, 0]


def test_tokens_of_several_frames_have_their_own_neighbours():
    """The cat changes places: on the first frame it is beside the dog on the left, on the second beside the other."""
    heads = Pointer(hidden_size=5, grid=(2, 2), layer=1, own_boxes=False).eval()
    with torch.no_grad():
        for layer in (heads.query, heads.key):
            layer.weight.zero_()
            layer.bias.zero_()
        heads.beside.bias.fill_(20.0)
        heads.counts.bias.fill_(-20.0)
        heads.wants.bias[9] = -8.0
    states, asked = torch.zeros(9, 5), torch.ones(1, 1, dtype=torch.bool)
    boxes = BOXES.repeat(2, 1)
    boxes[2] = torch.tensor([0.4, 0.2, 0.5, 0.8])
    scene = Scene(states[:1], states[:8], states[8:], asked, LOOKS.repeat(2, 1), LOOKS[[2]], boxes)
    scores = heads.scores(scene)[0]
    assert scores[0] > scores[1] and scores[5] > scores[4]


def test_exchanges_begin_where_the_user_speaks():
    """Turns begin with 8 9; the second [SEG] (7) belongs to the second exchange, the third to it too."""
    ids = torch.tensor([8, 9, 1, 2, 7, 3, 8, 9, 4, 7, 5, 7])
    found = exchanges(ids, torch.tensor([4, 9, 11]), [8, 9])
    assert [row.nonzero()[:, 0].tolist() for row in found] == [[2, 3], [8], [8, 9, 10]]
    unmarked = exchanges(ids, torch.tensor([4]), [6])
    assert unmarked[0].nonzero()[:, 0].tolist() == [0, 1, 2, 3]
    assert exchanges(ids, torch.zeros(0, dtype=torch.long), [8, 9]).shape == (0, 12)


def test_tokens_of_marked_regions_are_no_frame():
    """Two frames of three tokens, and a region of two that are said once more."""
    visual = torch.tensor([0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0]).bool()
    assert whole_frames(visual, 3).nonzero()[:, 0].tolist() == [1, 2, 3, 5, 6, 7]
    assert not whole_frames(torch.zeros(4, dtype=torch.bool), 3).any()


def test_a_marked_region_is_answered_about():
    """A picture with a region, through a session: its tokens stand once more in the question."""
    session = Session(grounded().eval())
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 30, 3), dtype=np.uint8)
    regions = np.zeros((1, 40, 30), dtype=bool)
    regions[0, 10:30, 5:20] = True
    turns = (Turn("user", "Where is what region1 shows?"),)
    request = Request(turns, Media("image", pixels), regions=regions, answer="It is [SEG].")
    answer = session.ask(request)
    assert answer.segments[0].masks.shape == (1, 40, 30)


def test_what_was_pointed_at_stands_until_the_state_corrects_it():
    projector = make_projector(corners=True, hidden_size=6, prompt_dim=8, grid=[2, 2], layer=1)
    assert isinstance(projector, PointingProjector)
    box = torch.tensor([[0.1, 0.2, 0.7, 0.6]])
    rows = torch.cat([torch.randn(1, 6), box], dim=-1)
    torch.testing.assert_close(projector.boxes(rows), box)
    with torch.no_grad():
        projector.layers[2].bias.copy_(torch.tensor([0.5, 0.0, 0.0, 0.0]))
    moved = projector.boxes(rows)[0]
    assert moved[0] > box[0, 0] and moved[2] > box[0, 2]
    torch.testing.assert_close(moved[[1, 3]], box[0, [1, 3]])
    assert projector.no_rows(rows).shape == (0, 10) and projector(rows).shape == (1, 2, 8)


def grounded(**options: object) -> GroundedMLLM:
    torch.manual_seed(0)
    plan = TrainablePlan(lora_rank=2, lora_alpha=4, lora_dropout=0.0, train=("connector", "projector", "guide"))
    loss = GroundingLoss(mask_weight=0.0, dice_weight=0.0, box_weight=1.0)
    parts = ComposedMLLM.tiny(tells_boxes=True), SAM2Segmenter.tiny()
    settings = {"guide": GuidePlan(layer=1), "projector_start": "pointing"} | options
    return GroundedMLLM(*parts, loss=loss, trainable=plan, **settings).train()


def batch_of(model: GroundedMLLM, *answers: str) -> Batch:
    """The same picture once for each answer, the shorter ones padded."""
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 30, 3), dtype=np.uint8)
    processor = model.mllm.processor
    prepared = processor.prepare_media(Media("image", pixels))
    items = [
        encode_conversation(
            (Turn("user", "Where?"), Turn("assistant", answer)),
            processor.tokenizer,
            processor.template,
            prepared.placeholder,
        )
        for answer in answers
    ]
    pad = torch.nn.utils.rnn.pad_sequence
    mask = torch.zeros(1, 1, 40, 30, dtype=torch.bool)
    mask[0, 0, 10:30, 5:20] = True
    count = len(items)
    return Batch(
        names=[f"test[{place}]" for place in range(count)],
        tasks=["refer"] * count,
        input_ids=pad([item.input_ids for item in items], batch_first=True),
        attention_mask=pad([torch.ones_like(item.input_ids) for item in items], batch_first=True),
        labels=pad([item.labels for item in items], batch_first=True, padding_value=-100),
        seg_positions=[item.seg_positions for item in items],
        mllm_media={name: torch.cat([tensor] * count) for name, tensor in prepared.tensors.items()},
        segmenter_frames=[model.segmenter.processor.prepare_frames(pixels)] * count,
        masks=[mask] * count,
        void=[None] * count,
        region_cells=[None] * count,
    )


def test_it_learns_and_is_exported_with_its_heads(tmp_path):
    model = grounded()
    batch = batch_of(model, "It is [SEG].")
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    history = []
    for _ in range(40):
        losses = model(batch)
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if name.startswith("loss_")).backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in losses.items() if value.ndim == 0})
    assert history[-1]["point_hit"] == 1 and history[-1]["loss_box"] < 0.3 * history[0]["loss_box"]
    model.merge()
    save_grounded(model.eval(), tmp_path / "model")
    copy = load_grounded(tmp_path / "model")
    assert copy.guide is None and copy.mllm.middle_layer == 1

    def boxes(of: GroundedMLLM) -> torch.Tensor:
        output = of.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media)
        return of.projector.boxes(of.objects_of(output, batch.input_ids, 0, batch.seg_positions[0]))

    assert torch.equal(boxes(copy), boxes(model))
    torch.testing.assert_close(boxes(copy)[0], torch.tensor([5 / 30, 10 / 40, 20 / 30, 30 / 40]), atol=0.1, rtol=0)


@pytest.mark.parametrize("seg_state", ["at", "before"])
def test_answers_that_were_just_written_are_read_like_given_ones(seg_state):
    """Rows of prompt and answer, of different lengths, against the same conversations encoded whole."""
    model = grounded(seg_state=seg_state).eval()
    whole = batch_of(model, "It is [SEG].", "Two of them, [SEG] and [SEG].", "None.")
    output = model.mllm(whole.input_ids, whole.attention_mask, whole.mllm_media)
    expected = [model.objects_of(output, whole.input_ids, row, found) for row, found in enumerate(whole.seg_positions)]
    starts = [int((row != -100).nonzero()[0, 0]) for row in whole.labels]
    lengths = whole.attention_mask.sum(dim=1).tolist()
    answers = [row[start:length] for row, start, length in zip(whole.input_ids, starts, lengths, strict=True)]
    prompts = batch_of(model, "It is [SEG].", "Two of them, [SEG] and [SEG].", "None.")
    places = torch.arange(prompts.input_ids.shape[1])
    prompts.attention_mask = (places < torch.tensor(starts)[:, None]).long()

    class Written:
        ids = answers
        seg_hidden = [torch.zeros(count, model.mllm.hidden_size) for count in (1, 2, 0)]

    found = model.objects_of_answers(prompts, Written)
    assert [len(rows) for rows in found] == [1, 2, 0]
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)
    Written.seg_hidden = [torch.zeros(0, model.mllm.hidden_size)] * 3
    assert [rows.shape for rows in model.objects_of_answers(prompts, Written)] == [(0, model.mllm.hidden_size + 4)] * 3


def test_what_cannot_be():
    with pytest.raises(ValueError, match="needs a guide"):
        grounded(guide=None)
    projector = PointingProjector(32, SAM2Segmenter.tiny().prompt_dim, (1, 1), 2)
    with pytest.raises(ValueError, match="points after 2 layers, its guide speaks of 1"):
        grounded(projector=projector)
