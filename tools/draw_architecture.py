#!/usr/bin/env python3
"""Draw the house: packages of k2d in their layers, with the imports between them.

    tools/draw_architecture.py            writes docs/architecture.svg
    tools/draw_architecture.py --check    only checks that imports go down and where ESPnet is imported

In: the import lines of k2d/, read without importing anything. Out: the picture, and status 1 if an import goes up.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# From top to bottom; a part may import what stands below it and beside it.
LAYERS = (
    ("bin",),
    ("plan", "check", "publish"),
    ("score", "explore"),
    ("distill", "label", "corpus", "transcribers"),
    ("whisper",),
    ("work",),
    ("audio", "text", "datadir", "held_out"),
    ("archives", "tables", "atomic", "options", "processes", "constants", "wording", "errors"),
)
LEVEL = {part: number for number, layer in enumerate(LAYERS) for part in layer}
# ESPnet takes five seconds to import: one package, and the transcriber that is an ESPnet model.
ESPNET = ("k2d/distill/", "k2d/transcribers/espnet.py")


def imports() -> Iterator[tuple[str, int, str, bool]]:
    """(file, line, module, whether at the top of the file) of every import in k2d."""
    for path in sorted((ROOT / "k2d").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            top = node in tree.body
            if isinstance(node, ast.Import):
                yield from ((str(path.relative_to(ROOT)), node.lineno, alias.name, top) for alias in node.names)
            elif node.module and not node.level:
                module = node.module
                if module == "k2d":
                    yield from (
                        (str(path.relative_to(ROOT)), node.lineno, f"k2d.{alias.name}", top) for alias in node.names
                    )
                else:
                    yield str(path.relative_to(ROOT)), node.lineno, module, top


def part_of(file: str) -> str | None:
    """ "k2d/work/step.py" -> "work"; None for the package itself."""
    part = file.split("/")[1].removesuffix(".py")
    return None if part == "__init__" else part


def faults() -> list[str]:
    """Imports that go up, parts that no layer names, and ESPnet where it does not belong."""
    found = []
    for file, line, module, _ in imports():
        here = part_of(file)
        if here is not None and here not in LEVEL:
            found.append(f"{file}: {here} stands in no layer of tools/draw_architecture.py")
            continue
        there = module.split(".")[1] if module.startswith("k2d.") else None
        if here is not None and there in LEVEL and LEVEL[there] < LEVEL[here]:
            found.append(f"{file}:{line}: {here} imports {module}, which stands above it")
        if there == "bin" and here != "bin":
            found.append(f"{file}:{line}: nothing imports bin")
        if module.split(".")[0] in ("espnet", "espnet2") and not file.startswith(ESPNET):
            found.append(f"{file}:{line}: only {' and '.join(ESPNET)} import ESPnet")
    return found


def edges() -> list[tuple[str, str]]:
    """(part, part that it imports), sorted."""
    found = set()
    for file, _, module, _ in imports():
        here, there = part_of(file), module.split(".")[1] if module.startswith("k2d.") else None
        if here in LEVEL and there in LEVEL and here != there:
            found.add((here, there))
    return sorted(found)


def description() -> str:
    """What the picture shows, in words. It stands in the picture too, where a test compares the two."""
    return "; ".join(f"{here} imports {there}" for here, there in edges())


def draw(output: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "k2d", "svg.fonttype": "none", "font.size": 11})
    figure, axes = plt.subplots(figsize=(11, 8))
    place = {}
    for number, layer in enumerate(LAYERS):
        for column, part in enumerate(layer):
            place[part] = ((column + 1) / (len(layer) + 1), -number)
    for here, there in edges():
        (x0, y0), (x1, y1) = place[here], place[there]
        axes.annotate(
            "",
            xy=(x1, y1 + 0.22),
            xytext=(x0, y0 - 0.22),
            arrowprops={"arrowstyle": "->", "color": "0.6", "lw": 0.6},
        )
    for part, (x, y) in place.items():
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#eef3fb", "edgecolor": "#345"}
        axes.text(x, y, part, ha="center", va="center", bbox=box)
    axes.set(xlim=(0, 1), ylim=(-len(LAYERS) + 0.4, 0.6))
    axes.axis("off")
    figure.savefig(output, bbox_inches="tight", metadata={"Date": None, "Description": description()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/architecture.svg")
    args = parser.parse_args()
    found = faults()
    for fault in found:
        print(fault, file=sys.stderr)
    if not args.check:
        draw(args.output)
        print(f"draw_architecture.py: {args.output}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
