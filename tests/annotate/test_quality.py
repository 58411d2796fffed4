"""Filters, statistics, verification and decisions, on records written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from word2mask.annotate.quality.decisions import apply_decisions, read_decisions
from word2mask.annotate.quality.filters import filter_records, leak_of, shingles, similarity
from word2mask.annotate.quality.statistics import describe_texts, statistics
from word2mask.annotate.quality.verification import mean_iou, verify
from word2mask.annotate.records import ObjectRecord, VideoRecord, VideoReference
from word2mask.annotate.store import Store
from word2mask.errors import UserError
from word2mask.ops.masks import box_to_mask


def video(*objects: ObjectRecord, reference: VideoReference | None = None) -> VideoRecord:
    return VideoRecord(reference or VideoReference("v", "v.mp4", "v_manual.json"), list(objects), {}, {})


def kept(number: int, long: str, *short: str) -> ObjectRecord:
    return ObjectRecord(number, "kept", area=0.1 * (number + 1), long=long, short=list(short))


def outcome(record: VideoRecord) -> list[tuple[str, str, str]]:
    return [(found.status, found.reason, found.detail) for found in record.objects]


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        ("The dog outlined in yellow runs.", "outline"),
        ("The dog wears a yellow collar and walks along the border.", None),
        ("A dog in front of a black background.", "mask"),
        ("The masked man waves.", "mask"),
        ("In the first frame it sits.", "picture"),
        ("He frames a picture of a boat.", None),
        ("I'm sorry, but I cannot tell.", "model"),
        ('{"description": "A dog"}', "form"),
    ],
)
def test_leaks(text: str, leak: str | None) -> None:
    assert leak_of(text) == leak


def test_similarity_counts_runs_of_three_words() -> None:
    # abc bcd | abc bcx: one of three distinct runs in common.
    assert similarity(shingles("a b c d"), shingles("A b, c x")) == pytest.approx(1 / 3)
    assert similarity(shingles("a dog"), shingles("a dog")) == 1.0


def test_what_leaks_or_repeats_is_dropped() -> None:
    same = "The object is a red box. It is left of a tree. It moves to the right."
    record = video(
        kept(0, same, "the red box"),
        kept(1, same.upper(), "the red box"),
        kept(2, "The object is a cup. It is outlined.", "the cup"),
        kept(3, "The object is a dog. It sleeps.", "the dog", "The thing in the frame", "the outlined dog"),
        ObjectRecord(4, "failed", "refused at scene"),
        kept(5, "The object is a cat. It eats.", "The dog", "the cat"),
    )
    (found,) = filter_records([record])
    assert outcome(found)[:3] == [
        ("dropped", "ambiguous", "as object 1"),
        ("dropped", "ambiguous", "as object 0"),
        ("dropped", "leak", "outline"),
    ]
    # "the dog" is said of two objects, so neither keeps it.
    assert found.objects[3].short == []
    assert found.objects[5].short == ["the cat"]
    assert found.objects[4] == record.objects[4]
    assert record.objects[0].status == "kept"  # the input stays as it was


def test_a_copy_of_a_video_is_dropped() -> None:
    def shown(name: str, long: str, call: str) -> VideoRecord:
        found = replace(kept(0, long), calls={"scene": "s", "video": call})
        return video(found, reference=VideoReference(name, f"{name}.mp4", f"{name}.json"))

    # Whichever comes first in the run: what stays goes by the names.
    records = [shown("c", "A dog runs.", "1"), shown("a", "A dog runs.", "1"), shown("b", "A dog runs.", "2")]
    found = filter_records(records)
    assert [outcome(record)[0] for record in found] == [
        ("dropped", "duplicate", "the same pictures as a/0"),
        ("kept", "", ""),
        ("kept", "", ""),
    ]


def test_numbers_of_texts() -> None:
    found = describe_texts(["The dog's bowl.", "A dog runs. A dog!", "The dog's bowl."])
    assert found["words"] == {"mean": 3.67, "median": 3.0, "shortest": 3, "longest": 5}  # 3, 5 and 3 words
    assert found["vocabulary"] == 6  # the dog's bowl a dog runs
    assert found["distinct"] == 2
    assert found["frequent"] == {"bowl": 2, "dog's": 2, "runs": 1}
    assert describe_texts([]) == {"count": 0}


def test_statistics_count_what_is_not_kept() -> None:
    found = statistics([video(kept(0, "A dog."), ObjectRecord(1, "dropped", "inconsistent")), video(kept(2, "A cat."))])
    assert (found["videos"], found["objects"], found["kept"]) == (2, 3, 2)
    assert found["not kept"] == {"dropped: inconsistent": 1}
    assert found["area"] == [0.1, 0.15, 0.2, 0.25, 0.3]
    assert found["iou"] == []
    assert statistics([video()])["area"] == []


def test_iou_of_tracks_is_over_all_frames_together() -> None:
    one, other = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    one[0, :2], other[0, 1:3] = True, True  # 4 pixels in common, 12 of either
    other[1, 0] = True  # 4 more of either
    assert mean_iou(one, other) == 4 / 16
    assert mean_iou(one[1:], one[1:]) == 1.0


def test_what_a_model_does_not_find_again_is_dropped(tmp_path: Path, make_sav: Callable) -> None:
    (reference,) = make_sav(tmp_path / "sav", 1)
    asked: list[str] = []

    class Grounder:
        """Finds the left box whatever is asked, and nothing for a cat."""

        def ask(self, request: object) -> object:
            asked.append(request.turns[0].text)
            assert request.media.frames.shape[0] == 3
            masks = np.stack([box_to_mask((4, 8, 24, 30), 48, 64)] * 3)
            return SimpleNamespace(segments=[] if "cat" in asked[-1] else [SimpleNamespace(masks=masks)])

    objects = [kept(0, "The object is a left box."), kept(1, "The object is a right box.")]
    record = video(*objects, ObjectRecord(2, "dropped", "inconsistent"), reference=reference)
    cat = replace(record, objects=[kept(0, "The object is a cat.")])
    options = dict(media_folder=tmp_path / "sav", grounder=Grounder(), name="g", store=Store(tmp_path / "store"))
    found, blind = verify([record, cat], **options)
    assert outcome(found) == [
        ("kept", "", ""),
        ("dropped", "not found again", "IoU 0.000 under 0.5"),
        ("dropped", "inconsistent", ""),
    ]
    assert [entry.iou for entry in found.objects] == [1.0, 0.0, None]
    assert statistics([found])["iou"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert outcome(blind) == [("dropped", "not found again", "IoU 0.000 under 0.5")]
    assert found.models == {"grounding": "g"}
    assert len(asked) == 3 and "a left box" in asked[0]
    # Measured already: another threshold asks nothing.
    assert [entry.status for entry in verify([record], threshold=0.0, **options)[0].objects] == [
        "kept",
        "kept",
        "dropped",
    ]
    assert len(asked) == 3
    with pytest.raises(UserError, match="expected 0 … 1"):
        verify([record], threshold=2, **options)


def test_decisions_drop_and_the_last_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    file.write_text(
        '{"video": "v", "number": 0, "decision": "keep", "note": ""}\n'
        '{"video": "v", "number": 0, "decision": "drop", "note": "wrong", "long": "A dog."}\n'
        '{"video": "v", "number": 1, "decision": "drop", "note": "", "long": "Other words."}\n'
    )
    record = video(kept(0, "A dog."), kept(1, "A cat."), kept(2, "A cup."))
    (found,) = apply_decisions([record], read_decisions(file))
    # The words of object 1 have changed since it was reviewed.
    assert outcome(found) == [("dropped", "reviewed", "wrong"), ("kept", "", ""), ("kept", "", "")]
    file.write_text('{"video": "v", "number": 0, "decision": "maybe"}\n')
    with pytest.raises(UserError, match="line 1: not a decision of a review"):
        read_decisions(file)
