"""Beam search by transformers' own ``generate`` over a language model whose prompt comes as embeddings."""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, GenerationMixin, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import CausalLMOutputWithPast

from word2mask.mllms.decoding import Generated, Kept, Parts, Prompts, StopRule, Writing, read_columns, start_cache
from word2mask.types import Generation


@torch.no_grad()
def write_best_answer(parts: Parts, prompts: Prompts, settings: Generation, kept: Kept | None = None) -> Writing:
    """The likeliest of several answers that are followed side by side; it is known as a whole, at the end.

    The prompt is read once and its keys and values are repeated for the beams. States at ``[SEG]`` come from one more
    pass over the answer that won.

    Args:
        parts: the language model.
        prompts: a single one, B = 1.
        settings: with two beams or more.
        kept: as in :func:`word2mask.mllms.decoding.write_answers`.

    Raises:
        ValueError: more prompts than one.
    """
    if len(prompts.embeddings) != 1:
        raise ValueError(f"beams follow one prompt at a time, got {len(prompts.embeddings)}")
    rest = prompts if kept is None else kept.rest(prompts)
    cache = start_cache(parts.language_model, kept)
    width = rest.embeddings.shape[1]
    if width > 1:
        # The mask of a prompt that goes on with a conversation is longer than what is left to read.
        front = rest.columns(0, width - 1)
        front.attention_mask = rest.attention_mask[:, :-1]
        read_columns(parts.language_model, front, cache, kept)
    last = rest.columns(width - 1, width)
    last.attention_mask = rest.attention_mask
    answer = _search(parts, last, cache, settings)
    yield [answer]
    embedded = parts.embed(torch.tensor([answer], dtype=torch.long, device=rest.embeddings.device))
    steps = torch.arange(len(answer) + 1, device=rest.embeddings.device)
    columns = Prompts(
        torch.cat([last.embeddings, embedded.to(last.embeddings.dtype)], dim=1),
        torch.cat([last.attention_mask, last.attention_mask.new_ones(1, len(answer))], dim=1),
        last.position_ids + steps,
    )
    states = read_columns(parts.language_model, columns, cache, kept)[0]
    shift = 1 if parts.seg_state == "at" else 0
    places = [place + shift for place, token in enumerate(answer) if token == parts.state_id]
    return Generated([torch.tensor(answer, dtype=torch.long, device=states.device)], [states[places]])


def _search(parts: Parts, last: Prompts, cache: DynamicCache, settings: Generation) -> list[int]:
    """The tokens of the likeliest answer, without its stop; the cache stays as it is."""
    beams = settings.num_beams
    repeated = DynamicCache(config=parts.language_model.config)
    for layer, read in zip(repeated.layers, cache.layers, strict=True):
        if read.get_seq_length():
            layer.update(read.keys.repeat_interleave(beams, dim=0), read.values.repeat_interleave(beams, dim=0))
    written = _Writer(parts, last.position_ids).generate(
        inputs_embeds=last.embeddings,
        attention_mask=last.attention_mask,
        past_key_values=repeated,
        generation_config=GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            num_beams=beams,
            do_sample=False,
            eos_token_id=sorted(parts.rule.token_ids) or None,
            pad_token_id=min(parts.rule.token_ids, default=0),
        ),
        stopping_criteria=StoppingCriteriaList([_Stop(parts.rule)]),
    )
    answer: list[int] = []
    for token in written[0].tolist():
        answer.append(token)
        length = parts.rule.stop_length(answer)
        if length is not None:
            return answer[:length]
    return answer


class _Stop(StoppingCriteria):
    """Our rule in transformers' shape: it sees new tokens only."""

    def __init__(self, rule: StopRule) -> None:
        self._rule = rule

    def __call__(self, input_ids: torch.Tensor, scores: Any, **options: Any) -> torch.Tensor:
        ended = [self._rule.stop_length(row) is not None for row in input_ids.tolist()]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)


class _Writer(GenerationMixin):
    """What transformers' ``generate`` asks of a model, over one that has read all but the last column of its prompt.

    Args:
        parts: the language model.
        position: int64 ``[…,1,1]`` of the last column.
    """

    main_input_name = "input_ids"
    _is_stateful = False

    def __init__(self, parts: Parts, position: torch.Tensor) -> None:
        self._parts, self._position = parts, position
        self.config = parts.language_model.config
        self.generation_config = GenerationConfig()
        self.device, self.dtype = position.device, next(parts.language_model.parameters()).dtype

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        past_key_values: DynamicCache | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        next_sequence_length: int | None = None,
        is_first_iteration: bool = False,
        **options: Any,
    ) -> dict[str, Any]:
        """The last column of the prompt, and then the last token of each beam."""
        written = input_ids.shape[1]
        embeddings = inputs_embeds if not written else self._parts.embed(input_ids[:, -1:])
        return {
            "columns": Prompts(
                embeddings,
                attention_mask,
                (self._position + written).expand(*self._position.shape[:-2], len(input_ids), 1),
            ),
            "past_key_values": past_key_values,
        }

    def __call__(self, columns: Prompts, past_key_values: DynamicCache, **options: Any) -> CausalLMOutputWithPast:
        """Logits ``[B,1,V]`` of a column."""
        states = read_columns(self._parts.language_model, columns, past_key_values)
        return CausalLMOutputWithPast(logits=self._parts.logits(states), past_key_values=past_key_values)

    forward = __call__

    def can_generate(self) -> bool:
        """Whether it has a head."""
        return True
