"""A trace as a file: Parquet, or JSON lines, the first of which is the head: ``meta`` and the like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labkit.runtime.errors import LabError
from labkit.trace.event import FIELDS, Event, packed, plain, unpacked

__all__ = ["load", "save"]


def save(path: Path, head: dict[str, Any], events: Iterable[Event]) -> None:
    """Write Parquet if the name ends in ``.parquet``, else JSON lines."""
    if path.suffix == ".parquet":
        _to_parquet(path, head, events)
        return
    with path.open("w", encoding="utf8") as file:
        file.write(json.dumps(head, default=plain) + "\n")
        for event in events:
            file.write(json.dumps([*event[:7], packed(event.data)]) + "\n")


def load(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """What ``save`` wrote. Raises ``ValueError`` for a file that is not a trace."""
    try:
        if path.suffix == ".parquet":
            head, rows = _from_parquet(path)
        else:
            with path.open(encoding="utf8") as file:
                head, *rows = [json.loads(line, object_hook=unpacked) for line in file]
        found = {"level": head["level"], "meta": head["meta"], "dropped": head["dropped"]}
        return found, [Event(*row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a trace saved by labkit ({error}); Trace.save writes one") from error


def _to_parquet(path: Path, head: dict[str, Any], events: Iterable[Event]) -> None:
    """Columns of the event's fields; ``data`` as JSON text; the head in the file's metadata."""
    pandas = _parquet()
    rows = [(*event[:7], json.dumps(packed(event.data))) for event in events]
    table = pandas.DataFrame(rows, columns=[*FIELDS, "data"])
    table[["span", "parent"]] = table[["span", "parent"]].astype("Int64")
    table.attrs["labkit"] = json.dumps(head, default=plain)
    table.to_parquet(path)


def _from_parquet(path: Path) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    table = _parquet().read_parquet(path)
    if "labkit" not in table.attrs:
        raise ValueError("its metadata are not a trace's")
    rows = []
    for row in table.itertuples(index=False, name=None):
        span, parent = (
            None if value is None or value != value else int(value) for value in map(_none, row[5:7])
        )
        rows.append((*row[:3], _none(row[3]), row[4], span, parent, json.loads(row[7], object_hook=unpacked)))
    return json.loads(table.attrs["labkit"]), rows


def _none(value: Any) -> Any:
    import pandas

    return None if value is None or value is pandas.NA or value != value else value


def _parquet() -> Any:
    import pandas

    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise LabError(
            "Parquet needs pyarrow: pip install pyarrow, or save to a name that ends in .jsonl"
        ) from error
    return pandas
