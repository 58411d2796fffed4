"""The page of a report: what stands on it, and that nothing on it can run."""

from __future__ import annotations

import base64
import copy
import importlib.util
import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from word2mask.apps.report.cards import answer_html
from word2mask.apps.report.differences import differences_text
from word2mask.apps.report.page import Run, build_page, compare_runs, score_table
from word2mask.apps.report.pictures import colour_of, data_url, frames_shown, spotlight
from word2mask.apps.report.samples import choose
from word2mask.errors import UserError
from word2mask.evaluation.chat import ImageChat
from word2mask.evaluation.interface import mask_shape
from word2mask.evaluation.mevis import MeViS
from word2mask.evaluation.refcoco import RefCOCO
from word2mask.evaluation.runner import evaluate
from word2mask.evaluation.summary import RunInfo, results_to_json, write_results
from word2mask.types import Media, Result, Sample, Segment, Turn

HOSTILE = "<script>alert('x')</script>"


class Pictures:
    """Ten made-up pictures or videos of one square each."""

    def __init__(self, num_frames: int = 1, answer: str | None = None):
        self.num_frames = num_frames
        self.answer = answer

    def __len__(self) -> int:
        return 10

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        masks = np.zeros((1, self.num_frames, 24, 32), bool)
        masks[:, :, 4:14, index : index + 10] = True
        frames = np.random.default_rng(index).integers(0, 255, (self.num_frames, 24, 32, 3), dtype=np.uint8)
        media = Media("video" if self.num_frames > 1 else "image", frames, tuple(range(self.num_frames)))
        extra = {"expression": f"{HOSTILE} {index}", "kind": ("colour", "place")[index % 2]}
        if self.answer is not None:
            return Sample("s", str(index), "chat", (Turn("user", ""),), media, extra=extra | {"answer": self.answer})
        return Sample("s", str(index), "refer", (Turn("user", ""),), media, masks, extra=extra)


class Answerer:
    """Half of the answers are right."""

    def __init__(self, source: Pictures, shift: int):
        self.source, self.shift, self.asked = source, shift, 0

    def batch(self, requests):
        results = []
        for _ in requests:
            sample = self.source.read(self.asked, np.random.default_rng(0))
            good = (self.asked + self.shift) % 2
            self.asked += 1
            shape = sample.media.frames.shape[:3]
            if sample.masks is None:
                text = sample.extra["answer"] if good else HOSTILE
                results.append(Result(text, text, [], shape[1:], shape[0]))
                continue
            masks = sample.masks[0] if good else np.zeros(shape, bool)
            results.append(
                Result("", f"{HOSTILE} [SEG].", [Segment("", None, masks, np.ones(shape[0]))], shape[1:], shape[0])
            )
        return results


@pytest.fixture
def runs(tmp_path, monkeypatch) -> list[Run]:
    sources = {RefCOCO: Pictures(), MeViS: Pictures(12), ImageChat: Pictures(answer="blue")}
    for kind, source in sources.items():
        monkeypatch.setattr(kind, "open", classmethod(lambda cls, root, split, source=source: source))
    found = []
    for shift, name in enumerate(("model", "language-blind twin")):
        folder = tmp_path / name
        scores = []
        for kind, split in ((RefCOCO, "val"), (MeViS, "valid_u"), (ImageChat, "val")):
            benchmark = kind.build(tmp_path, split)
            records = folder / benchmark.label.replace(":", "_")
            scores.append(evaluate(benchmark, Answerer(benchmark.source, shift), records, {}))
        targets = {"refcoco:val": {"ciou": 45, "giou": 85}, "mevis:valid_u": {"j": {"at_most": 40}}}
        info = RunInfo("toy.py", "iter_1.pth", "0123abcd", "python tools/test.py toy.py", "0.1", "cpu", 16, 1, targets)
        write_results(folder, results_to_json(info, scores))
        found.append(Run.load(folder, name))
    return found


class Tags(HTMLParser):
    """Tags, and the ones that are open."""

    VOID = {"meta", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}>"


def test_comparison_of_two_runs(runs):
    comparisons = compare_runs(runs, resamples=50)
    assert list(comparisons) == ["refcoco:val", "mevis:valid_u", "image_chat:val"]
    # Each run has the other half of ten pictures right.
    assert comparisons["refcoco:val"].counts() == (5, 5, 0)
    plain, compared = build_page(runs, 4), build_page(runs, 4, comparisons=comparisons)
    assert "Furthest ahead" not in plain
    assert "interval" not in plain
    for words in ("model against language-blind twin", "95% interval", "50 times", "5 / 5 / 0"):
        assert words in compared
    parser = Tags()
    parser.feed(compared)
    assert parser.open == []
    assert "script" not in parser.seen
    # Two samples ahead and two behind in each of three benchmarks, each group with its heading.
    assert compared.count("Furthest ahead of the other run") == compared.count("Furthest behind the other run") == 3
    assert compared.count("<article") == plain.count("<article") + 3 * 4
    table = differences_text(list(comparisons.values()), "model", "twin")
    assert "| refcoco:val | cIoU | 50.0 | 50.0 | +0.0 | " in table


