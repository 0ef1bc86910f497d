"""A test set made by ear: what is drawn, the page by clicks and keys, the data made, and what the server refuses."""

import http.client
import json
import os
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import PROGRAM, Browser

from k2d.bin import audit as command
from k2d.bin.explore import main as explore
from k2d.bin.score import main as score
from k2d.datadir import DataDir
from k2d.explore.audit import UNUSABLE, USABLE, Answer, Audit, open_audit
from k2d.explore.audit_figures import Figures, find_systems
from k2d.explore.audit_page import audit_page
from k2d.explore.audit_server import AuditServer
from k2d.explore.sounds import open_located
from k2d.label.scores import find_scores
from k2d.tables import read_table, write_numbers, write_table
from k2d.work.identity import file_digest
from k2d.work.models import ModelRecord, write_record

LABEL = "<|0.00|>今天 我們 講 attention 和 model<|2.00|>"
TEXT = "今天 我們 講 attention 和 model"
RECORDINGS = ("早課", "talk", "long")


def chunk(recording: str, place: int) -> str:
    return f"{recording}-{200 * place:07}-{200 * place + 200:07}"


IDS = sorted([chunk(r, n) for r in RECORDINGS for n in range(6 if r != "long" else 60)])


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Chunks of three recordings, one ten times as long as the others, a distance each, a validator and a student."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("tone.wav", 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000), 16000)
    write_table("chunks/wav.scp", dict.fromkeys(IDS, "tone.wav"))
    write_table("chunks/text", dict.fromkeys(IDS, LABEL))
    write_numbers("chunks/utt2dur", dict.fromkeys(IDS, 2.0))
    write_numbers("scores/utt2comp", {key: place / len(IDS) for place, key in enumerate(IDS)})
    write_table("scores/text", dict.fromkeys(IDS, LABEL.replace("model", "mode")))
    write_table("exp/student/decode_some/text", dict.fromkeys(IDS, LABEL.replace("attention", "tension")))
    write_record("exp/student", ModelRecord("student", "student", "text:none", "full", teacher="teacher"))
    return tmp_path


def drawn(*more: str, count: int = 9) -> Audit:
    """As the command draws, with the page as a file."""
    argv = ["--data", "chunks", "--scores", "validator=scores", "--output_dir", "data/heard", "--count", str(count)]
    assert command.main([*argv, "--page", "page.html", *more]) == 0
    return Audit("data/heard")


