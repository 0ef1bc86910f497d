"""Rows of a Hugging Face data set folder as downloaded: parquet shards, one or more for each split.

In: a folder with `<split>-00000-of-00003.parquet` … at any depth of two. Out: rows without their audio, and
the place of their audio.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from k2d.corpus.clips import ParquetCell
from k2d.corpus.release import NotTheCorpus, not_found
from k2d.errors import DataError, UsageError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_SHARD = re.compile(r"-(\d+)-of-(\d+)")


def shards(folder: Path, split: str, corpus: str) -> list[Path]:
    """The parquet files of a split in order. NotTheCorpus if there are none, DataError if some lack."""
    files = sorted(p for depth in ("", "*/") for p in folder.glob(f"{depth}{split}-*.parquet"))
    if not files:
        raise not_found(folder, corpus, f"{split}-*.parquet there or one folder down")
    folders = sorted({p.parent for p in files})
    if len(folders) > 1:
        raise NotTheCorpus(f"{folder}: {split}-*.parquet lie in {folders[0]} and in {folders[1]}; keep one")
    numbers = [_SHARD.search(p.name) for p in files]
    if all(numbers):
        total = {int(n[2]) for n in numbers}
        missing = sorted(set(range(max(total))) - {int(n[1]) for n in numbers})
        if len(total) > 1 or missing:
            raise DataError(
                f"{folders[0]}: {split} has {max(total)} shards and "
                f"{', '.join(f'{m:05d}' for m in missing) or 'files of two releases'} "
                f"{'are missing' if missing else 'lie together'}; download the folder again"
            )
    return files


def open_parquet(path: Path) -> "ParquetFile":
    """A parquet file, to be closed. Raises DataError for what is none, UsageError where pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise UsageError(f"{path}: parquet is read with pyarrow, which is not installed: pip install pyarrow") from None
    with open(path, "rb") as handle:
        if handle.read(7) == b"version":
            raise DataError(f"{path}: a Git LFS pointer, not the file; run 'git lfs pull' in {path.parent}")
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: no parquet file ({error}); download it again") from None


def rows(
    folder: Path, split: str, columns: Sequence[str], corpus: str, optional: Sequence[str] = ()
) -> Iterator[tuple[dict, ParquetCell]]:
    """({column: value}, place of the audio) of every row of a split, in the published order.

    `optional` columns are read where they exist. No audio is read. Raises NotTheCorpus for a missing column.
    """
    for path in shards(folder, split, corpus):
        table = open_parquet(path)
        with table:
            names = set(table.schema_arrow.names)
            missing = [c for c in ("audio", *columns) if c not in names]
            if missing:
                raise NotTheCorpus(
                    f"{path} does not look like {corpus}: "
                    f"looked for the columns {', '.join(('audio', *columns))}, "
                    f"found {', '.join(table.schema_arrow.names)}"
                )
            wanted = [*columns, *(c for c in optional if c in names)]
            for group in range(table.num_row_groups):
                for number, row in enumerate(table.read_row_group(group, columns=wanted).to_pylist()):
                    yield row, ParquetCell(str(path), group, number)


def audio_paths(folder: Path, split: str, corpus: str) -> list[str]:
    """The path inside the audio struct of every row ("" where there is none); the bytes are not read."""
    import pyarrow.parquet as parquet

    paths: list[str] = []
    for path in shards(folder, split, corpus):
        with parquet.ParquetFile(path) as table:
            if "audio.path" in {table.schema.column(i).path for i in range(len(table.schema))}:
                column = table.read(columns=["audio.path"]).column("audio")
                paths += [(struct or {}).get("path") or "" for struct in column.to_pylist()]
            else:
                paths += [""] * table.metadata.num_rows
    return paths
