"""Mixtures: what weights mean, what is refused, and that the plan is what a run then reads."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gato_data.errors import FormatError, InputError, MixtureError
from gato_data.families import TABLE_1
from gato_data.mixing.make import Run, WeightOptions, add_stage, describe, plan_mixture
from gato_data.mixing.weight_text import parse_weights, resolve
from gato_data.reading.datasets import common_vocabulary
from gato_data.reading.reader import ReadSettings, open_mixture
from gato_data.shards.episodes import OpenDataset
from gato_data.vocabulary import Vocabulary
from gato_schemas.dataset import encode_manifest, read_manifest
from gato_schemas.mixture import encode_mixture, read_mixture
from tests.gato_data.reading.folders import episodes, write_dataset

Mix = Callable[..., Path]
SETTINGS = ReadSettings(context_length=64, prompt_share=0.0)


def run(steps: int, batch_size: int = 10, **changes: object) -> Run:
    settings = ReadSettings(**{"context_length": 64, "prompt_share": 0.0, **changes})  # type: ignore[arg-type]
    return Run(steps=steps, batch_size=batch_size, settings=settings)


def opened(*folders: Path) -> list[OpenDataset]:
    return [OpenDataset(folder, read_manifest(folder)) for folder in folders]


def test_the_paper_weights_sum_to_its_table() -> None:
    vision_language = ("massivetext", "m3w", "align", "coco-captions", "conceptual-captions", "ltip", "okvqa", "vqav2")
    assert sum(TABLE_1.values()) == pytest.approx(99.93)
    assert sum(TABLE_1[name] for name in vision_language) == pytest.approx(14.72)
    assert len(TABLE_1) == 24


def test_the_gato_preset_is_renormalised_over_what_is_given(library: Path) -> None:
    kinds = ("pong", "raw", "walker", "told", "captions", "pages")
    weights = resolve(parse_weights("gato"), opened(*(library / kind for kind in kinds)))
    assert weights == [9.5, 10.0, 4.62, 9.06, 0.67, 6.7]
    mixture = plan_mixture([library / kind for kind in kinds], "gato", folder=library)
    assert mixture.stages[0].weights == pytest.approx([w / sum(weights) for w in weights])


def test_a_family_is_shared_by_tasks(library: Path, tmp_path: Path) -> None:
    """Two datasets of one family, one of them with two tasks: two thirds and one third."""
    both = [*episodes("pong", [9, 9]), *episodes("walker", [9])]
    two = write_dataset(tmp_path / "two", {"train": [both]}, family="atari")
    datasets = opened(two, library / "pong", library / "told")
    assert resolve(parse_weights("gato"), datasets) == pytest.approx([9.5 * 2 / 3, 9.5 / 3, 9.06])


def test_presets_by_size(library: Path) -> None:
    given = opened(library / "pong", library / "pages")
    totals = [dataset.manifest.splits["train"].totals for dataset in given]
    assert resolve(parse_weights("uniform"), given) == [1.0, 1.0]
    assert resolve(parse_weights("tokens"), given) == [float(t.tokens) for t in totals]
    assert resolve(parse_weights("loss-tokens"), given) == [float(t.loss_tokens) for t in totals]
    assert resolve(parse_weights("episodes"), given) == [float(t.episodes) for t in totals]


def test_weights_from_a_toml_file(tmp_path: Path, library: Path) -> None:
    path = tmp_path / "weights.toml"
    path.write_text('by = "tokens"\ntemperature = 2\n[weights]\npong = 9\nwalker = 1.0\n')
    mixture = plan_mixture([library / "walker", library / "pong"], str(path), folder=tmp_path)
    assert mixture.stages[0].measure == "tokens"
    assert mixture.stages[0].weights == pytest.approx([0.25, 0.75])
    stronger = WeightOptions(measure="windows", temperature=1.0)
    mixture = plan_mixture([library / "walker", library / "pong"], str(path), folder=tmp_path, options=stronger)
    assert mixture.stages[0].measure == "windows"
    assert mixture.stages[0].weights == pytest.approx([0.1, 0.9])
    path.write_text('preset = "gato"\n')
    assert parse_weights(str(path)).weights == "gato"


def test_commas_within_views() -> None:
    text = 'a[task=x|y,return>=2]=1, b[task="p]q,r[s"]=2,c=3'
    assert parse_weights(text).weights == {"a[task=x|y,return>=2]": 1, 'b[task="p]q,r[s"]': 2, "c": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pong", r"no weights called 'pong'. Give NAME=W,NAME=W, a .toml file, or one of gato, uniform"),
        ("gatto", r"no weights called 'gatto'. Did you mean 'gato'\?"),
        ("pong=two", "weight 'pong=two' is not NAME=NUMBER, as in breakout=2,pong=1"),
        ("pong=1,=2", "weight '=2' is not NAME=NUMBER"),
        ("pong=1,pong=2", "dataset pong has two weights, 1 and 2"),
        ("pog=1,walker=1", r"--weights: no dataset named 'pog'. Did you mean 'pong'\? Given: pong, walker"),
        ("pong=-1,walker=1", "weight of pong is -1: a number from 0 on is wanted"),
        ("pong=nan,walker=1", "weight of pong is nan: a number from 0 on is wanted"),
        ("pong=inf,walker=1", "weight of pong is inf: a number from 0 on is wanted"),
        ("pong=0,walker=0", "all weights are zero"),
        ("pong=1e308,walker=1e308", "the weights sum to infinity: give smaller ones"),
        ("pong=1", "dataset walker has no weight: add walker=W, or leave it out"),
    ],
)
def test_wrong_weights_are_refused(library: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MixtureError, match=message):
        plan_mixture([library / "pong", library / "walker"], text, folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("weights = 3", "weights is not a table"),
        ("[weights]\npong = 'two'", "weight of pong is 'two', a number is wanted"),
        ("[weights]\npong = true", "weight of pong is True, a number is wanted"),
        ("weigths = 1", r"has 'weigths': only \[weights\], preset, by and temperature are known"),
        ("by = 'tokens'", r"wants either a table \[weights\]"),
        ("by = 'bytes'\n[weights]\npong = 1", "by = 'bytes' is unknown"),
        ("preset = 'paper'", "preset = 'paper' is unknown"),
        ("temperature = 'hot'\n[weights]\npong = 1", "temperature = 'hot' is not a number"),
        ("[weights", "is not a TOML file"),
        ("[weights]\npong[return>=1] = 2", r'a name with a view stands in quotes, as in "breakout\[return>=20\]" = 2'),
        (
            "[weights.pong]\nreturn = 2",
            r'a number is wanted; a view stands in the name, as in "pong\[return>=20\]" = 2',
        ),
        (f"[weights]\npong = {'9' * 400}", "weight of pong is 9+, a number is wanted"),
        (f"[weights]\npong = {'9' * 5000}", "is not a TOML file"),
    ],
)
def test_wrong_toml_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "weights.toml"
    path.write_text(content)
    with pytest.raises(MixtureError, match=message):
        parse_weights(str(path))


def test_a_missing_toml_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights file .*none\.toml cannot be read"):
        parse_weights(str(tmp_path / "none.toml"))


def test_datasets_that_do_not_go_together(library: Path, tmp_path: Path) -> None:
    pong = library / "pong"
    with pytest.raises(MixtureError, match="no dataset was given"):
        plan_mixture([], "uniform", folder=tmp_path)
    with pytest.raises(MixtureError, match="two datasets are called pong"):
        plan_mixture([pong, pong], "uniform", folder=tmp_path)
    made = episodes("walker", [5], large_ids=True)
    large = write_dataset(tmp_path / "large", {"train": [made]}, large_ids=True)
    with pytest.raises(MixtureError, match=r"pong and large have different vocabularies \(text_size 32000 and 70000\)"):
        plan_mixture([pong, large], "uniform", folder=tmp_path)
    for family, stated in (
        ("atary", r"is of family 'atary', no row of the paper's Table 1, .*\. Did you mean 'atari'\? Ingest it with"),
        ("", r"states no family, a row of the paper's Table 1, by which preset gato weighs\. Ingest it with --family"),
    ):
        manifest = msgspec.structs.replace(read_manifest(pong), family=family)
        with pytest.raises(MixtureError, match=f"^dataset pong {stated}"):
            resolve(parse_weights("gato"), [OpenDataset(pong, manifest)])
    with pytest.raises(FormatError, match=r"nowhere does not exist: give the folder of a dataset"):
        plan_mixture([tmp_path / "nowhere"], "uniform", folder=tmp_path)


def test_text_models(library: Path, tmp_path: Path) -> None:
    """A dataset without text goes with any text model, two text models do not go together."""
    made = episodes("pages", [20])
    one = write_dataset(tmp_path / "one", {"train": [made]}, text_model="a" * 64)
    other = write_dataset(tmp_path / "other", {"train": [made]}, text_model="b" * 64)
    mixture = plan_mixture([library / "pong", one], "uniform", folder=tmp_path)
    assert mixture.vocabulary.text_model == "a" * 64
    with pytest.raises(MixtureError, match=r"one and other have different text models \(text_model aaaaaaaaaaaa... "):
        plan_mixture([library / "pong", one, other], "uniform", folder=tmp_path)


def test_what_is_advised_fits_what_differs(library: Path, tmp_path: Path) -> None:
    pong = library / "pong"
    info = read_manifest(pong).vocabulary
    separate, larger = Vocabulary(discrete_ids="separate").info, Vocabulary(40_000, "separate").info
    odd = msgspec.structs.replace(info, continuous_size=512)
    for vocabulary, message in (
        (
            separate,
            "pong and other have different ids of discrete values (paper and separate): ingest pong again with "
            "--discrete-ids separate, or other with --discrete-ids paper",
        ),
        (
            larger,
            "pong and other have different vocabularies (text_size 32000 and 40000): ingest one of them again with the "
            "other's text model, --text-model DATASET/text.model",
        ),
        (
            odd,
            "pong and other have different id ranges (continuous_size 1024 and 512): ingest both with the same version "
            "of gato-data",
        ),
    ):
        pair = [read_manifest(pong), msgspec.structs.replace(read_manifest(pong), name="other", vocabulary=vocabulary)]
        with pytest.raises(MixtureError) as caught:
            common_vocabulary(pair)
        assert str(caught.value) == message


def test_a_dataset_with_no_window(library: Path, tmp_path: Path, mix: Mix) -> None:
    empty = write_dataset(tmp_path / "empty", {"train": [[]]})
    with pytest.raises(MixtureError, match=r"dataset empty in .* has no window: its train split has no episode"):
        plan_mixture([library / "pong", empty], "uniform", folder=tmp_path)
    tiny = write_dataset(tmp_path / "tiny", {"train": [episodes("pages", [0, 0])]}, family="massivetext")
    path = mix(library / "pong", tiny)
    with pytest.raises(MixtureError, match="dataset tiny has no window: no episode of it in 'train'"):
        describe(read_mixture(path), path, run(3))
    untrained = write_dataset(tmp_path / "untrained", {"train": [_untrained()]}, family="massivetext")
    path = mix(untrained, measure="loss-tokens")
    with pytest.raises(MixtureError, match="dataset untrained has no loss-tokens in 'train'"):
        open_mixture(path, settings=SETTINGS)


def _untrained() -> list:  # type: ignore[type-arg]
    made = episodes("pages", [30])
    made[0].sequence.loss_mask[:] = 0
    return made


@pytest.mark.parametrize("measure", ["windows", "tokens", "loss-tokens", "episodes"])
def test_shares_are_of_what_was_asked_for(library: Path, mix: Mix, measure: str) -> None:
    kinds = ("pong", "walker", "captions", "pages")
    path = mix(*(library / kind for kind in kinds), weights="pong=4,walker=3,captions=2,pages=1", measure=measure)
    plan = describe(read_mixture(path), path, run(2000))
    assert [row.asked for row in plan.datasets] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert [row.realised for row in plan.datasets] == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=1e-3)
    assert sum(row.windows for row in plan.datasets) == 20_000
    assert plan.measure == measure


def test_the_plan_is_what_is_read(library: Path, mix: Mix) -> None:
    """Windows, tokens, trained tokens, passes and the first repetition, counted in the batches themselves."""
    kinds = ("pong", "walker", "told", "captions", "pages")
    path = mix(*(library / kind for kind in kinds), weights="pong=1,walker=3,told=1,captions=1,pages=1")
    with open_mixture(path, settings=SETTINGS) as reader:
        sizes = reader.dataset_windows
        steps = 30 * sum(sizes) // 10
        batch = reader.batch(range(steps * 10))
        windows = reader.planner.windows(np.arange(steps * 10))
    plan = describe(read_mixture(path), path, run(steps))
    for number, row in enumerate(plan.datasets):
        mine = batch.dataset == number
        assert row.windows == mine.sum()
        assert row.epoch_windows == sizes[number]
        assert row.passes == pytest.approx(row.windows / sizes[number])
        drawn = int(batch.loss_mask[mine].sum())
        assert row.loss_tokens == pytest.approx(drawn, rel=0.03)
        real = int((windows.spans.last - windows.spans.first)[mine].sum())
        assert row.tokens == pytest.approx(real, rel=0.03)
        seen: set[int] = set()
        places = zip(windows.sample[mine].tolist(), windows.number[mine].tolist(), strict=True)
        first = next(sample for sample, window in places if window in seen or seen.add(window))
        assert row.first_repeat == first // 10


def test_temperature_evens_the_weights(library: Path, tmp_path: Path) -> None:
    given = [library / "pong", library / "walker"]
    options = WeightOptions(temperature=2.0)
    mixture = plan_mixture(given, {"pong": 16, "walker": 1}, folder=tmp_path, options=options)
    assert mixture.stages[0].weights == pytest.approx([0.8, 0.2])
    cold = plan_mixture(given, {"pong": 1, "walker": 1}, folder=tmp_path, options=WeightOptions(temperature=1e-6))
    assert cold.stages[0].weights == [0.5, 0.5]
    for wrong in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(MixtureError, match="a number above 0 is wanted"):
            plan_mixture(given, "uniform", folder=tmp_path, options=WeightOptions(temperature=wrong))


def test_no_dataset_is_drawn_more_often_than_allowed(library: Path, tmp_path: Path) -> None:
    given = [library / kind for kind in ("pong", "walker", "pages")]
    plain = tmp_path / "m.json"
    mixture = plan_mixture(given, "uniform", folder=tmp_path)
    epochs = [row.epoch_windows for row in describe(mixture, plain, run(1)).datasets]
    most = 6.0
    steps = int(sum(epochs) * most * 0.8) // 10
    assert max(row.passes for row in describe(mixture, plain, run(steps)).datasets) > most
    options = WeightOptions(max_epochs=most)
    capped = plan_mixture(given, "uniform", folder=tmp_path, options=options, run=run(steps))
    rows = describe(capped, plain, run(steps)).datasets
    assert all(row.passes <= most + 1 / row.epoch_windows for row in rows)
    assert sum(row.windows for row in rows) == steps * 10
    with pytest.raises(MixtureError, match="6 epochs of the datasets that are drawn leave"):
        plan_mixture(given, "uniform", folder=tmp_path, options=options, run=run(steps * 2))
    with pytest.raises(MixtureError, match="--max-epochs wants a number above 0, and --steps"):
        plan_mixture(given, "uniform", folder=tmp_path, options=options)


def test_epochs_drawn_before_a_stage_count_too(library: Path, mix: Mix) -> None:
    path = mix(library / "pong", library / "walker", weights="pong=1,walker=1")
    mixture = read_mixture(path)
    most, epoch = 5.0, describe(mixture, path, run(1)).datasets[0].epoch_windows
    steps, first = epoch * 8 // 10, epoch * 4
    weights = {"pong": 100, "walker": 1}
    longer = add_stage(mixture, path, first, [], weights, options=WeightOptions(max_epochs=most), run=run(steps))
    pong, _ = describe(longer, path, run(steps)).datasets
    assert pong.passes == pytest.approx(most, abs=2 / pong.epoch_windows)
    with pytest.raises(MixtureError, match="ends before these weights begin at sample 500: --max-epochs wants"):
        add_stage(mixture, path, 500, [], weights, options=WeightOptions(max_epochs=most), run=run(50))


def test_stages_are_only_added_at_the_end(library: Path, mix: Mix) -> None:
    path = mix(library / "pong", library / "walker")
    mixture = add_stage(read_mixture(path), path, 100, [library / "pong"], "pong=1,walker=0")
    assert [stage.first_sample for stage in mixture.stages] == [0, 100]
    assert len(mixture.datasets) == 2
    with pytest.raises(MixtureError, match="a stage from sample 100 on would change what was planned"):
        add_stage(mixture, path, 100, [], "uniform")
    plan = describe(mixture, path, run(40))
    assert [row.asked for row in plan.datasets] == pytest.approx([0.875, 0.125])
    assert [row.windows for row in plan.datasets] == [350, 50]


def test_datasets_never_drawn_are_named(library: Path, mix: Mix) -> None:
    path = mix(library / "pong", library / "walker", weights="pong=1,walker=1e-6")
    assert describe(read_mixture(path), path, run(10)).never_drawn == ["walker"]
    path = mix(library / "pong", library / "walker", weights="pong=1,walker=0")
    assert describe(read_mixture(path), path, run(10)).never_drawn == []


def test_planning_opens_no_shard(library: Path, mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    from gato_data.shards.files import ShardFiles

    def refuse(*_: object) -> None:
        raise AssertionError("a shard was opened")

    monkeypatch.setattr(ShardFiles, "_open_file", refuse)
    path = mix(*(library / kind for kind in ("pong", "told", "captions")))
    assert describe(read_mixture(path), path, run(10)).steps == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (b'"version": 3', "has mixture version 9"),
        (b'"stages"', "is not a mixture file"),
        (b'"first_sample": 0', "stages start at samples"),
    ],
)
def test_damaged_mixture_files(library: Path, mix: Mix, change: bytes, message: str) -> None:
    path = mix(library / "pong")
    replaced = {b'"version": 3': b'"version": 9', b'"stages"': b'"stag"', b'"first_sample": 0': b'"first_sample": 5'}
    path.write_bytes(path.read_bytes().replace(change, replaced[change]))
    with pytest.raises(FormatError, match=message):
        open_mixture(path)


def test_a_mixture_file_holds_what_was_planned(library: Path, tmp_path: Path) -> None:
    mixture = plan_mixture([library / "pong", library / "walker"], "pong=3,walker=1", folder=tmp_path)
    path = tmp_path / "m.json"
    path.write_bytes(encode_mixture(mixture))
    assert read_mixture(path) == mixture
    assert encode_mixture(read_mixture(path)) == path.read_bytes()
    with pytest.raises(FormatError, match="there is no mixture file"):
        read_mixture(tmp_path / "none.json")
    (tmp_path / "dataset.json").write_bytes(encode_manifest(read_manifest(library / "pong")))
    with pytest.raises(FormatError, match="is not a mixture file"):
        read_mixture(tmp_path / "dataset.json")


@pytest.mark.parametrize("weights", ["[-1.0]", "[0.0]", "[1.0, 2.0]"])
def test_a_mixture_file_with_impossible_weights(library: Path, mix: Mix, weights: str) -> None:
    path = mix(library / "pong")
    text = path.read_text()
    start = text.index('"weights"')
    path.write_text(text[:start] + f'"weights": {weights}' + text[text.index("]", start) + 1 :])
    with pytest.raises(FormatError, match="weights"):
        open_mixture(path)
