"""The data sets of the published Sa2VA mixtures, where the collection ``Dense-World/Sa2VA-Training`` puts them.

What each holds is in docs/data.md. Ref-SAV's videos come from SA-V's own site, into ``sam_v_full``. The first version
of the repository called the file of its expressions ``sam_v_final_v3.json``; it is the one in the ``ref_sav.zip`` of
the collection.
"""

from word2mask.data.sources.flickr_caption import FlickrCaption
from word2mask.data.sources.grounded_caption import GroundedCaption
from word2mask.data.sources.llava import LLaVA
from word2mask.data.sources.mevis import MeViS
from word2mask.data.sources.osprey import Osprey
from word2mask.data.sources.ref_sav import RefSAV
from word2mask.data.sources.ref_youtube_vos import RefYouTubeVOS
from word2mask.data.sources.refcoco import RefCOCO
from word2mask.data.sources.refcocog_caption import RefCOCOgCaption
from word2mask.data.sources.revos import ReVOS
from word2mask.data.sources.video_chat import VideoChat

refcoco = dict(type=RefCOCO, folder="data/ref_seg/refcoco")
refcoco_plus = dict(type=RefCOCO, folder="data/ref_seg/refcoco+")
refcocog = dict(type=RefCOCO, folder="data/ref_seg/refcocog", split_by="umd")
llava = dict(
    type=LLaVA,
    annotations="data/llava_data/LLaVA-Instruct-150K/llava_v1_5_mix665k.json",
    image_folder="data/llava_data/llava_images",
)
mevis = dict(type=MeViS, folder="data/video_datas/mevis/train", name="mevis")
revos = dict(type=ReVOS, folder="data/video_datas/revos")
ref_youtube_vos = dict(type=RefYouTubeVOS, folder="data/video_datas/rvos", name="ref_youtube_vos")
ref_sav = dict(
    type=RefSAV,
    annotations="data/video_datas/Ref-SAV.json",
    video_folder="data/video_datas/sam_v_full",
    name="ref_sav",
)
video_chat = dict(
    type=VideoChat,
    annotations="data/video_datas/chat_univi/video_chat.json",
    video_folder="data/video_datas/chat_univi/Activity_Videos",
)
refcocog_captions = dict(
    type=RefCOCOgCaption,
    annotations="data/glamm_data/annotations/RefCOCOg_GCG_train.json",
    image_folder="data/glamm_data/images/coco2014/train2014",
)
grandf_captions = dict(
    type=GroundedCaption,
    annotations="data/glamm_data/annotations/GranDf_HA_GCG_train.json",
    image_folder="data/glamm_data/images/grandf/train",
)
flickr_captions = dict(
    type=FlickrCaption,
    annotations="data/glamm_data/annotations/flickr_mergedGT_GCG_train.json",
    image_folder="data/glamm_data/images/flickr30k/Flickr30K",
)
openpsg_captions = dict(
    type=GroundedCaption,
    annotations="data/glamm_data/annotations/OpenPsgGCG_train.json",
    image_folder="data/glamm_data/images/coco2017",
)

_osprey = "data/osprey-724k/Osprey-724K"
_osprey_pictures = [
    "data/osprey-724k/coco/train2014",
    "data/osprey-724k/coco/val2014",
    "data/osprey-724k/coco/train2017",
    "data/osprey-724k/coco/val2017",
]
osprey_conversation = dict(
    type=Osprey, annotations=f"{_osprey}/osprey_conversation.json", image_folder=_osprey_pictures
)
osprey_description = dict(
    type=Osprey, annotations=f"{_osprey}/osprey_detail_description.json", image_folder=_osprey_pictures
)
osprey_part_level = dict(type=Osprey, annotations=f"{_osprey}/osprey_part_level.json", image_folder=_osprey_pictures)
osprey_short_form = dict(
    type=Osprey,
    annotations=f"{_osprey}/osprey_short_form.json",
    image_folder=_osprey_pictures,
    short_answers=True,
)
osprey_positive_negative = dict(
    type=Osprey, annotations=f"{_osprey}/osprey_lvis_positive_negative.json", image_folder=_osprey_pictures
)
