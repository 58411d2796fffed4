"""The mixture of the published InternVL2.5 models (repeats of the repository's first version).

Ours visits every record as often as its repeat says. The published sampler never reaches the last indices of the
concatenation, about as many as the repeats of the video sets add, so its weights saw less of the Osprey files. The
sources stand in the order of that concatenation, so that ``Mixture(visits="published")`` loses the same ones.
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
    from .sa2va_sources import osprey_part_level as _osprey_part_level
    from .sa2va_sources import osprey_positive_negative as _osprey_positive_negative
    from .sa2va_sources import osprey_short_form as _osprey_short_form
    from .sa2va_sources import ref_sav as _ref_sav
    from .sa2va_sources import ref_youtube_vos as _ref_youtube_vos
    from .sa2va_sources import refcoco as _refcoco
    from .sa2va_sources import refcoco_plus as _refcoco_plus
    from .sa2va_sources import refcocog as _refcocog
    from .sa2va_sources import refcocog_captions as _refcocog_captions
    from .sa2va_sources import revos as _revos
    from .sa2va_sources import video_chat as _video_chat

sources = [
    (_refcoco, 4),
    (_refcoco_plus, 4),
    (_refcocog, 4),
    (_llava, 1),
    (_mevis, 4),
    (_revos, 10),
    (_ref_youtube_vos, 4),
    (_video_chat, 1),
    (_ref_sav, 4),
    (_openpsg_captions, 1),
    (_grandf_captions, 10),
    (_flickr_captions, 1),
    (_refcocog_captions, 1),
    (_osprey_conversation, 1),
    (_osprey_description, 1),
    (_osprey_part_level, 1),
    (_osprey_short_form, 1),
    (_osprey_positive_negative, 1),
]
