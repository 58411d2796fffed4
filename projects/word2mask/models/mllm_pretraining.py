"""Pretraining of a base MLLM: next words, and the place of every ``<box>`` from its state.

Stands for the grounded pretraining that published base models have had. The regression head is thrown away afterwards;
what stays is a language model whose state at ``<box>`` knows what was meant and where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from word2mask.data.shapes_world.base_stream import BaseBatch
from word2mask.data.shapes_world.splits import HELD_OUT
from word2mask.data.shapes_world.vision_stream import NUM_RANKS, NUM_STANDINGS, OUTLINE_SIDE
from word2mask.data.shapes_world.vocabulary import ALL_COLOURS, ALL_SHAPES, MOTIONS, SIZES, TEXTURES
from word2mask.mllms.interface import MLLM
from word2mask.ops.boxes import box_overlaps
from word2mask.text.conversation import marker_ids
from word2mask.text.special_tokens import BOX_START, IGNORE_INDEX
from word2mask.types import Batch


class BoxHead(nn.Module):
    """State ``[K,D]`` → box ``[K,4]`` (x1, y1, x2, y2) in 0…1; of the shape of the projector that comes later."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 4))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Centre and size from the layers, corners out."""
        numbers = self.layers(states).float().sigmoid()
        centre, half = numbers[:, :2], numbers[:, 2:] / 2
        return torch.cat([centre - half, centre + half], dim=-1)


class CellHead(nn.Module):
    """Which visual tokens a state means: states ``[K,D]`` and tokens ``[K,cells,D]`` → scores ``[K,cells]``.

    The match of words and looks is learnt here first; reading off the place follows from it.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)

    def forward(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Scaled dot products."""
        return torch.einsum("kd,kcd->kc", self.query(states), self.key(tokens)).float() / states.shape[-1] ** 0.5


def _partners() -> tuple[torch.Tensor, torch.Tensor]:
    """Of each colour the shapes, bool ``[colours,shapes]``, and of each shape the colours that are held out with it."""
    shapes_of = torch.zeros(len(ALL_COLOURS), len(ALL_SHAPES), dtype=torch.bool)
    for colour, shape in HELD_OUT:
        shapes_of[ALL_COLOURS.index(colour), ALL_SHAPES.index(shape)] = True
    return shapes_of, shapes_of.T.clone()


_PARTNERS = _partners()