def test_comparison_needs_two_runs_asked_the_same(runs):
    with pytest.raises(UserError, match="--compare needs two runs"):
        compare_runs(runs[:1])
    other = copy.deepcopy(dict(runs[1].results))
    other["benchmarks"][0]["protocol"] = "otherwise"
    with pytest.raises(
        UserError, match="refcoco:val: the runs were evaluated differently .* only numbers of one protocol"
    ):
        compare_runs([runs[0], Run(runs[1].folder, "other", other)])
    for entry in other["benchmarks"]:
        entry["label"] += "x"
    with pytest.raises(UserError, match="model and other have no benchmark in common"):
        compare_runs([runs[0], Run(runs[1].folder, "other", other)])


def test_a_split_for_a_server_has_no_scores(tmp_path):
    benchmark = MeViS.fixture(tmp_path / "data", split="valid")
    shapes = [mask_shape(benchmark.sample(position)) for position in range(len(benchmark))]

    class Everything:
        def batch(self, requests):
            return [
                Result("", "[SEG]", [Segment("", None, np.ones(shape, bool), np.ones(shape[0]))], shape[1:], shape[0])
                for shape in shapes[: len(requests)]
            ]

    score = evaluate(benchmark, Everything(), tmp_path / "run/mevis_valid", {})
    info = RunInfo("toy.py", "iter_1.pth", "0123abcd", "python tools/test.py toy.py", "0.1", "cpu", 16)
    write_results(tmp_path / "run", results_to_json(info, [score], submissions={"mevis:valid": "submission.zip"}))
    page = build_page([Run.load(tmp_path / "run", "model")])
    assert "not scored here: the masks aren't published" in page.replace("&#x27;", "'")
    assert page.count("<article") == 3
    assert "truth" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    text = (tmp_path / "run/results.md").read_text()
    assert "| mevis:valid | not scored here: the masks aren't published |  | 3 | 0 |" in text
    assert "* mevis:valid: submission `submission.zip`." in text


def test_page_is_whole_and_self_contained(runs):
    page = build_page(runs, count=4)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(tags.seen)
    assert not re.findall(r"""(?:src|href)=["'](?!data:image/jpeg;base64,|#)""", page)
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert all("alt" in image for image in tags.images)


def test_page_shows_what_was_asked(runs):
    page = build_page(runs, count=4)
    # Three benchmarks: 4 at random, 2 among the best, 2 among the worst of each.
    assert page.count('<article class="card">') == 3 * 8
    # Answer, truth and twin: a picture each in RefCOCO, strips of 8 frames in MeViS; one picture where words answer.
    mosaic = page.split('class="mosaic"')[1].split("</div>")[0].count("<img")
    assert page.count("<img") == 8 * 3 + 8 * 3 * 8 + 8 + mosaic
    assert mosaic > 0
    for words in (
        "Drawn at random",
        "Among the best",
        "Among the worst",
        "language-blind twin",
        "0123abcd",
        "✗ expected",
    ):
        assert words in page


def test_a_run_alone_has_no_twin(runs):
    page = build_page(runs[:1], count=2)
    assert "twin" not in page.split("</style>")[1]


def test_a_note_says_what_the_runs_are(runs):
    assert '<p class="remark">The twin reads &lt;nothing&gt;.</p>' in build_page(
        runs, count=2, note="The twin reads <nothing>."
    )
    assert 'class="remark"' not in build_page(runs, count=2)


def test_score_table(runs):
    table = {(row["benchmark"], row["metric"]): row for row in score_table(runs)}
    row = table["refcoco:val", "ciou"]
    # Squares of 100 pixels, five of ten found: half of the union.
    assert (row["value"], row["target"], row["reached"], row["language-blind twin"]) == (50.0, "≥ 45", True, 50.0)
    assert table["refcoco:val", "giou"]["reached"] is False
    assert (table["mevis:valid_u", "j"]["target"], table["mevis:valid_u", "j"]["reached"]) == ("≤ 40", False)
    assert table["image_chat:val", "exact"]["target"] is None
    assert json.loads(json.dumps(list(table.values())))


def test_random_samples_take_every_kind_and_the_seed_decides(runs):
    entry = runs[0].entry("refcoco:val")
    benchmark = RefCOCO.build(**entry["origin"])
    records = evaluate(benchmark, Answerer(benchmark.source, 0), runs[0].folder / "again", {}).records
    shown = choose(benchmark, records, None, 2, seed=0)
    assert {one.record.kind for one in shown if one.why == "random"} == {"colour", "place"}
    assert [one.why for one in shown] == ["random", "random", "best", "worst"]
    assert (shown[2].score, shown[3].score) == (100.0, 0.0)
    positions = [[one.record.position for one in choose(benchmark, records, None, 4, seed)] for seed in (0, 0, 1)]
    assert positions[0] == positions[1] != positions[2]
    assert len(set(positions[0])) == 8


