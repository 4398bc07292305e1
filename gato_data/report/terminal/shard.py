"""`inspect shard FILE` on a terminal: one line a record, totals last."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from gato_data.printable import count, counted, printable, real, share, size, yes_no
from gato_data.report.facts import patches_line, totals
from gato_data.report.shard import RecordSummary, ShardSummary
from gato_data.report.table import Fact, TableColumn
from gato_data.report.terminal.table import print_facts, print_table
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
    print_table(console, _columns(records, present), records)
    if (hidden := summary.totals.records - len(records)) > 0:
        console.print(f"... {counted(hidden, 'more record')}: --limit {summary.totals.records} shows all of them")
    console.print()
    print_facts(console, totals(summary.totals))


def _facts(summary: ShardSummary) -> list[Fact]:
    records = summary.records
    facts: list[Fact] = [("size", size(summary.bytes))]
    if summary.split is not None:
        facts.append(("split", printable(summary.split)))
    facts.append(("patches", patches_line(summary.totals, summary.patch_encoding)))
    common = [name for name in ("task", "agent") if records and _same(records, name) and getattr(records[0], name)]
    facts += [(name, printable(getattr(records[0], name))) for name in common]
    if summary.dead_letters:
        facts.append(("left out", f"{counted(summary.dead_letters, 'episode')}, see dead_letters.jsonl"))
    return facts


def _same(records: Sequence[RecordSummary], name: str) -> bool:
    """Whether all records shown agree, so that the heading can say it once."""
    return len({getattr(record, name) for record in records}) <= 1


def _columns(records: Sequence[RecordSummary], present: Sequence[Modality]) -> list[TableColumn[RecordSummary]]:
    columns: list[TableColumn[RecordSummary]] = [
        TableColumn("record", lambda r: str(r.number), number=True),
        TableColumn("episode", lambda r: "?" if r.episode_id is None else printable(r.episode_id)),
    ]
    if not _same(records, "task"):
        columns.append(TableColumn("task", lambda r: printable(r.task, 40)))
    if not _same(records, "agent"):
        columns.append(TableColumn("agent", lambda r: printable(r.agent, 40)))
    if any(record.num_chunks > 1 for record in records):
        columns.append(TableColumn("chunk", lambda r: f"{r.chunk + 1} of {r.num_chunks}"))
    columns.append(TableColumn("timesteps", lambda r: count(r.timesteps) if r.timesteps else "", number=True))
    columns.append(TableColumn("tokens", lambda r: count(r.tokens), number=True))
    columns += [_tokens_of(modality.name.lower()) for modality in present]
    return [
        *columns,
        TableColumn("loss", lambda r: share(r.loss_tokens, r.tokens), number=True),
        # a document has no end to speak of
        TableColumn("return", lambda r: real(r.episode_return, 6) if r.timesteps else "", number=True),
        TableColumn("terminal", lambda r: yes_no(r.is_terminal) if r.timesteps else ""),
    ]


def _tokens_of(modality: str) -> TableColumn[RecordSummary]:
    return TableColumn(modality, lambda r: count(r.tokens_by_modality[modality]), number=True, optional=True)
