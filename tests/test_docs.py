"""What pages say is there: links, files, functions, commands, options and the messages that they quote."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

import k2d
from k2d.bin.main import commands

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SITE = yaml.safe_load((ROOT / "tools/mkdocs.yml").read_text(encoding="utf-8"))
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("egs/*/*/README.md"))]
# Options that pages mention of ESPnet's trainer, whose import takes ten seconds, and of other programs.
ESPNET = set(
    "--max_epoch --patience --num_iters_per_epoch --scheduler_conf --use_wandb --wandb_project "
    "--dist_master_addr".split()
)
OTHERS = ESPNET | set(
    "--account --partition --gres --gpus-per-node --time --mem --num_threads --max_jobs_run --retries --signal_before "
    "--config --logdir --me --requeue --qos --export --clusters --max_jobs --exclude --no-deps".split()
)
SHELL = "egs/TEMPLATE/k2d1/k2d.sh"


def pages():
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def code(text: str) -> list[str]:
    """Blocks, a command a piece, and spans; a span may run over a line's end."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.partition(" # ")[0] for line in lines] + [" ".join(span.split()) for span in spans]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(target)
        elif page.parent == DOCS and DOCS not in file.parents:
            lost.append(f"{target}: leaves docs/, which the site does not have")
    assert lost == []


def test_every_page_is_in_the_site_and_in_the_list_of_pages():
    names = {page.name for page in DOCS.glob("*.md")}
    sections = [section for part in SITE["nav"][1:] for section in part.values()]
    listed = {page for section in sections for item in section for page in item.values()} | {"index.md"}
    assert listed == names
    linked = set(re.findall(r"\]\(([\w-]+\.md)", (DOCS / "index.md").read_text(encoding="utf-8")))
    assert linked == names - {"index.md"}


@cache
def defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names | {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("page", pages())
def test_files_and_functions_that_are_named_exist(page):
    lost = []
    for words in code(page.read_text(encoding="utf-8")):
        for path, name in re.findall(r"(?<![\w/.…-])((?:k2d|utils|tools|tests|conf)/[\w./-]*\w)(?::(\w+))?", words):
            recipes = [ROOT, page.parent, ROOT / "egs/mini_cs/k2d1"]
            file = next((root / path for root in recipes if (root / path).exists()), None)
            made = path.startswith(("tools/venv", "conf/selections/mine", "conf/mine", "conf/slurm"))
            if (file is None and not made) or (name and name not in defined(file)):
                lost.append(f"{path}:{name}")
    assert lost == []


@cache
def options_of(command: str) -> frozenset[str]:
    if command == "train":
        files = ("k2d/bin/train.py", "k2d/distill/training.py")
        source = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
        return frozenset(ESPNET | {"--output_dir"} | set(re.findall(r"--[a-z]\w+", source)))
    module = importlib.import_module(f"k2d.bin.{command}")
    return frozenset(s for action in module.parser()._actions for s in action.option_strings)


@cache
def options_of_recipes() -> frozenset[str]:
    """Variables of k2d.sh, and what recipes' own scripts read."""
    found = set(re.findall(r"^(\w+)=.*# ", (ROOT / SHELL).read_text(encoding="utf-8"), flags=re.MULTILINE)) | {"help"}
    for script in [*ROOT.glob("egs/*/*/run.sh"), *ROOT.glob("egs/*/*/local/*.sh"), ROOT / "tools/install.sh"]:
        cases = r"^ *(?:-[\w=*| -]+\| )*--(\w+)(?:=\*)?\)"
        found |= set(re.findall(cases, script.read_text(encoding="utf-8"), flags=re.MULTILINE))
        own = re.findall(r"^own_options ([\w ]+) --", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found |= set(" ".join(own).split())
    ladder = (ROOT / "egs/mini_cs/k2d1/local/ladder.sh").read_text(encoding="utf-8")
    found |= set(re.findall(r"^(\w+)=", ladder, flags=re.MULTILINE))
    for script in ROOT.glob("egs/*/*/local/*.py"):
        source = script.read_text(encoding="utf-8")
        found |= set(re.findall(r"\"--(\w+)\"", source)) | set(re.findall(r"(\w+): \w+ = option\(", source))
    return frozenset(f"--{name}" for name in found)


@cache
def all_options() -> frozenset[str]:
    of_tools = set()
    for script in [*ROOT.glob("utils/*.py"), *ROOT.glob("tools/*.py")]:
        of_tools |= set(re.findall(r"\"(--\w+)\"", script.read_text(encoding="utf-8")))
    return frozenset().union(OTHERS, of_tools, options_of_recipes(), *(options_of(name) for name in commands()))


def options_in(words: str) -> set[str]:
    """Options on a command line, without those that stand in quotes, which are passed on."""
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", " ", words)
    return {f"--{name.replace('-', '_')}" for name in re.findall(r"(?<![\w-])--([a-z][\w-]*)", bare)}


@pytest.mark.parametrize("page", pages())
def test_commands_and_options_are_real(page):
    wrong = []
    for words in code(page.read_text(encoding="utf-8")):
        for part in re.split(r"[|;&] ", words):
            if found := re.match(r"k2d (?!help COMMAND)(?:help )?([a-z]\w*)", part.strip()):
                if found[1] not in commands():
                    wrong.append(part)
                    continue
                wrong += [f"{part}: {o}" for o in options_in(part) - options_of(found[1])]
            elif re.match(r"\S*(?:run|k2d)\.sh ", part.strip()):
                wrong += [f"{part}: {o}" for o in options_in(part) - options_of_recipes()]
        every = {f"--{name}" for name in re.findall(r"(?<![\w-])--([a-z][\w-]*\w)", words)}
        wrong += [f"{words}: {o}" for o in every - all_options()]
    assert wrong == []


@cache
def said() -> str:
    """Every string of the code, a placeholder being a line break: messages as they are written."""
    texts = []
    for file in ROOT.glob("k2d/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    for script in [*ROOT.glob("utils/*.sh"), ROOT / "tools/install.sh", ROOT / SHELL]:
        texts.append(re.sub(r"\" \\\n\s*\"", " ", script.read_text(encoding="utf-8")))
    return "\n".join(texts)


def test_messages_that_are_explained_are_said():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [" ".join(q.split()) for q in re.findall(r"\*\*`([^`]+)`(?!\*\* \(torch)", page)]
    assert len(quoted) > 40
    # Whole pieces between what differs.
    lost = [f"{q}: {p}" for q in quoted for p in re.split(r"\s*…\s*", q) if len(p) > 8 and p not in said()]
    assert lost == []


def test_the_changelog_has_the_release_that_is_cited():
    cited = dict(re.findall(r"^(version|date-released): (.+)$", (ROOT / "CITATION.cff").read_text(), re.M))
    assert cited["version"] == k2d.__version__
    releases = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert f"{cited['version']} ({cited['date-released']})" in releases[:2]
