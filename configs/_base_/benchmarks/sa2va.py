"""The splits that the published tables call val, of RefCOCO, RefCOCO+, RefCOCOg and MeViS."""

from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.refcoco import RefCOCO, RefCOCOg, RefCOCOPlus

evaluation = dict(
    benchmarks=[
        dict(type=RefCOCO.build, root="data/ref_seg/refcoco", split="val"),
        dict(type=RefCOCOPlus.build, root="data/ref_seg/refcoco+", split="val"),
        dict(type=RefCOCOg.build, root="data/ref_seg/refcocog", split="val"),
        dict(type=MeViS.build, root="data/video_datas/mevis", split="valid_u"),
    ],
)