@contextmanager
def served(audit: Audit):
    scores = find_scores(DataDir("chunks"), {"validator": "scores"})
    figures = Figures(audit, lambda: find_systems(audit, scores, audit.folder.parent.parent / "exp", {}))
    page = lambda: audit_page(audit, figures, "heard")  # noqa: E731
    with AuditServer(0, audit, figures, open_located(audit.drawn), page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_chunks_are_drawn_evenly_over_distances_and_recordings_and_more_come_on_top(corpus):
    first = drawn("--audio_mb", "0")
    places = sorted(IDS.index(key) for key in first.order)
    bands = [place * 9 // len(IDS) for place in places]
    assert bands == list(range(9)), "one of each ninth of the chunks in order of distance"
    given = Counter(first.recording(key) for key in first.order)
    assert set(given) == set(RECORDINGS), "chunks that are files of their own still have their recordings"
    first.answer(first.order[0], Answer(USABLE, "好"))
    more = drawn("--audio_mb", "0", count=20)
    assert more.order[:9] == first.order and len(set(more.order)) == 20
    assert more.answers == {first.order[0]: Answer(USABLE, "好")}
    assert drawn("--audio_mb", "0", count=1000).order[:20] == more.order and len(Audit("data/heard").order) == len(IDS)


def test_a_second_audit_draws_none_of_the_first_ones_chunks(corpus, capsys):
    first = drawn(count=40)
    argv = ["--data", "chunks", "--output_dir", "data/dev", "--count", "60", "--page", "page.html"]
    assert command.main(argv) == 0
    assert sorted(first.order + Audit("data/dev").order) == IDS
    said = capsys.readouterr().err
    assert f"which leaves 0 of {len(IDS)} chunks in chunks for training" in said
    assert f"{len(IDS) - 40} chunks of " in said
    assert "data/dev; there are no more that no other audit has drawn\n" in said
    assert command.main([*argv, "--output_dir", "data/third"]) == 1
    assert "no chunk to draw that no other audit has drawn" in capsys.readouterr().err


def test_a_second_audit_of_another_teachers_labels_draws_no_sound_of_the_first_one(corpus):
    first = set(drawn(count=30).order)
    sharing = {}  # chunks that begin half a second later -> those that they share sound with
    for key in IDS:
        recording, start, _ = key.rsplit("-", 2)
        place = int(start) // 200
        later = f"{recording}-{200 * place + 50:07}-{200 * place + 250:07}"
        sharing[later] = {key, chunk(recording, place + 1)}
    write_table("others/wav.scp", dict.fromkeys(sharing, "tone.wav"))
    write_table("others/text", dict.fromkeys(sharing, LABEL))
    write_numbers("others/utt2dur", dict.fromkeys(sharing, 2.0))
    assert command.main(["--data", "others", "--output_dir", "data/dev", "--count", "60", "--page", "page.html"]) == 0
    assert sorted(Audit("data/dev").order) == [key for key, shared in sharing.items() if not shared & first]


def test_what_another_command_made_is_not_taken_for_an_audit(corpus, capsys):
    Path("scores/step.json").write_text('{"step": "distance"}')
    assert command.main(["--data", "chunks", "--output_dir", "scores", "--page", "page.html"]) == 1
    assert "scores: holds what distance made; give another --output_dir" in capsys.readouterr().err
    assert not Path("scores/drawn").exists()


def test_a_misspelt_folder_is_not_made(corpus, capsys):
    assert command.main(["--output_dir", "data/audtied"]) == 1
    assert "data/audtied: nothing was drawn there yet; give --data" in capsys.readouterr().err
    assert command.main(["--output_dir", "data/audtied", "--data", "chunsk"]) == 1
    assert "chunsk: no such folder; --data is a data directory of labelled chunks" in capsys.readouterr().err
    assert not Path("data/audtied").exists()


def test_a_draw_that_fails_makes_no_folder_and_says_what_is_not_finished(corpus, capsys):
    argv = ["--output_dir", "data/heard", "--data"]
    assert command.main([*argv, "chunks", "--scores", "scroes"]) == 1
    write_table("none/text", {})
    write_table("none/wav.scp", {})
    assert command.main([*argv, "none"]) == 1 and "no chunk to draw" in capsys.readouterr().err
    write_table("begun/text", dict.fromkeys(IDS, LABEL))
    Path("begun/.begun.json").write_text("{}")
    assert command.main([*argv, "begun"]) == 1
    assert "begun: not finished; make it with its stage (labels: stage 2)" in capsys.readouterr().err
    assert not Path("data/heard").exists()


def test_reading_answers_tells_the_new_ones_from_those_that_change_others(corpus, capsys):
    audit = drawn()
    one, two, three = sorted(audit.order[:3])
    audit.take({one: Answer(USABLE, "好"), two: Answer(USABLE, "好")})
    theirs = {one: "好", two: "不好", three: "好"}
    answers = {key: {"verdict": USABLE, "text": text} for key, text in theirs.items()}
    Path("theirs.json").write_text(json.dumps({"answers": answers}))
    capsys.readouterr()
    for said in (f"audit: 1 new answer, 1 changed: {two}\n", "audit: 0 new answers, 0 changed\n"):
        assert command.main(["--output_dir", "data/heard", "--read", "theirs.json"]) == 0
        assert capsys.readouterr().out.startswith(said)
    assert Audit("data/heard").used == theirs


def test_some_chunks_are_left_to_train_on(corpus, capsys):
    half, _ = open_audit(Path("data/half"), Path("chunks"), [], None, 0, None)
    assert len(half.order) == len(IDS) // 2 and "for training" not in capsys.readouterr().err
    quarter, _ = open_audit(Path("data/quarter"), Path("chunks"), [], None, 0, None)
    assert len(quarter.order) == len(IDS) // 4, "half of what the first has left"
    assert f"which leaves {len(IDS) // 4} of {len(IDS)} chunks" in capsys.readouterr().err
    open_audit(Path("elsewhere/most"), Path("chunks"), [], 70, 0, None)
    assert f"which leaves 2 of {len(IDS)} chunks in chunks for training" in capsys.readouterr().err
    write_table("recordings/wav.scp", {"talk": "tone.wav"})
    assert command.main(["--data", "recordings", "--output_dir", "data/none"]) == 1
    said = capsys.readouterr().err
    assert "recordings: has no text" in said and "(recordings_<teacher>)" in said


def test_a_set_points_into_the_recordings_that_its_chunks_were_cut_from(corpus):
    tone, _ = soundfile.read("tone.wav")
    soundfile.write("long.wav", np.concatenate([tone * (place + 1) / 60 for place in range(60)]), 16000)
    write_table("whole/wav.scp", dict.fromkeys(RECORDINGS, "long.wav"))
    (corpus / "chunks/step.json").write_text(json.dumps({"inputs": {"data": {"path": "whole"}}}))
    audit = drawn()
    audit.take({key: Answer(USABLE, TEXT) for key in audit.order})
    made = DataDir("data/heard")
    assert made.validate() == [] and made.wav.keys() <= set(RECORDINGS) and made.has_segments
    heard, place = open_located(made)[audit.order[0]], int(audit.chunks[audit.order[0]].start / 2)
    assert len(heard) == 32000 and heard.max() == pytest.approx(0.3 * (place + 1) / 60, abs=1e-3)
    (corpus / "long.wav").unlink()
    os.rename("data/heard", "data/old")
    assert not drawn().drawn.has_segments, "recordings that are gone are not pointed at"


def test_answers_are_a_test_set_that_scoring_and_the_explorer_use(corpus):
    audit = drawn()
    audit.take({key: Answer(USABLE, TEXT) for key in audit.order})
    audit.answer(audit.order[0], Answer(UNUSABLE))
    audit.answer(audit.order[1], Answer(USABLE))  # nothing is said
    audit.answer(audit.order[2], None)
    made = DataDir("data/heard")
    record = json.loads(Path("data/heard/step.json").read_text())
    assert (record["step"], set(record["inputs"])) == ("audit", {"chunks", "scores of validator"})
    assert made.validate() == [] and sorted(made.text) == sorted(set(audit.order) - {audit.order[0], audit.order[2]})
    assert made.utt2dur == dict.fromkeys(made.text, 2.0) and set(made.utt2spk.values()) <= set(RECORDINGS)
    systems = find_systems(audit, find_scores(DataDir("chunks"), {"validator": "scores"}), corpus / "exp", {})
    figures = {row["name"]: row for row in Figures(audit, lambda: systems).now()["systems"]}
    assert list(figures) == ["label", "validator", "student"]
    write_table("hyp", {key: systems[2].texts[key] for key in made.text})
    argv = ["--ref", "data/heard/text", "--data", "data/heard", "--hyp", "hyp", "--output_dir", "scored"]
    assert score(argv) == 0
    found = json.loads((corpus / "scored/result.json").read_text())
    assert found["recordings"] == len({audit.recording(key) for key in made.text})
    shown, interval = figures["student"], found["confidence_interval"]
    assert round(shown["rate"], 6) == found["mer"]["rate"]
    assert [round(shown[end], 6) for end in ("low", "high")] == [interval["low"], interval["high"]]

    argv = ["--data", "chunks", "--scores", "scores", "--output_dir", "page", "--audio_mb", "0"]
    assert explore([*argv, "--audit", "chunks"]) == 1, "no audit made them"
    assert explore([*argv, "--audit", "data/heard"]) == 0
    analysis = json.loads((corpus / "page/detection.json").read_text())
    assert (analysis["chunks"], analysis["bad"]) == (7, 1)


def ask(server: AuditServer, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    host = f"127.0.0.1:{server.server_address[1]}"
    headers = {"Host": host, "Origin": f"http://{host}", "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    link = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    link.putrequest("GET" if body is None else "POST", path, skip_host=True)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    for name, value in (headers if body is None else {"Content-Length": str(len(data))} | headers).items():
        link.putheader(name, value)
    link.endheaders(None if body is None else data)
    reply = link.getresponse()
    found = reply.status, reply.read()
    link.close()
    return found


def test_the_server_gives_nothing_but_the_page_and_its_sounds_and_takes_answers_from_it_alone(corpus, capsys):
    audit = drawn()
    key = audit.order[0]
    good = {"id": key, "verdict": USABLE, "text": "好\u2028\tmodel <|0.00|>\n"}
    with served(audit) as server:
        assert server.server_address[0] == "127.0.0.1"
        base = f"/{server.token}"
        status, page = ask(server, base + "/")
        assert status == 200 and "model" in page.decode() and "tension" not in page.decode(), "no other system's text"
        assert ask(server, base + "/sound/0")[0] == 200
        for path in ("/", "/x/", "/../", base, base + "/sound/9", base + "/sound/-1", base + "/sound/0x0",
                     base + "/../../etc/passwd", base + "/%2e%2e/tone.wav", base + "//etc/passwd", "http://other/",
                     base + "/audit.json", base + "/answer"):  # fmt: skip
            status, said = ask(server, path)
            assert status == 404 or (path == base and said == page), path
        assert ask(server, base + "/", Host="evil.example")[0] == 403
        answer = base + "/answer"
        assert ask(server, answer, good, Origin="http://evil.example")[0] == 403
        assert ask(server, answer, good, Content_Type="text/plain")[0] == 415
        assert ask(server, "/wrong/answer", good)[0] == 404
        assert ask(server, answer, good, Content_Length="1000000000")[0] == 413
        for bad in ({**good, "id": "../x"}, {**good, "verdict": "x"}, {**good, "text": 3}, [], b"{", b"\xff",
                    {**good, "text": "x" * 20_000}, b"[" * 50_000):  # fmt: skip
            assert ask(server, answer, bad)[0] == 400
        assert not audit.answers and not (corpus / "data/heard/wav.scp").exists()
        status, reply = ask(server, answer, good)
        assert status == 200 and json.loads(reply)["figures"]["utterances"] == 1
        assert read_table("data/heard/text") == {key: "好 model"} and Audit("data/heard").answers == audit.answers
        capsys.readouterr()
        for error in (BrokenPipeError(), ValueError("a fault of ours")):
            try:
                raise error
            except Exception:
                server.handle_error(None, ("127.0.0.1", 1))
        said = capsys.readouterr().err
        assert "a fault of ours" in said and "BrokenPipe" not in said, "a page that is closed is no error"


@pytest.fixture(scope="module")
def browser():
    if PROGRAM is None:
        pytest.skip("no chromium here; apt-get install chromium")
    with Browser() as opened:
        yield opened


def test_a_model_that_decodes_meanwhile_is_on_the_page_when_it_is_loaded_again(corpus):
    audit, text = drawn(), corpus / "exp/student/decode_some/text"
    whole = text.read_text()
    text.unlink()

    def names(server) -> list[str]:
        assert ask(server, f"/{server.token}/")[0] == 200
        return [row["name"] for row in server.figures.now()["systems"]]

    with served(audit) as server:
        server.audit.answer(audit.order[0], Answer(USABLE, TEXT))
        assert names(server) == ["label", "validator"]
        text.write_text(whole)
        assert names(server) == ["label", "validator", "student"]
        rate = server.figures.now()["systems"][2]["rate"]
        text.write_text(whole.replace("tension", "attention"))
        assert names(server)[2] == "student" and server.figures.now()["systems"][2]["rate"] < rate

        def trained_on(chunk: str) -> None:
            write_table("exp/student/data/text", {chunk: TEXT})
            labels = {"path": "exp/student/data/text", "digest": file_digest("exp/student/data/text")}
            records = {
                "decode_some": {"model": {"path": "exp/student/average"}},
                "average": {"exp": {"path": "exp/student/train"}},
                "train": {"train text": labels},
            }
            for folder, inputs in records.items():
                (corpus / "exp/student" / folder).mkdir(exist_ok=True)
                (corpus / "exp/student" / folder / "step.json").write_text(json.dumps({"inputs": inputs}))

        trained_on(audit.order[3])
        assert names(server) == ["label", "validator"], "a student that has learnt one of these chunks"
        write_table("exp/student/data/text", {"another": TEXT})
        assert names(server) == ["label", "validator"], "a student that is being trained again"
        trained_on("another")
        assert names(server) == ["label", "validator", "student"]
        text.write_bytes(b"\xff\n")
        assert names(server) == ["label", "validator", "student"], "what it was before it was being written"


def test_three_chunks_by_keys_and_clicks_and_a_reload_goes_on(corpus, browser):
    audit = drawn()
    with served(audit) as server:
        browser.open(server.address)
        browser.wait("document.querySelector('#sound audio') !== null")
        assert browser.js("document.activeElement.id") == "text"
        browser.press("Enter")  # the label is what is said
        browser.wait("document.querySelector('#count').textContent.startsWith('1 of 9')")
        browser.js("document.querySelector('#text').select()")
        browser._ask("Input.insertText", text="今天 講 attention")
        browser.click("#usable")
        browser.wait("document.querySelector('#count').textContent.startsWith('2 of 9')")
        browser.press("Enter", control=True)
        browser.wait("document.querySelector('#saved').textContent === 'saved' && !document.querySelector('.pending')")
        answers = Answer(USABLE, TEXT), Answer(USABLE, "今天 講 attention"), Answer(UNUSABLE)
        assert Audit("data/heard").answers == dict(zip(audit.order, answers, strict=False))
        assert browser.texts("#rates .name") == ["the label", "validator", "student"]
        figures = server.figures.now()["systems"][0]
        assert browser.text("#rates .value").startswith(f"{100 * figures['rate']:.1f} %")
        browser.js("figures.systems[0].low = 0, figures.systems[0].high = 1.5, rates()")
        assert browser.text("#sure") == "The widest interval is ± 75.0 points: too few answers to compare models by."

        browser.open(server.address)
        browser.wait("document.querySelector('#count').textContent.startsWith('3 of 9')")
        assert browser.js("document.querySelector('[aria-current]').textContent") == "4"
        browser.press("PageUp")
        browser.press("PageUp")
        assert browser.js("document.querySelector('#text').value") == "今天 講 attention"
        browser.press("F8")
        assert browser.js("document.querySelector('#text').value") == TEXT
        assert browser.errors == []


def test_what_cannot_be_sent_is_kept_in_the_browser_and_said(corpus, browser):
    audit = drawn()
    with served(audit) as server:
        browser.open(server.address)
        browser.wait("document.querySelector('#sound audio') !== null")
        audit.folder, folder = corpus / "tone.wav", audit.folder  # a folder that cannot be written
        browser.press("Enter")
        browser.wait("document.querySelector('#saved').textContent.startsWith('not saved')")
        assert len(browser.texts(".pending")) == 1
        audit.folder = folder
        browser.wait("document.querySelector('#saved').textContent === 'saved'")
        assert len(Audit("data/heard").answers) == 1


def press_and_wait(browser, key: str, square: int):
    browser.press(key)
    browser.wait(f"document.querySelector('[aria-current]').textContent === '{square}'")


def test_a_text_that_was_typed_stays_until_it_is_answered(corpus, browser):
    audit = drawn()
    text, value = "#text", "document.querySelector('#text').value"
    with served(audit) as server:
        browser.open(server.address)
        browser.wait("document.querySelector('#sound audio') !== null")
        browser.type(text, "!")
        typed = browser.js(value)
        assert typed != TEXT and len(browser.texts(".pending")) == 1
        press_and_wait(browser, "PageDown", 2)
        assert browser.js(value) == TEXT
        press_and_wait(browser, "PageUp", 1)
        assert browser.js(value) == typed
        browser.click("#map button:nth-child(3)")
        browser.open(server.address)
        browser.wait(f"{value} === {json.dumps(typed)}")
        browser.press("F8")
        assert browser.js(value) == TEXT and not browser.texts(".pending")
        browser.js("document.execCommand('undo')")
        assert browser.js(value) == typed
        audit.answer(audit.order[0], Answer(USABLE, "好"))  # in another window
        browser.open(server.address + f"#chunk={audit.order[0]}")
        browser.wait(f"{value} === '好'")
        browser.type(text, "!")
        browser.press("Enter")
        browser.wait("document.querySelector('#saved').textContent === 'saved'")
        assert not browser.texts(".pending") and "好" in audit.answers[audit.order[0]].text
        assert browser.js("Object.keys(stored(store + '-drafts'))") == []
    assert browser.errors == []


def test_a_page_of_before_says_that_the_audit_was_started_again(corpus, browser):
    audit = drawn()
    with served(audit) as server:
        browser.open(server.address)
        browser.wait("document.querySelector('#sound audio') !== null")
        server.token, token = "another", server.token
        browser.press("Enter")
        again = "not saved: k2d audit was started again;"
        browser.wait(f"document.querySelector('#saved').textContent.startsWith('{again}')")
        assert token not in server.address
        browser.open(server.address)
        browser.wait("document.querySelector('#saved').textContent === 'saved'")
        assert audit.used == {audit.order[0]: TEXT}


def test_saved_is_said_when_every_answer_is(corpus, browser):
    audit = drawn()
    with served(audit) as server:
        browser.open(server.address)
        browser.wait("document.querySelector('#sound audio') !== null")
        with server.answering:
            for count in (1, 2):
                browser.press("Enter")
                browser.wait(f"document.querySelector('#count').textContent.startsWith('{count} of 9')")
            assert browser.text("#saved") == "saving …"
        browser.wait("document.querySelector('#saved').textContent === 'saved'")
        assert len(Audit("data/heard").answers) == 2


def test_a_page_from_the_disk_counts_by_itself_and_its_answers_are_read_back(corpus, browser, capsys):
    audit = drawn()
    browser.open(corpus / "page.html")
    browser.press("Enter")
    browser.js("document.querySelector('#text').value = '今天 我们 讲 Attention， 和 model 啊'")
    for _ in range(7):
        browser.press("Enter")
    browser.open(corpus / "page.html")
    assert browser.text("#count") == "8 of 9"
    saved = browser.js("JSON.stringify({key: D.key, answers})")
    (corpus / "saved.json").write_text(saved)
    shown = browser.js("figures")
    assert browser.errors == []
    capsys.readouterr()
    again = ["--output_dir", "data/heard"]
    assert command.main([*again, "--read", "saved.json"]) == 0
    said = capsys.readouterr().out
    assert "k2d audit --output_dir data/heard" in said and DataDir("data/heard").validate() == []
    assert all(f"  {name}: " in said for name in ("label", "validator", "student")), "the scores are remembered"
    audit = Audit("data/heard")
    scores = find_scores(DataDir("chunks"), {"validator": "scores"})
    exact = Figures(audit, lambda: find_systems(audit, scores, corpus / "exp", {})).now()
    assert shown["units"] == exact["units"] and shown["recordings"] == exact["recordings"]
    for mine, theirs in zip(shown["systems"], exact["systems"], strict=True):
        assert mine["rate"] == pytest.approx(theirs["rate"])
        assert mine["high"] == pytest.approx(theirs["high"], abs=0.02)
    (corpus / "saved.json").write_text(saved.replace(audit.order[0], "other"))
    assert command.main([*again, "--read", "saved.json"]) == 1
    assert "of another draw" in capsys.readouterr().err


def test_an_answer_on_the_disk_is_newer_than_one_that_a_page_made_before_has_kept(corpus, browser):
    one, two = drawn().order[:2]
    saved, page = "JSON.stringify({key: D.key, answers: given})", corpus / "page.html"
    browser.open(page)
    browser.js("localStorage.clear()")  # other tests' pages are of the same draw
    browser.open(page)
    for _ in range(2):
        browser.press("Enter")
    (corpus / "saved.json").write_text(browser.js(saved))
    assert command.main(["--output_dir", "data/heard", "--read", "saved.json"]) == 0
    Audit("data/heard").answer(one, Answer(USABLE, "不"))
    drawn()  # the page, once more
    browser.open(page, link=f"#chunk={one}")
    assert browser.js("document.querySelector('#text').value") == "不" and browser.text("#count") == "2 of 9"
    assert json.loads(browser.js(saved))["answers"] == {}, "those of the page are on the disk"
    browser.open(page, link=f"#chunk={two}")
    browser.wait("document.querySelector('[aria-current]')?.textContent === '2'")
    browser.press("Enter", control=True)
    browser.wait(f"given['{two}'] !== undefined")
    browser.open(page, link=f"#chunk={two}")
    (corpus / "saved.json").write_text(browser.js(saved))
    assert command.main(["--output_dir", "data/heard", "--read", "saved.json"]) == 0
    assert Audit("data/heard").answers == {one: Answer(USABLE, "不"), two: Answer(UNUSABLE)}
    assert browser.errors == []


def test_a_page_from_the_disk_draws_without_repeating_itself_and_follows_a_link(corpus, browser):
    audit = drawn()
    browser.open(corpus / "page.html")
    numbers = "Array.from({ length: 60000 }, chances(1))"
    assert browser.js(f"new Set({numbers}).size") == 60000
    places = browser.js(f"{numbers}.reduce((of, x) => (of[Math.floor(10 * x)]++, of), Array(10).fill(0))")
    assert all(abs(count - 6000) < 300 for count in places)  # four standard deviations
    browser.js(f"location.hash = '#' + new URLSearchParams({{ chunk: '{audit.order[5]}' }})")
    browser.wait("document.querySelector('[aria-current]')?.textContent === '6'")
    assert browser.errors == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (420, True)])
def test_it_fits_its_window(corpus, browser, width, dark):
    audit = drawn(count=40)
    said = [TEXT, TEXT.replace("model", "模型"), TEXT + " 對 不 對"]
    audit.take({key: Answer(USABLE, said[place % 5 % 3]) for place, key in enumerate(audit.order[:12])})
    with served(audit) as server:
        browser.open(server.address, width=width, dark=dark)
        browser.wait("document.querySelector('#sound audio') !== null")
        assert browser.sideways() <= 0
        if shots := os.environ.get("K2D_SHOTS"):
            browser.screenshot(f"{shots}/audit_{width}_{'dark' if dark else 'light'}.png")
