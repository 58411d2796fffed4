"""Metrics: arrays in, floats out. Nothing here knows of models, datasets or files.

``iou``               cIoU, gIoU, N-acc, T-acc, Pr@ of referring segmentation, as a mergeable accumulator
``jf``                region similarity J and boundary accuracy F of video segmentation (DAVIS protocol)
``grounded_caption``  mIoU, recall and class-agnostic AP50 of grounded captions (GLaMM protocol)
``text``              exact match of short answers after normalisation
"""
