"""Segmenters: one file a family, all behind :class:`word2mask.segmenters.interface.Segmenter`."""

from word2mask.segmenters.follower import MaskFollower
from word2mask.segmenters.interface import Decoded, FrameFeatures, FrameProcessor, Segmenter
from word2mask.segmenters.sam import SAMSegmenter
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.tracker import Tracker

__all__ = [
    "Decoded",
    "FrameFeatures",
    "FrameProcessor",
    "MaskFollower",
    "SAM2Segmenter",
    "SAMSegmenter",
    "Segmenter",
    "Tracker",
]
