"""The page's events and its server, without a browser and without a model."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

gr = pytest.importorskip("gradio", reason="the extra apps isn't installed")

from word2mask.apps.web import command, work  # noqa: E402
from word2mask.apps.web.events import Events  # noqa: E402
from word2mask.apps.web.limits import Limits  # noqa: E402
from word2mask.apps.web.making import Making  # noqa: E402
from word2mask.apps.web.page import build_page, launch  # noqa: E402
from word2mask.apps.web.showing import NEW, WHOLE, for_visitors  # noqa: E402
from word2mask.apps.web.visit import Visit  # noqa: E402
from word2mask.errors import UserError  # noqa: E402
from word2mask.types import Media  # noqa: E402


@pytest.fixture
def events(known_session: Any) -> Events:
    return Events(known_session, None, {})


@pytest.fixture
def visit() -> Iterator[Visit]:
    visit = Visit()
    visit.look_at(Media("video", np.full((4, 40, 60, 3), 90, np.uint8), tuple(range(4)), "clip.mp4"), "clip.mp4")
    yield visit
    visit.close()


def part(shown: tuple[Any, ...], name: str) -> Any:
    return shown[WHOLE.index(name)]


def data(**fields: Any) -> gr.EventData:
    return gr.EventData(None, fields)


def asked(events: Events, visit: Visit, question: str) -> list[tuple[Any, ...]]:
    *_, text, ticket = events.begin(visit, question)
    return list(events.ask(visit, text, ticket))


def test_without_a_visit_there_is_a_sentence(events: Events, visit: Visit) -> None:
    for handler, sent in ((events.frame, (2,)), (events.ask, ("where?", 1))):
        with pytest.raises(gr.Error, match="isn't connected: it is still opening, or was left"):
            list(for_visitors(handler)(None, *sent))
    assert "Frame 3 of 4" in for_visitors(events.frame)(visit, 2)[0]


def test_a_question_is_shown_at_once_and_its_answer_in_colours(events: Events, visit: Visit) -> None:
    begun = events.begin(visit, " where? ")
    assert '<div class="w2m-q">where?</div>' in part(begun, "talk") and begun[-2] == "where?"
    assert part(begun, "ask")["interactive"] is False and part(begun, "stop")["visible"] is True
    with pytest.raises(gr.Error, match="still being answered"):
        events.begin(visit, "and this?")
    last = list(events.ask(visit, "where?", begun[-1]))[-1]
    assert ">The left half</span>" in part(last, "talk") and "not found: the moon" in part(last, "talk")
    assert part(last, "stop")["visible"] is False and last[-1] == ""
    assert len(asked(events, visit, "again")) >= 1 and len(visit.exchanges) == 2


def test_what_is_written_and_followed_is_shown_while_it_goes_on(
    events: Events, visit: Visit, known_session: Any
) -> None:
    known_session.hold = threading.Event()
    *_, ticket = events.begin(visit, "where?")
    steps = events.ask(visit, "where?", ticket)
    shown = next(steps)
    while "of 10000 frames" not in str(part(shown, "status")):
        shown = next(steps)
    assert "The left half and the moon." in part(shown, "talk")
    known_session.hold.set()
    assert len(list(steps)) and len(visit.exchanges) == 1


def test_stop_stops_and_the_next_question_can_be_asked(events: Events, visit: Visit, known_session: Any) -> None:
    known_session.hold = threading.Event()
    *_, ticket = events.begin(visit, "where?")
    steps = events.ask(visit, "where?", ticket)
    next(steps)
    assert "Stopped" in part(events.stop(visit), "status")
    last = list(steps)[-1]
    assert visit.exchanges == []
    # The press may overtake a report of progress on its way to the page, which must not stay there.
    assert "Stopped" in part(last, "status") and 'class="w2m-q"' not in part(last, "talk")
    assert part(last, "ask")["interactive"] is True and part(last, "stop")["visible"] is False
    assert last[-1] == gr.skip(), "the question stays on the page"
    known_session.hold = None
    asked(events, visit, "where?")
    assert len(visit.exchanges) == 1


def test_a_question_that_was_stopped_while_it_waited_is_not_taken_for_the_next(
    events: Events, visit: Visit, known_session: Any
) -> None:
    *_, first, first_ticket = events.begin(visit, "first")
    events.stop(visit)
    *_, second, second_ticket = events.begin(visit, "second")
    assert list(events.ask(visit, first, first_ticket)) == [(gr.skip(),) * (len(WHOLE) + 1)]
    assert known_session.requests == [] and visit.stopped is not None, "the second goes on waiting"
    list(events.ask(visit, second, second_ticket))
    assert [exchange.question for exchange in visit.exchanges] == ["second"] and visit.stopped is None


def test_the_next_question_may_wait_while_a_stopped_one_ends(events: Events, visit: Visit, known_session: Any) -> None:
    known_session.hold = threading.Event()
    *_, first, first_ticket = events.begin(visit, "first")
    steps = events.ask(visit, first, first_ticket)
    next(steps)
    events.restart(visit)
    *_, second, second_ticket = events.begin(visit, "second")
    assert all(shown == (gr.skip(),) * (len(WHOLE) + 1) for shown in steps)
    assert visit.stopped is not None and not visit.stopped.is_set()
    known_session.hold = None
    list(events.ask(visit, second, second_ticket))
    assert [exchange.question for exchange in visit.exchanges] == ["second"]


def test_errors_are_sentences_without_paths_and_without_html(events: Events, visit: Visit, known_session: Any) -> None:
    known_session.error = UserError("/srv/secret/clip.mp4: <b>too dark</b>; give another")
    with pytest.warns(UserWarning, match=r"^clip.mp4: &lt;b&gt;too dark&lt;/b&gt;; give another$"):
        last = asked(events, visit, "where?")[-1]
    assert part(last, "ask")["interactive"] is True and visit.stopped is None


def test_a_defect_is_logged_and_the_page_goes_on(
    events: Events, visit: Visit, known_session: Any, caplog: pytest.LogCaptureFixture
) -> None:
    known_session.error = RuntimeError("CUDA error at /srv/secret")
    with pytest.warns(UserWarning, match="^Something went wrong on the server") as told:
        last = asked(events, visit, "where?")[-1]
    assert "secret" not in str(told[0].message) and "/srv/secret" in caplog.text
    assert part(last, "stop")["visible"] is False and visit.stopped is None


def test_an_answer_about_what_was_left_is_not_shown(events: Events, visit: Visit, known_session: Any) -> None:
    known_session.hold = threading.Event()
    *_, ticket = events.begin(visit, "where?")
    steps = events.ask(visit, "where?", ticket)
    next(steps)
    events.leave(visit)
    list(steps)
    assert visit.exchanges == [] and visit.media is None


def test_marks_objects_frames(events: Events, visit: Visit) -> None:
    assert 'class="on"' in events.mark(visit, NEW, data(places=[[0.5, 0.5]]))[0]
    assert 'class="on"' not in events.undo(visit)[0]
    with pytest.raises(gr.Error, match="can&#x27;t be read"):
        events.mark(visit, NEW, data(places="<script>"))
    assert 'data-tool="box"' in events.choose_tool(visit, "box")[0]
    events.mark(visit, NEW, data(places=[[0.1, 0.1], [0.5, 0.5]]))
    *_, question, ticket = events.begin(visit, "")
    assert question == "What is region1?"
    list(events.ask(visit, question, ticket))
    events.choose_tool(visit, "off")
    with pytest.raises(gr.Error, match="needs one on it first"):
        events.mark(visit, NEW, data(places=[[0.5, 0.5]]))
    assert 'class="off"' in events.mark(visit, 0, data(places=[[0.5, 0.5]]))[0], "a correction may be off it alone"
    events.clear(visit)
    assert visit.num_regions == 1 and not visit.marks.regions
    assert 'aria-pressed="false"' in events.toggle(visit, data(number=0))[2]
    for wrong in (7, -1, "0", None):
        with pytest.raises(gr.Error, match="isn't there any more"):
            events.toggle(visit, data(number=wrong))
    assert "Frame 4 of 4" in events.frame(visit, 99)[0]
    assert visit.opacity == 0.45
    events.opacity(visit, 80)
    assert visit.opacity == 0.8


def test_a_bad_upload_is_told_and_a_good_one_is_opened(events: Events, tmp_path: Path) -> None:
    visit = Visit()
    (tmp_path / "a.png").write_text("<html>")
    with pytest.warns(UserWarning, match="^a.png: not a picture that can be read"):
        shown = events.upload(visit, str(tmp_path / "a.png"))
    assert part(shown, "welcome")["visible"] is True and part(shown, "upload") is None
    shown = events.example(visit, data(number=0))
    assert part(shown, "welcome")["visible"] is False and shown[len(WHOLE)] == "Please segment the red heart."
    assert part(shown, "frame")["visible"] is False
    assert part(events.example(visit, data(number=5)), "frame")["maximum"] == 15


def test_files_are_made_with_a_link(events: Events, visit: Visit, known_session: Any) -> None:
    making = Making(known_session)
    with pytest.warns(UserWarning, match="nothing was asked yet"):
        list(making.pack(visit, "Masks as PNG"))
    asked(events, visit, "where?")
    *_, made = list(making.pack(visit, "Masks as PNG"))[-1]
    assert 'download="clip_masks.zip"' in made and str(visit.folder) not in made
    token = made.split("word2mask/files/")[1].split("/")[0]
    assert visit.files.find(token).name == "clip_masks.zip"


def test_what_is_made_can_be_stopped(events: Events, visit: Visit, known_session: Any, monkeypatch: Any) -> None:
    asked(events, visit, "where?")
    stop = threading.Event()

    def download(session: Any, visit: Visit, kind: str, report: Any) -> None:
        while not stop.wait(0.05):
            report("edit", 1, 9)
        report("edit", 2, 9)

    monkeypatch.setattr(work, "download", download)
    steps = Making(known_session).pack(visit, "Masks as PNG")
    assert "1 of 9 frames" in next(steps)[0]
    events.stop(visit)
    stop.set()
    status, button, made = list(steps)[-1]
    assert "Stopped" in status and button["visible"] is False and made == gr.skip()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, str]]:
    page = build_page(None, "<model>", Limits())
    address = launch(page, "127.0.0.1", 0)
    yield page, address
    page.close()


def test_the_server_gives_offered_files_and_no_others(served: tuple[Any, str], tmp_path: Path) -> None:
    page, address = served
    (tmp_path / "a.txt").write_text("mine")
    token = page.visits.files.offer(tmp_path / "a.txt")
    with urllib.request.urlopen(f"{address}word2mask/files/{token}/a.txt") as answer:
        assert answer.read() == b"mine" and answer.headers["X-Content-Type-Options"] == "nosniff"
    for wrong in ("nothing/a.txt", f"{token}x/a.txt", "..%2f..%2fetc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{address}word2mask/files/{wrong}")
        assert caught.value.code == 404


def test_nothing_is_open_to_programs_and_nothing_is_fetched_from_elsewhere(served: tuple[Any, str]) -> None:
    page, address = served
    config = page.blocks.get_config_file()
    assert {dependency["api_visibility"] for dependency in config["dependencies"]} <= {"private"}
    with urllib.request.urlopen(address) as answer:
        text = answer.read().decode()
    assert "word2mask" in text
    for elsewhere in ("fonts.googleapis.com/css", "cdn.jsdelivr", "google-analytics"):
        assert elsewhere not in text


def test_no_program_sees_a_film_before_it_is_checked(
    served: tuple[Any, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio mirrors films and takes their sound out by running ffmpeg, which opens whatever a playlist names."""
    (film,) = [part for part in served[0].blocks.blocks.values() if part.elem_id == "w2m-film"]
    (tmp_path / "film.webm").write_text("#EXTM3U\n/etc/passwd\n")
    monkeypatch.setattr("subprocess.Popen", None)
    assert film.preprocess(gr.FileData(path=str(tmp_path / "film.webm"))) == str(tmp_path / "film.webm")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such model folder"),
        (["nowhere", "--max-frames", "0"], "--max-frames is 0; expected more than 0"),
        (["nowhere", "--port", "99999"], "--port 99999: expected 0 to 65535"),
        (["nowhere", "--device", "abacus"], "device 'abacus' can't be used"),
    ],
)
def test_bad_commands_end_with_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_a_port_that_is_taken(served: tuple[Any, str], known_session: Any) -> None:
    port = served[1].rstrip("/").rpartition(":")[2]
    options = command.parse_arguments(["model", "--port", port])
    with pytest.raises(UserError, match=f"--host 127.0.0.1 --port {port}: can't be listened at"):
        command.open_page(known_session, "model", options, wait=False)
