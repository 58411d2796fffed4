"""The special tokens of word2mask. They are written in this file and nowhere else."""

from __future__ import annotations

#: Its state prompts the segmenter; one per object.
SEG = "[SEG]"
#: Around a phrase of a grounded caption; the phrase's ``[SEG]`` follows.
PHRASE_START = "<p>"
PHRASE_END = "</p>"
#: Around the copied visual tokens of a region (visual prompt) in the question.
REGION_START = "<vp>"
REGION_END = "</vp>"

#: Added to an MLLM that is to ground, in the order of the published Sa2VA checkpoints.
SPECIAL_TOKENS = (SEG, PHRASE_START, PHRASE_END, REGION_START, REGION_END)

#: What an assistant's text may carry as markup when the tokenizer knows it: ours, and what grounded base models use.
REFERENCE_START = "<ref>"
REFERENCE_END = "</ref>"
BOX_START = "<box>"
BOX_END = "</box>"
ANSWER_MARKUP = (SEG, PHRASE_START, PHRASE_END, REFERENCE_START, REFERENCE_END, BOX_START, BOX_END)

#: A new token starts from the related token of the base model where there is one, else from the mean of all rows.
RELATED_TOKENS = {SEG: BOX_START, PHRASE_START: REFERENCE_START, PHRASE_END: REFERENCE_END}

#: Label of a position without loss (the default of :func:`torch.nn.functional.cross_entropy`).
IGNORE_INDEX = -100
