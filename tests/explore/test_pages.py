"""The report and the explorer in a browser, by clicks, as a person uses them from the disk."""

import json
from collections import Counter

import numpy as np
import pytest
import soundfile
from browser import PROGRAM, Browser

from k2d.bin.explore import main as explore
from k2d.bin.report import main as report
from k2d.bin.score import main as score
from k2d.explore.page import render
from k2d.tables import write_numbers, write_table
from k2d.work.models import ModelRecord, write_record

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here; apt-get install chromium")

SAID = "今天 我们 讲 attention 和 model 的 deadline 好 不 好"
# What the student writes of the first utterances: an error of each kind, then a word wrong in some.
WRITTEN = [
    SAID.replace("attention", "tension"),
    SAID.replace("deadline", "最后 期限"),
    "今天 我们",
    SAID + " 谢谢 大家 收看",
    SAID + " 就是" * 20,
    SAID,
]
ODD = "x</script><b>'\"&é"  # an id, of 45
IDS = [f"u{i:02}" for i in range(44)] + [ODD]
RECORDS = {
    "teacher": ModelRecord("teacher", "teacher", "text:none"),
    "student_full": ModelRecord("student_full", "student", "text:none", "full", teacher="teacher", data="data/full"),
    "student_comp": ModelRecord(
        "student_comp", "student", "text:none", "comp", 0.4, "teacher", "validator", data="data/comp"
    ),
    "student_comp@0.2": ModelRecord(
        "student_comp@0.2", "student", "text:none", "comp", 0.2, "teacher", "validator", data="data/comp2"
    ),
}
LOG = "".join(
    f"(trainer:1) INFO: {e}epoch results: [train] loss={3 / e:.3f}, time=1 second, total_count={e}, "
    f"[valid] loss={2 / e:.3f}\n"
    for e in (1, 2, 3)
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with data, an experiment, its report and its explorer."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        rate = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
        soundfile.write("tone.wav", 0.3 * rate, 16000)
        soundfile.write("long.wav", np.zeros(121 * 16000), 16000)
        test_sounds = dict.fromkeys(IDS[:12], str(root / "tone.wav")) | {IDS[12]: str(root / "long.wav")}
        write_table("data/test_in/wav.scp", test_sounds)
        write_table("ref", dict.fromkeys(IDS, SAID))
        for n, name in enumerate(RECORDS):
            out = root / "exp" / name
            texts = {i: SAID.replace("model", "mode") if k % (n + 2) == 0 else SAID for k, i in enumerate(IDS)}
            if name == "student_comp":
                texts |= dict(zip(IDS, WRITTEN, strict=False))
            write_table(out / "decode_test_in/text", texts)
            argv = ["--ref", "ref", "--hyp", out / "decode_test_in/text", "--output_dir", out / "decode_test_in/score"]
            assert score(list(map(str, argv))) == 0
            write_record(out, RECORDS[name])
            if n:
                (out / "train/log").mkdir(parents=True)
                (out / "train/log/train.log").write_text(LOG)
        chunks = [f"rec-{100 * i:07}-{100 * i + 100:07}" for i in range(60)]
        for name, count in (("all", 60), ("full", 60), ("comp", 45), ("comp2", 30)):
            write_table(f"data/{name}/wav.scp", dict.fromkeys(chunks[:count], "tone.wav"))
            write_table(f"data/{name}/text", dict.fromkeys(chunks[:count], SAID))
            write_numbers(f"data/{name}/utt2dur", dict.fromkeys(chunks[:count], 60.0))
        for name in ("mer", "comp"):
            write_numbers(f"scores/utt2{name}", {c: round(i / 60, 2) for i, c in enumerate(chunks)})
        write_numbers("scores/utt2loop_aux", {c: int(i == 5) for i, c in enumerate(chunks)})
        write_table("scores/text", dict.fromkeys(chunks, SAID.replace("model", "mode")))
        argv = ["--data", "data/all", "--scores", "validator=scores", "--output_dir", "exp/explorer"]
        assert explore([*argv, "--audio_mb", "0.1"]) == 0
        argv = ["--models", " ".join(RECORDS), "--test_sets", "test_in", "--output_dir", "exp/report"]
        argv += ["--train_data", "data/all", "--explorers", "validator:exp/explorer", "--title", ODD]
        assert report(argv) == 0
    return root


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def report_of(pages, browser):
    browser.open(pages / "exp/report/index.html")
    yield browser
    assert browser.errors == []


@pytest.fixture
def explorer_of(pages, browser):
    browser.open(pages / "exp/explorer/explorer.html")
    yield browser
    assert browser.errors == []


def utterances(browser) -> list[str]:
    return browser.js("[...document.querySelectorAll('#list [data-utterance]')].map(e => e.dataset.utterance)")


def test_a_table_is_sorted_by_its_headings(report_of):
    def column():
        return report_of.texts("#results tbody td:first-child")

    assert column() == list(RECORDS)
    report_of.click("#results th:last-child button")
    rates = [float(text.split()[0]) for text in report_of.texts("#results tbody td:last-child")]
    assert rates == sorted(rates) and len(set(rates)) == 4
    report_of.click("#results th:last-child button")
    assert column()[0] == "student_comp" and "%" not in report_of.text("#results tbody tr td:last-child")
    report_of.click("#results th:last-child button")
    assert column() == list(RECORDS)


def test_errors_are_found_by_kind(report_of):
    report_of.choose("#of", str(list(RECORDS).index("student_comp")))
    kinds = ("english", "translated", "omitted", "hallucinated", "loop")
    for place, kind in enumerate(kinds):
        report_of.click(f"[data-kind={kind}]")
        assert IDS[place] in utterances(report_of), kind
    report_of.click("[data-kind=translated]")
    assert utterances(report_of) == [IDS[1]]
    cells = report_of.texts("#list tr:has(.own) td")
    # The added word stands in a column of its own, and the reference keeps its place.
    assert cells.count("+最") == 1 and "期" in " ".join(cells)
    assert report_of.texts("#list .d") == [] and Counter(report_of.texts("#list tr.ref td"))["deadline"] == 1
    report_of.click("[data-kind=omitted]")
    assert "∅" in report_of.texts(f'[data-utterance="{IDS[2]}"] .d')


def test_what_was_improved_and_what_was_worsened_against_a_system(report_of):
    report_of.choose("#of", "2")
    report_of.choose("#order", "worsened")
    assert utterances(report_of)[0] == IDS[4]  # twenty times 就是
    assert "more than teacher" in report_of.text("#list .tag.bad")
    report_of.choose("#order", "improved")
    found = utterances(report_of)
    assert found and "1 fewer than teacher" in report_of.text("#list .tag.good")
    assert not set(found) & {IDS[0], IDS[2], IDS[4]}


def test_the_list_is_turned_and_searched(report_of):
    report_of.choose("#order", "id")
    assert len(utterances(report_of)) == 20 and report_of.text("#place") == "1 to 20 of 45"
    report_of.click("#forth")
    report_of.click("#forth")
    assert report_of.text("#place") == "41 to 45 of 45" and report_of.js("$('forth').disabled")
    report_of.type("#find", "最后")
    assert utterances(report_of) == [IDS[1]] and "find=" in report_of.js("location.hash")


def test_an_utterance_has_its_sound_or_says_that_it_has_none(report_of):
    report_of.choose("#order", "id")
    assert report_of.texts('[data-utterance="u00"] .tag')[-1] == "♪ sound"
    length = "new Promise(done => { const a = document.querySelector('#list audio'); a.onloadedmetadata = () => "
    length += "done(a.duration); a.onerror = () => done(-1); a.preload = 'auto'; a.load(); })"
    assert report_of.js(length) == pytest.approx(1, abs=0.15)
    report_of.type("#find", "u43")
    assert utterances(report_of) == ["u43"] and "no sound" in report_of.text("#list .head")
    why = "No sound of 1 utterance of more than 120 s, to keep the page small. "
    assert why + "No sound of 32 utterances missing from the data directory." in report_of.texts("#errors .note")


def test_a_link_leads_to_an_utterance_whatever_its_id(pages, report_of):
    report_of.choose("#of", "1")
    report_of.type("#find", ODD[:6])
    report_of.click("#list .id")
    link = report_of.js("location.hash")
    report_of.open(pages / "exp/report/index.html", link)
    assert report_of.js("document.querySelector('#linked [data-utterance]').dataset.utterance") == ODD
    assert report_of.js("$('of').value") == "1" and ODD in report_of.js("document.title")
    assert report_of.js("document.querySelectorAll('b').length") == 0 or ODD in report_of.text("h1")


def test_without_transcripts_held_out_chunks_are_shown_beside_their_labels(pages, browser, monkeypatch):
    monkeypatch.chdir(pages)
    write_table("held/wav.scp", {"a": "tone.wav", "b": "tone.wav"})
    write_table("held/text", {"a": SAID, "b": "好"})
    write_table("held/text.validator", {"a": SAID.replace("model", "mode"), "b": "好"})
    said = {"a": SAID.replace("attention", "tension"), "b": "好 的 喔 嗎"}
    write_table("exp/student_comp/decode_held_out/text", said)
    argv = ["--models", "teacher student_comp", "--held_out", "held", "--output_dir", "exp/held"]
    assert report(argv) == 0
    browser.open("exp/held/index.html")
    assert browser.texts("#errors h2") == ["Differences, one by one"]
    assert "Differences" in browser.texts("nav a") and "error" not in browser.text("#errors .tools")
    assert "may be an error of the label" in browser.text("#errors .note")
    assert browser.texts("#of option") == ["student_comp", "validator's transcripts"]
    assert browser.js("T.systems[$('against').value]") == "validator's transcripts"
    assert utterances(browser) == ["b", "a"] and "student_comp 3 differences" in browser.text("#list .tag.on")
    browser.click("[data-kind=english]")
    assert utterances(browser) == ["a"] and browser.texts("#list .lines th") == [
        "label", "student_comp", "validator's transcripts"]  # fmt: skip
    assert "added" in browser.text("[data-kind=hallucinated]") and "♪ sound" in browser.text("#list .head")
    assert browser.errors == [] and browser.sideways() <= 0
    unknown = "The number of parameters of student_comp and teacher is not known: no Whisper checkpoint."
    assert unknown in browser.texts("#aims .why")
    browser.open("exp/held/index.html", width=420)
    whole = "document.querySelector('.headline .whole').getClientRects().length"
    assert browser.js(whole) == 1, "--test_sets in a line"
    empty = "getComputedStyle([...document.querySelectorAll('#results td:first-child')][2], '::after').content"
    assert browser.js(empty) == '"not measured"' and browser.texts("#results td:first-child")[2] == "teacher"


def test_lines_are_drawn_for_switches_alphas_and_training(report_of):
    for part in ("switch-charts", "cost-charts", "training-charts"):
        assert report_of.js(f"document.querySelectorAll('#{part} canvas').length") >= 1, part
    titles = report_of.texts("#cost-charts h3")
    assert titles == ["MER against hours of labels learnt", "MER against α"]  # no size and no speed is known
    assert report_of.js("D.scatters[1].sets.test_in.map(p => [p.group, p.x])") == [
        ["comp, validator", 0.2], ["comp, validator", 0.4]]  # fmt: skip


def test_the_report_leads_to_the_explorer(pages, report_of):
    target = report_of.js("[...document.querySelectorAll('nav a')].find(a => a.innerText.startsWith('Explorer')).href")
    assert target == (pages / "exp/explorer/explorer.html").as_uri()


@pytest.mark.parametrize("name", ["exp/report/index.html", "exp/explorer/explorer.html"])
@pytest.mark.parametrize("width", [1280, 420])
def test_no_page_is_wider_than_its_window_by_day_or_night(pages, browser, name, width):
    shades = []
    for dark in (False, True):
        browser.open(pages / name, width=width, dark=dark)
        assert browser.sideways() <= 0 and browser.errors == []
        shades.append(browser.js("getComputedStyle(document.body).backgroundColor"))
    assert shades[0] != shades[1]
    browser.js("document.querySelectorAll('.tag').forEach(tag => tag.textContent += '_'.repeat(90))")  # a long name
    assert browser.sideways() <= 0
    browser.click("#theme")
    assert browser.js("getComputedStyle(document.body).backgroundColor") == shades[0]
    browser.js("localStorage.clear()")


def test_on_a_telephone_every_figure_of_the_tables_is_in_sight_behind_its_heading(pages, browser):
    for name in ("exp/explorer/explorer.html", "exp/report/index.html"):
        browser.open(pages / name, width=420)
        browser.js("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert browser.js("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)")
    assert browser.js("[...document.querySelectorAll('.none')].every(e => e.textContent === '–' && !e.offsetHeight)")
    shown = browser.js("getComputedStyle(document.querySelector('#results tbody td:last-child'), '::before').content")
    assert shown == f'"{browser.texts("#results th")[-1]}"'
    assert browser.errors == []


def test_without_scripts_the_tables_are_there(pages, browser):
    browser.open(pages / "exp/report/index.html", scripts=False)
    text = browser.text("body")
    for words in ("student_comp@0.2 errs in", "student_full", "The 20 with most errors", "谢谢 大家 收看"):
        assert words in text
    assert "most improved first" not in text
    browser.open(pages / "exp/explorer/explorer.html", scripts=False)
    assert "Kept at each α" in browser.text("body") and "α\tδ comp\tδ MER" in browser.text("table")
    assert "0.5\t51.7 %" in browser.text("table")


@pytest.mark.parametrize("name", ["exp/report/index.html", "exp/explorer/explorer.html"])
def test_a_page_carries_the_licence_of_the_charting_library_along(pages, name):
    page = (pages / name).read_text("utf-8")
    assert page.index("Permission is hereby granted, free of charge") < page.index("var uPlot=")


def test_moving_alpha_changes_what_is_kept_and_the_address(explorer_of):
    assert explorer_of.text("#facts .n") == "41.7 %"
    explorer_of.click("#curve .u-over", x=0.5)
    assert explorer_of.text("#alpha") == "α = 0.75" and explorer_of.text("#facts .n") == "76.7 %"
    assert "alpha=0.75" in explorer_of.js("location.hash")
    explorer_of.click("[data-metric=mer]")
    assert "distance=mer" in explorer_of.js("location.hash")


def test_where_no_label_is_bad_no_curve_is_drawn_of_how_they_are_found(pages, browser, tmp_path, monkeypatch):
    monkeypatch.chdir(pages)
    write_table(tmp_path / "reference", {f"rec-{100 * i:07}-{100 * i + 100:07}": SAID for i in range(60)})
    argv = ["--data", "data/all", "--scores", "validator=scores", "--output_dir", str(tmp_path / "page")]
    assert explore([*argv, "--audio_mb", "0", "--reference", str(tmp_path / "reference")]) == 0
    browser.open(tmp_path / "page/explorer.html")
    assert "None of these are bad" in browser.text("#analysis")
    assert browser.js("document.querySelectorAll('#analysis canvas').length") == 0 and browser.errors == []


def test_show_more_ends_and_samples_tell_whether_they_have_sound(explorer_of):
    total = explorer_of.js("D.sample.length")
    for _ in range(total):
        if explorer_of.js("$('more').checkVisibility()"):
            explorer_of.click("#more")
    assert explorer_of.js("document.querySelectorAll('#chunks .item').length") == total
    assert not explorer_of.js("$('more').checkVisibility()")
    tags = Counter(t for t in explorer_of.texts("#chunks .tag") if "sound" in t)
    assert tags["♪ sound"] == explorer_of.js("D.with_sound.length") > 0
    assert tags["no sound"] == total - tags["♪ sound"] > 0
    assert explorer_of.texts("#chunks .tag").count("validator loops") == 1
    assert f"{tags['no sound']} have no sound, to keep the page small" in explorer_of.text("#sample-note")
    explorer_of.choose("#filter", "audio")
    assert explorer_of.js("document.querySelectorAll('#chunks .tag.mute').length") == 0


def test_a_link_leads_to_a_chunk_a_distance_and_an_alpha(pages, browser):
    chunk = "rec-0000500-0000600"
    browser.open(pages / "exp/explorer/explorer.html", f"#alpha=0.05&distance=mer&chunk={chunk}")
    assert browser.text("#alpha") == "α = 0.05"
    assert browser.js("document.querySelector('[aria-pressed=true]').dataset.metric") == "mer"
    assert browser.js("document.querySelector('#linked .item').dataset.chunk") == chunk
    browser.open(pages / "exp/explorer/explorer.html", "#chunk=nobody")
    assert "nobody is not among the" in browser.text("#linked") and browser.errors == []


def test_a_link_that_is_put_into_an_open_page_is_followed(explorer_of, pages):
    explorer_of.js("location.hash = '#alpha=0.75&distance=mer'")
    explorer_of.wait("document.querySelector('#alpha')?.textContent === 'α = 0.75'")
    assert explorer_of.js("document.querySelector('[aria-pressed=true]').dataset.metric") == "mer"
    explorer_of.open(pages / "exp/report/index.html")
    explorer_of.js("location.hash = '#set=test_in&of=student_full&utterance=u03'")
    explorer_of.wait("document.querySelector('#linked [data-utterance=u03]') !== null")
    assert explorer_of.js("$('of').value") == "1"
    explorer_of.js("view.stays = 1; location.hash = '#results'")
    explorer_of.js("new Promise(done => setTimeout(done, 200))")
    assert explorer_of.js("view.stays") == 1, "a link to a heading loads nothing"


def test_ten_thousand_utterances_stay_usable(pages, browser, tmp_path):
    page = (pages / "exp/report/index.html").read_text()
    head, rest = page.split('<script id="texts" type="application/json">')
    texts, rest = rest.split("</script>", 1)
    texts = json.loads(texts)
    texts["utterances"] = [[s, f"{i}-{n}", *more] for n in range(230) for s, i, *more in texts["utterances"]]
    grown = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    (tmp_path / "index.html").write_text(f'{head}<script id="texts" type="application/json">{grown}</script>{rest}')
    browser.open(tmp_path / "index.html")
    assert "10,350 of 10,350" in browser.text("#found")
    draw = "(t => { view.order = 'improved'; drawList(); return performance.now() - t; })(performance.now())"
    took = browser.js(draw)
    assert took < 2000 and len(utterances(browser)) == 20  # ms; a tenth of it on a machine with nothing else to do


def test_nothing_in_a_page_becomes_markup():
    names = {"sounds": "{}", "served": False, "folder": "<u>"}
    page = render("audit.html.j2", title="<i>&", data={"rows": ["</script><b>"]}, **names)
    assert "<i>" not in page and "<u>" not in page and "</script><b>" not in page and "&lt;i&gt;&amp;" in page
    with pytest.raises(ValueError, match="not JSON compliant"):
        render("audit.html.j2", title="", data={"x": float("nan")}, **names)
