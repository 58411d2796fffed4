"""A file with SAM 2's image part alone: pictures as with the whole, no tracking, and nothing else may be missing."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from word2mask.errors import UserError
from word2mask.segmenters import sam2_files
from word2mask.segmenters.architectures import sam2_config
from word2mask.segmenters.blueprints import blueprint
from word2mask.segmenters.sam2 import SAM2Segmenter
from word2mask.segmenters.sam2_keys import to_meta

MEMORY = ("memory_attention.", "memory_encoder.", "obj_ptr_proj.", "mask_downsample.", "maskmem_tpos_enc")
OTHERS = ("no_obj_ptr", "no_mem_pos_enc", "sam_mask_decoder.pred_obj_score_head.")


@pytest.fixture
def small(monkeypatch):
    """The small architecture of tests in the place of Meta's releases."""
    monkeypatch.setattr(sam2_files, "released_sam2", lambda state, source: ("test", "2.0"))
    monkeypatch.setattr(sam2_files, "sam2_config", lambda size, version: sam2_config("test", 64))
    return SAM2Segmenter.tiny()


def image_part(segmenter: SAM2Segmenter) -> dict[str, torch.Tensor]:
    tensors = to_meta(segmenter.model.state_dict(), complete=False)
    return {name: value.contiguous() for name, value in tensors.items() if not name.startswith((*MEMORY, *OTHERS))}


@torch.no_grad()
def test_pictures_are_segmented_as_with_the_whole(small, tmp_path):
    save_file(image_part(small), tmp_path / "image.safetensors")
    part = SAM2Segmenter.from_pretrained(tmp_path / "image.safetensors")
    assert small.tracks and not part.tracks
    pixels = torch.randn(1, 3, 64, 64)
    place, boxes = torch.zeros(1, dtype=torch.long), torch.tensor([[10.0, 10.0, 40.0, 50.0]])
    whole, found = (one.decode_points(one.encode_frames(pixels), place, boxes=boxes) for one in (small, part))
    torch.testing.assert_close(found.mask_logits, whole.mask_logits)
    torch.testing.assert_close(found.iou, whole.iou)
    assert found.object_logits.tolist() == [10.0]  # nobody was asked: it is there


def test_a_written_folder_knows_that_it_has_no_memory(small, tmp_path):
    save_file(image_part(small), tmp_path / "image.safetensors")
    SAM2Segmenter.from_pretrained(tmp_path / "image.safetensors").save_pretrained(tmp_path / "folder")
    assert not SAM2Segmenter.from_pretrained(tmp_path / "folder").tracks


def test_a_tensor_of_the_image_part_may_not_be_missing(small, tmp_path):
    tensors = image_part(small)
    del tensors["sam_mask_decoder.iou_token.weight"]
    save_file(tensors, tmp_path / "image.safetensors")
    with pytest.raises(UserError, match="weights and configuration don't fit: .*mask_decoder.iou_token.weight"):
        SAM2Segmenter.from_pretrained(tmp_path / "image.safetensors")


def test_a_plan_sees_what_such_a_file_holds(small, tmp_path):
    save_file(image_part(small), tmp_path / "image.safetensors")
    sketch = blueprint(tmp_path / "image.safetensors")
    assert sketch.dtype == torch.float32 and next(sketch.parameters()).is_meta
    assert {name: value.shape for name, value in sketch.named_parameters()} == {
        name: value.shape for name, value in small.named_parameters()
    }
