"""SAM ViT-H, the segmenter of LISA: Meta's own file."""

from word2mask.segmenters.sam import SAMSegmenter

segmenter = dict(type=SAMSegmenter.from_pretrained, folder="pretrained/sam/sam_vit_h_4b8939.pth")
