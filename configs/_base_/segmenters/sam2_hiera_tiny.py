"""SAM 2.0 Hiera-T, the smallest: Meta's own file."""

from word2mask.segmenters.sam2 import SAM2Segmenter

segmenter = dict(type=SAM2Segmenter.from_pretrained, folder="pretrained/sam2/sam2_hiera_tiny.pt")
