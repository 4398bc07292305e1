"""`inspect shard FILE` on a terminal: one line a record, totals last."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from gato_data.report.facts import totals
from gato_data.report.printable import count, counted, printable, real, share, size
from gato_data.report.shard import RecordSummary, ShardSummary
from gato_data.report.terminal.table import Cell, Column, print_facts, print_table
from gato_schemas.sequence import Modality


def print_shard(console: Console, summary: ShardSummary) -> None:
    """Print a shard: what it is, its first records, and the totals over all of them."""
    records = summary.records
    console.print(Text(printable(summary.name), "bold"), soft_wrap=True)
    print_facts(console, _facts(summary))
    console.print()
    by_modality = summary.totals.tokens_by_modality
    # a separator stands in every timestep, so a column of its own would say nothing
    present = [modality for modality in Modality if by_modality[modality] and modality is not Modality.SEPARATOR]
    columns, rows = _columns(records, present), [_cells(record, records, present) for record in records]
    print_table(console, columns, rows)
    if (hidden := summary.totals.records - len(records)) > 0:
        console.print(f"... {counted(hidden, 'more record')}: --limit {summary.totals.records} shows all of them")
    console.print()
    print_facts(console, totals(summary.totals))


def _facts(summary: ShardSummary) -> list[tuple[str, Cell]]:
    records = summary.records
    facts: list[tuple[str, Cell]] = [("size", size(summary.bytes))]
    if summary.split is not None:
        facts.append(("split", printable(summary.split)))
        facts.append(("patches", summary.patch_encoding or "-"))
    common = [name for name in ("task", "agent") if records and same(records, name) and getattr(records[0], name)]
    facts += [(name, printable(getattr(records[0], name))) for name in common]
    if summary.dead_letters:
        facts.append(("left out", f"{counted(summary.dead_letters, 'episode')}, see dead_letters.jsonl"))
    return facts


def same(records: Sequence[RecordSummary], name: str) -> bool:
    """Whether all records shown agree, so that the heading can say it once."""
    return len({getattr(record, name) for record in records}) <= 1


def _columns(records: Sequence[RecordSummary], present: Sequence[Modality]) -> list[Column]:
    columns = [Column("record", number=True), Column("episode")]
    columns += [Column(name) for name in ("task", "agent") if not same(records, name)]
    if any(record.num_chunks > 1 for record in records):
        columns.append(Column("chunk"))
    columns += [Column(name, number=True) for name in ("timesteps", "tokens")]
    columns += [Column(modality.name.lower(), number=True, optional=True) for modality in present]
    return [*columns, Column("loss", number=True), Column("return", number=True), Column("terminal")]


def _cells(record: RecordSummary, records: Sequence[RecordSummary], present: Sequence[Modality]) -> list[Cell]:
    cells: list[Cell] = [str(record.number), "?" if record.episode_id is None else printable(record.episode_id)]
    cells += [printable(getattr(record, name), 40) for name in ("task", "agent") if not same(records, name)]
    if any(other.num_chunks > 1 for other in records):
        cells.append(f"{record.chunk + 1} of {record.num_chunks}")
    cells += [count(record.timesteps) if record.timesteps else "", count(record.tokens)]
    cells += [count(record.tokens_by_modality[modality]) for modality in present]
    cells.append(share(record.loss_tokens, record.tokens))
    if not record.timesteps:  # a document has no end to speak of
        return [*cells, "", ""]
    return [*cells, real(record.episode_return, 6), "yes" if record.is_terminal else "no"]