class LookHead(nn.Module):
    """Shape, colour, texture and size of what a state means, states ``[K,D]``.

    One head reads words (the states of ``<box>``) and pictures (the states of visual tokens), so that both come to say
    the same in the same way.
    """

    classes = (len(ALL_SHAPES), len(ALL_COLOURS), len(TEXTURES), len(SIZES))

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(hidden_size, sum(self.classes))

    def forward(self, states: torch.Tensor, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean loss and accuracy against ``looks [K,4]`` (-100: no loss)."""
        parts = list(self.layer(states).float().split(self.classes, dim=-1))
        # A held-out partner is no candidate: that a moon is never red in training says nothing of red moons.
        for part, other in ((0, 1), (1, 0)):
            partners = _PARTNERS[part].to(states.device)
            known = looks[:, other].clamp(min=0)
            parts[part] = parts[part].masked_fill(partners[known] & (looks[:, other] >= 0)[:, None], -1e4)
        losses, right = [], []
        for part, target in zip(parts, looks.unbind(1), strict=True):
            named = target >= 0
            # A sum, as a batch may hold nothing with a name, of which there is no mean.
            losses.append(nn.functional.cross_entropy(part, target, reduction="sum") / named.sum().clamp(min=1))
            right.append((part.argmax(-1) == target)[named].float())
        return torch.stack(losses).sum(), torch.cat(right).mean()


class ShownHead(nn.Module):
    """What visual tokens tell of their objects beyond looks: what they do, where they were, how they stand.

    In frames after the first one a token names the motion of its object and the box that it had in the first frame:
    the model must follow it. In the first frame it names the box, and counts how many are further left, higher or
    smaller.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.motion = nn.Linear(hidden_size, len(MOTIONS))
        self.start = BoxHead(hidden_size)
        self.standing = nn.Linear(hidden_size, NUM_STANDINGS * NUM_RANKS)

    def forward(self, states: torch.Tensor, batch: BaseBatch) -> dict[str, torch.Tensor]:
        """Losses and accuracies.

        Args:
            states: ``[B,T*h*w,D]``.
            batch: what they show.
        """
        num_first = batch.cell_standings.shape[1]
        first = states[:, :num_first]
        told = (batch.cell_standings >= 0).any(-1)
        results: dict[str, torch.Tensor] = {}
        if told.any():
            ranks = self.standing(first[told]).float().unflatten(-1, (NUM_STANDINGS, NUM_RANKS))
            target = batch.cell_standings[told]
            results["loss_standing"] = nn.functional.cross_entropy(ranks.flatten(0, 1), target.flatten())
            results["standing_hit"] = (ranks.argmax(-1) == target)[target >= 0].float().mean()
        here = batch.cell_motions >= 0
        if here.any():
            motions, target = self.motion(states[here]).float(), batch.cell_motions[here]
            results["loss_motion"] = nn.functional.cross_entropy(motions, target)
            results["motion_hit"] = (motions.argmax(-1) == target).float().mean()
            results |= self._boxes("start", states[here], batch.cell_starts[here])
        here = batch.cell_outlines[:, :num_first].any(-1)
        if here.any():
            results |= self._boxes("own", first[here], batch.cell_starts[:, :num_first][here])
        return results

    def _boxes(self, name: str, states: torch.Tensor, boxes: torch.Tensor) -> dict[str, torch.Tensor]:
        told = self.start(states)
        hit = (box_overlaps(told, boxes)[0] > 0.5).float().mean()
        return {f"loss_{name}": (told - boxes).abs().mean(), f"{name}_hit": hit}


class SeenHead(nn.Module):
    """Colour and outline of the object of a visual token, in numbers.

    A name can be asked only of what has one. Asked for names alone, a connector of this size kept the colour of pairs
    that training shows and lost that of all others: a linear probe on the tower told the colours of held-out pairs
    right in 98 % of their tokens, and in 32 % behind the connector.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(hidden_size, 3 + OUTLINE_SIDE**2)

    def forward(self, states: torch.Tensor, batch: BaseBatch) -> dict[str, torch.Tensor]:
        """Losses.

        Args:
            states: ``[B,T*h*w,D]``.
            batch: what they show.
        """
        here = batch.cell_outlines.any(-1)
        if not here.any():
            return {}
        tints, outlines = self.layer(states[here]).float().split((3, OUTLINE_SIDE**2), dim=-1)
        return {
            "tint": (tints - batch.cell_tints[here]).abs().mean(),
            "outline": nn.functional.binary_cross_entropy_with_logits(outlines, batch.cell_outlines[here]),
        }


class MLLMPretraining(nn.Module):
    """An MLLM that learns from conversations with boxes.

    Args:
        mllm: the model; its vision tower trains only if ``train_vision``.
        text_weight: of the loss of the next words.
        box_weight: of the box loss. Its gradient in the language model is thirty times that of the words; at weights
            above these it drowns them, and neither words nor the match of words and looks are learnt.
        cell_weight: of the loss that finds the visual tokens of the object meant.
        anchor_weight: of the loss that finds those of the object to which a question relates it, in the middle layer.
            Without it the middle layer knew that object in 9 % of the relations: what is left of the star is mostly
            what is furthest left, and a model that has learnt so has no use for the place of the star.
        distance_weight: of the loss that orders the visual tokens by their objects' distance from that one
            (:func:`order_loss`). Which is nearest is a matter of precision: of two, the base found it in 85 % where the
            other was more than 35 pixels further away, in 56 % below 20 (55 questions each).
        look_weight: of the losses that name what is meant and what each visual token shows.
        shown_weights: of the losses of :class:`ShownHead`.
        seen_weights: of the losses of :class:`SeenHead`, behind the connector and in the middle layer.
        middle_layer: number of decoder layers after which the same match is asked for once more, so that the layers
            above can build on it.
        train_vision: whether the vision tower learns too.
    """

    def __init__(
        self,
        mllm: MLLM,
        text_weight: float = 3.0,
        box_weight: float = 0.1,
        cell_weight: float = 1.0,
        look_weight: float = 0.25,
        anchor_weight: float = 1.0,
        distance_weight: float = 1.0,
        middle_layer: int = 3,
        train_vision: bool = False,
        shown_weights: Mapping[str, float] = MappingProxyType(
            {"motion": 0.5, "start": 2.0, "own": 2.0, "standing": 0.25}
        ),
        seen_weights: Mapping[str, float] = MappingProxyType({"tint": 4.0, "outline": 1.0}),
    ) -> None:
        super().__init__()
        self.mllm = mllm.requires_grad_(True)
        mllm.parameter_groups()["vision"].requires_grad_(train_vision)
        self.box_head = BoxHead(mllm.hidden_size)
        self.cell_head = CellHead(mllm.hidden_size)
        self.middle_head, self.anchor_head = CellHead(mllm.hidden_size), CellHead(mllm.hidden_size)
        self.distance_head = CellHead(mllm.hidden_size)
        self.look_head, self.middle_look_head = LookHead(mllm.hidden_size), LookHead(mllm.hidden_size)
        self.shown_head = ShownHead(mllm.hidden_size)
        self.connector_head, self.seen_head = SeenHead(mllm.hidden_size), SeenHead(mllm.hidden_size)
        self.shown_weights, self.seen_weights = dict(shown_weights), dict(seen_weights)
        self.middle_layer = middle_layer
        self.text_weight, self.look_weight = text_weight, look_weight
        self.box_weight, self.cell_weight, self.anchor_weight = box_weight, cell_weight, anchor_weight
        self.distance_weight = distance_weight
        self.box_id = mllm.tokenizer.convert_tokens_to_ids(BOX_START)
        self.user_ids = marker_ids(mllm.template.user_prefix, mllm.tokenizer)
        self.media_end_id = mllm.tokenizer.convert_tokens_to_ids("</img>")
        self.context_id = mllm.tokenizer.convert_tokens_to_ids(mllm.processor.context_token)

    def forward(self, batch: BaseBatch) -> dict[str, torch.Tensor]:
        """``loss_text``, ``loss_box`` (1 - GIoU plus five times L1, weighted), and the share of boxes with IoU over
        0.5 as ``box_hit``; beside them what the other heads lose and hit (:class:`LookHead`, :class:`CellHead`,
        :class:`ShownHead`).

        Raises:
            ValueError: the tokens ``<box>`` and the boxes don't match in number.
        """
        if any(cells is not None for cells in batch.batch.region_cells):
            return self._about_regions(batch.batch)
        exchanges = split_exchanges(batch.batch, self.user_ids, self.media_end_id)
        found = self.mllm.forward_exchanges(
            exchanges.prefix_ids, batch.batch.mllm_media, exchanges.owners, exchanges.input_ids, self.middle_layer
        )
        hidden = found.exchanges
        labels = exchanges.labels[:, 1:]
        here = labels != IGNORE_INDEX
        logits = self.mllm.logits(hidden[:, :-1][here]).float()
        results = {"loss_text": self.text_weight * nn.functional.cross_entropy(logits, labels[here])}
        boxed = exchanges.labels == self.box_id
        states = hidden[boxed]
        if len(states) != len(batch.boxes):
            raise ValueError(f"{len(states)} {BOX_START} in the answers, but {len(batch.boxes)} boxes")
        if len(states):
            predicted = self.box_head(states)
            iou, generalised = box_overlaps(predicted, batch.boxes)
            distance = (predicted - batch.boxes).abs().mean()
            results["loss_box"] = self.box_weight * ((1 - generalised).mean() + 5 * distance)
            results["box_hit"] = (iou > 0.5).float().mean()
            visual = (exchanges.prefix_ids[0] == self.context_id).nonzero().flatten()
            seen = visual[: batch.cells.shape[1]]
            owners = exchanges.owners[boxed.nonzero()[:, 0]]
            lower, lower_prefix = _normal(found.middle_exchanges)[boxed], _normal(found.middle_prefix)
            shown = batch.cell_looks.flatten(0, 1)
            for name, head, at, looks in (
                ("look", self.look_head, states, batch.looks),
                ("lower_look", self.middle_look_head, lower, batch.looks),
                ("shown_look", self.middle_look_head, lower_prefix[:, visual].flatten(0, 1), shown),
            ):
                loss, results[f"{name}_hit"] = head(at, looks)
                results[f"loss_{name}"] = self.look_weight * loss
            for name, value in self.shown_head(lower_prefix[:, visual], batch).items():
                results[name] = self.shown_weights.get(name.removeprefix("loss_"), 1.0) * value
            for place, seen_head, prefix in (
                ("connector", self.connector_head, _normal(found.entering_prefix)),
                ("seen", self.seen_head, lower_prefix),
            ):
                for name, value in seen_head(prefix[:, visual], batch).items():
                    results[f"loss_{place}_{name}"] = self.seen_weights[name] * value
            for name, weight, head, prefix, state, cells in (
                ("cell", self.cell_weight, self.cell_head, found.prefix, states, batch.cells),
                ("middle", self.cell_weight, self.middle_head, lower_prefix, lower, batch.cells),
                ("anchor", self.anchor_weight, self.anchor_head, lower_prefix, lower, batch.anchors),
            ):
                asked = cells.any(dim=1)
                if asked.any():
                    scores = head(state[asked], prefix[:, seen][owners[asked]])
                    share = cells[asked] / cells[asked].sum(dim=1, keepdim=True)
                    results[f"loss_{name}"] = weight * nn.functional.cross_entropy(scores, share)
                    best = cells[asked].gather(1, scores.argmax(dim=1, keepdim=True))
                    results[f"{name}_hit"] = (best > 0.1).float().mean()
            beside = batch.anchors.any(dim=1)
            if beside.any():
                results["beside_hit"] = (iou[beside] > 0.5).float().mean()
                closeness = self.distance_head(lower[beside], lower_prefix[:, seen][owners[beside]])
                loss, results["distance_hit"] = order_loss(closeness, batch.distances[beside])
                results["loss_distance"] = self.distance_weight * loss
        return results

    def _about_regions(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Conversations about marked regions, which stand before the first question and so belong to them all."""
        hidden = self.mllm(batch.input_ids, batch.attention_mask, batch.mllm_media, batch.region_cells).hidden
        labels = batch.labels[:, 1:]
        here = labels != IGNORE_INDEX
        logits = self.mllm.logits(hidden[:, :-1][here]).float()
        return {"loss_text": self.text_weight * nn.functional.cross_entropy(logits, labels[here])}


@dataclass
class Exchanges:
    """Questions and answers of a batch, each a conversation of its own.

    Attributes:
        prefix_ids: int64 ``[B,P]``, what all exchanges of a sample begin with: the user's prefix and the media.
        owners: int64 ``[E]``, sample of each exchange.
        input_ids: E of int64 ``[L_e]``.
        labels: int64 ``[E,L]``, padded on the right.
    """

    prefix_ids: torch.Tensor
    owners: torch.Tensor
    input_ids: list[torch.Tensor]
    labels: torch.Tensor


def split_exchanges(batch: Batch, user_ids: Sequence[int], media_end_id: int) -> Exchanges:
    """Takes conversations apart, so that each question sees its picture and nothing that was asked before.

    Args:
        batch: conversations with media of one size and without marked regions.
        user_ids: the template's tokens before a user's text; a separator of one token stands before them.
        media_end_id: the token after the visual ones.
    """
    first = int((batch.input_ids[0] == media_end_id).nonzero()[-1]) + 2
    owners, ids, labels = [], [], []
    for row, sequence in enumerate(batch.input_ids):
        length = int(batch.attention_mask[row].sum())
        starts = (sequence[:length] == user_ids[0]).nonzero().flatten().tolist()
        starts = [start for start in starts if sequence[start : start + len(user_ids)].tolist() == list(user_ids)]
        begins = [first, *(start + len(user_ids) for start in starts[1:])]
        ends = [*(start - 1 for start in starts[1:]), length]
        for begin, end in zip(begins, ends, strict=True):
            owners.append(row)
            ids.append(sequence[begin:end])
            labels.append(batch.labels[row, begin:end])
    return Exchanges(
        prefix_ids=batch.input_ids[:, :first],
        owners=torch.tensor(owners, device=batch.input_ids.device),
        input_ids=ids,
        labels=pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX),
    )


def order_loss(closeness: torch.Tensor, distances: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether what is nearer scores higher: logistic loss over pairs (RankNet, Burges et al., 2005).

    Args:
        closeness: float ``[K,cells]``.
        distances: float ``[K,cells]``; infinite where there is nothing to order.

    Returns:
        Mean loss over the pairs of one row whose distances differ, and the share of them in right order.
    """
    known = distances.isfinite()
    further = (distances[:, None, :] > distances[:, :, None]) & known[:, None, :] & known[:, :, None]
    lead = (closeness[:, :, None] - closeness[:, None, :])[further]
    # A sum, as there may be no two objects besides the one.
    count = max(1, len(lead))
    return nn.functional.softplus(-lead).sum() / count, (lead > 0).float().sum() / count


def _normal(states: torch.Tensor) -> torch.Tensor:
    """States of a middle layer at unit scale."""
    return nn.functional.layer_norm(states, states.shape[-1:])