def test_the_best_and_the_worst_are_about_different_pictures(tmp_path, monkeypatch):
    class TwoPictures(Pictures):
        """Forty questions about two pictures."""

        def __len__(self) -> int:
            return 40

        def read(self, index: int, rng: np.random.Generator) -> Sample:
            sample = super().read(index % 20, rng)
            return replace(sample, id=str(index), media=replace(sample.media, name=f"{index // 2 % 2}.jpg"))

    source = TwoPictures()
    monkeypatch.setattr(RefCOCO, "open", classmethod(lambda cls, root, split: source))
    benchmark = RefCOCO.build(tmp_path, "val")
    records = evaluate(benchmark, Answerer(source, 0), tmp_path / "run", {}).records
    for seed in range(6):
        shown = choose(benchmark, records, None, 4, seed)
        for why in ("best", "worst"):
            assert sorted(one.sample.media.name for one in shown if one.why == why) == ["0.jpg", "1.jpg"]
        # Where there is nothing else, a picture comes again.
        assert len(choose(benchmark, records, None, 8, seed)) == 16


def test_answers_with_markup():
    one, two = colour_of(0), colour_of(1)
    html = answer_html("<p> A red star </p> [SEG] and <p>a <b>ring</b></p> [SEG].<|im_end|>")
    assert html == (
        f'<span class="phrase" style="--c:{one};--on:#000">A red star</span> '
        f'<span class="seg" style="--c:{one};--on:#000">1</span> and '
        f'<span class="phrase" style="--c:{two};--on:#000">a &lt;b&gt;ring&lt;/b&gt;</span> '
        f'<span class="seg" style="--c:{two};--on:#000">2</span>.'
    )
    # Markup that isn't closed, or opened, leaves no open tag behind.
    assert answer_html("<p> a star").count("<span") == answer_html("<p> a star").count("</span>") == 1
    assert answer_html("a star</p> </p>").count("span") == 0


def test_spotlight_keeps_the_object_and_dims_the_rest():
    frame = np.full((20, 30, 3), 200, np.uint8)
    masks = np.zeros((1, 20, 30), bool)
    masks[0, 5:15, 5:15] = True
    drawn = spotlight(frame, masks, side=300)
    assert drawn.shape == (200, 300, 3)
    assert drawn[5, 290].max() < 130
    assert drawn[100, 100].max() > 150
    np.testing.assert_array_equal(spotlight(frame, masks & False, side=30), frame)


def test_data_url_holds_the_picture():
    picture = np.full((8, 8, 3), (10, 200, 30), np.uint8)
    head, _, body = data_url(picture).partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
    assert np.abs(decoded.astype(int) - picture).max() <= 3


def test_frames_of_a_strip():
    assert frames_shown(3) == [0, 1, 2]
    assert frames_shown(16) == [0, 2, 4, 6, 9, 11, 13, 15]


@pytest.fixture
def program(repository, monkeypatch, capsys):
    """``tools/report.py`` in this process: arguments → (exit code, stderr)."""
    monkeypatch.chdir(repository)
    specification = importlib.util.spec_from_file_location("report_tool", repository / "tools/report.py")
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["tools/report.py", *map(str, arguments)])
        return tool.main(), capsys.readouterr().err

    return run


def test_program(program, runs, tmp_path):
    folders = [run.folder for run in runs]
    out = tmp_path / "new/page.html"
    code, err = program(*folders, "--labels", "a", "b", "--out", out, "--json", tmp_path / "table.json", "--samples", 2)
    assert (code, err) == (0, "")
    assert out.read_text().startswith("<!doctype html>")
    assert {"value", "b"} <= set(json.loads((tmp_path / "table.json").read_text())[0])


def test_program_says_what_is_wrong(program, runs, tmp_path):
    folder, out = runs[0].folder, tmp_path / "page.html"
    for arguments, message in (
        ([tmp_path, "--out", out], "holds no results.json; run tools/test.py"),
        ([folder, "--labels", "a", "b", "--out", out], "1 runs but 2 --labels"),
        ([folder, folder, "--out", out], "need different --labels"),
        ([folder, "--out", "/proc/none/page.html"], "can't be written"),
        ([folder, "--samples", 0, "--out", out], "--samples must be 1 or more"),
    ):
        code, err = program(*arguments)
        assert code == 2
        assert message in err
    records = folder / "refcoco_val/records.rank0.jsonl"
    records.write_text(records.read_text().replace('"question": "Please segment', '"question": "Please mark'))
    code, err = program(folder, "--out", out)
    assert code == 2
    assert "have changed since, so evaluate again" in err
    records.write_text("")
    code, err = program(folder, "--out", out)
    assert code == 2
    assert "holds 0 records of 10; evaluate again" in err
    assert not out.exists()


def test_results_of_another_version_are_refused(tmp_path: Path):
    (tmp_path / "results.json").write_text('{"format": 0}')
    with pytest.raises(UserError, match="was not written by this version"):
        Run.load(tmp_path, "old")
