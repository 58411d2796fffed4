"""ReasonSeg's validation split as LISA scores it, where LISA's data lie."""

from word2mask.evaluation.reason_seg import ReasonSeg

evaluation = dict(
    benchmarks=[dict(type=ReasonSeg.build, root="./dataset/reason_seg/ReasonSeg", split="val", protocol="lisa")]
)
