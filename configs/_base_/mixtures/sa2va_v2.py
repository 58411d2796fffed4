"""The mixtures of the published InternVL3 and Qwen models (repeats of the repository's second version).

As in the first version (``sa2va_v1.py``), ours visits every record as often as its repeat says, and the published
sampler didn't: it lost the Osprey files and the end of OpenPSG, where the concatenation ends. The sources stand in its
order, so that ``Mixture(visits="published")`` loses the same ones.

``sources`` are those of InternVL3-2B and 8B; ``sources_captions_twice`` of InternVL3-14B, with captions twice as often;
``sources_without_regions`` of the Qwen models, likewise, and without regions, which the published Qwen models can't
see. Published Qwen models also leave out LLaVA's text-only conversations; ours keep them.
"""

from mmengine.config import read_base

with read_base():
    from .sa2va_sources import flickr_captions as _flickr_captions
    from .sa2va_sources import grandf_captions as _grandf_captions
    from .sa2va_sources import llava as _llava
    from .sa2va_sources import mevis as _mevis
    from .sa2va_sources import openpsg_captions as _openpsg_captions
    from .sa2va_sources import osprey_conversation as _osprey_conversation
    from .sa2va_sources import osprey_description as _osprey_description
    from .sa2va_sources import ref_sav as _ref_sav
    from .sa2va_sources import ref_youtube_vos as _ref_youtube_vos
    from .sa2va_sources import refcoco as _refcoco
    from .sa2va_sources import refcoco_plus as _refcoco_plus
    from .sa2va_sources import refcocog as _refcocog
    from .sa2va_sources import refcocog_captions as _refcocog_captions
    from .sa2va_sources import revos as _revos
    from .sa2va_sources import video_chat as _video_chat

_pictures_and_videos = [
    (_refcoco, 5),
    (_refcoco_plus, 5),
    (_refcocog, 4),
    (_llava, 1),
    (_revos, 10),
    (_mevis, 4),
    (_ref_youtube_vos, 4),
    (_ref_sav, 4),
    (_video_chat, 1),
]
_captions = [(_refcocog_captions, 5), (_grandf_captions, 50), (_flickr_captions, 5), (_openpsg_captions, 5)]
_captions_twice = [(_refcocog_captions, 10), (_grandf_captions, 100), (_flickr_captions, 10), (_openpsg_captions, 10)]
_regions = [(_osprey_conversation, 1), (_osprey_description, 1)]

sources = [*_pictures_and_videos, *_captions, *_regions]
sources_without_regions = [*_pictures_and_videos, *_captions_twice]
sources_captions_twice = [*sources_without_regions, *_regions]
