"""Metrics: arrays and run lengths in, floats out.

Nothing here knows of our models, of datasets or of files, but for the text model that ``similarity`` may be given.

``iou``               cIoU, gIoU, N-acc, T-acc, Pr@ of referring segmentation, as a mergeable accumulator
``jf``                region similarity J and boundary accuracy F of video segmentation, one object at a time
``davis``             the official protocol of DAVIS 2017: objects merged, several annotators
``revos``             accuracy and robustness of ReVOS
``grounded_caption``  mIoU, recall and class-agnostic AP50 of grounded captions (GLaMM protocol)
``captions``          METEOR and CIDEr of captions (extra ``captions``)
``similarity``        how alike two phrases are, by a text model that is at hand
``text``              exact match of short answers after normalisation, and overlap of words
``sums``              exact sums and the accumulators' merging
``bitmaps``           masks as rows of bits, which ``jf`` computes on
"""
