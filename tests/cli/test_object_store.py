"""Commands over datasets in an object store, over HTTP: what they print, what they fetch, and what they never show."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gato_data.remote import fetch
from tests.cli.command import error_of, run
from tests.object_store import KEY, SECRET, Bucket

MIX = ("--context-length", "100", "--steps", "3", "--batch-size", "4")
SIZE = ("--cache-size", "1MiB")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.0)


@pytest.fixture
def cache(tmp_path: Path) -> tuple[str, str]:
    """The option of a cache of its own."""
    return "--cache", str(tmp_path / "cache")


@pytest.fixture
def mixture(bucket: Bucket, breakout: Path, tmp_path: Path, cache: tuple[str, str]) -> Path:
    """A mixture of one dataset in the bucket."""
    path = tmp_path / "mixture.json"
    assert run("mix", "--weights", "breakout=1", "--out", path, *MIX, *cache, bucket.put(breakout, "breakout")).output
    return path


def test_mix_train_inspect_and_verify(
    bucket: Bucket, breakout: Path, tmp_path: Path, cache: tuple[str, str], mixture: Path
) -> None:
    address = f"s3://{bucket.name}/breakout"
    assert json.loads(mixture.read_text())["datasets"][0]["path"] == address
    local = tmp_path / "local.json"
    assert run("mix", "--weights", "breakout=1", "--out", local, *MIX, breakout).exit_code == 0
    losses = []
    for path, out in ((mixture, "away"), (local, "here")):
        result = run("train", "--mixture", path, "--out", tmp_path / out, *MIX, *cache, *SIZE, "--device", "cpu")
        assert result.exit_code == 0, result.output
        losses.append([json.loads(line)["loss"] for line in (tmp_path / out / "log.jsonl").read_text().splitlines()])
    assert losses[0] == losses[1]
    for command in (("inspect",), ("inspect", "dataset", "--json")):
        here, away = run(*command, breakout), run(*command, *cache, address)
        assert here.exit_code == away.exit_code == 0
        assert here.stdout == away.stdout
    shard = next(name for name in bucket.names("breakout") if re.search(r"train.tfrecord-00000-of-\d+$", name))
    for more in ((), ("--record", "0")):
        here = run("inspect", "shard", breakout.parent / shard, *more)
        away = run("inspect", "shard", f"s3://{bucket.name}/{shard}", *more, *cache)
        assert (here.exit_code, here.stdout) == (away.exit_code, away.stdout)
    here, away = run("verify", breakout), run("verify", *cache, address)
    assert away.stdout == here.stdout.replace(str(breakout), address)
    assert (away.exit_code, away.stderr) == (0, here.stderr)


def test_a_mixture_file_beside_its_dataset(
    bucket: Bucket, breakout: Path, tmp_path: Path, cache: tuple[str, str]
) -> None:
    bucket.put(breakout, "breakout")
    path = tmp_path / "mixture.json"
    assert run("mix", "--weights", "breakout=1", "--out", path, *MIX, breakout).exit_code == 0
    data = json.loads(path.read_text())
    data["datasets"][0]["path"] = "../breakout"
    bucket.write("mixtures/mixture.json", json.dumps(data).encode())
    address = f"s3://{bucket.name}/mixtures/mixture.json"
    away, here = (run("inspect", *more, place) for more, place in ((cache, address), ((), path)))
    written = json.loads(path.read_text())["datasets"][0]["path"]
    assert (away.exit_code, away.stdout) == (0, here.stdout.replace(written, "../breakout"))
    explained = [
        run("mix", "explain", "--step", "1", "--batch-size", "4", "--context-length", "100", *more, place)
        for more, place in ((cache, address), ((), path))
    ]
    assert explained[0].stdout == explained[1].stdout
    assert explained[0].exit_code == 0


def test_what_was_fetched_is_not_fetched_again(
    bucket: Bucket, tmp_path: Path, cache: tuple[str, str], mixture: Path
) -> None:
    for number in range(2):
        if number:
            before = bucket.sent("breakout/")[0]
        out = tmp_path / f"run{number}"
        assert run("train", "--mixture", mixture, "--out", out, *MIX, *cache, *SIZE, "--device", "cpu").exit_code == 0
    after = bucket.sent("breakout/")[0]
    assert after - before <= 2  # the manifest, which tells whether it is the same dataset


@pytest.mark.parametrize("answer", ["throttle", "cut", "reset"])
def test_a_store_that_fails_for_a_while(
    bucket: Bucket, tmp_path: Path, cache: tuple[str, str], mixture: Path, answer: str
) -> None:
    bucket.store.fail(answer, 3, f"{bucket.name}/breakout/breakout-train")  # type: ignore[arg-type]
    result = run("train", "--mixture", mixture, "--out", tmp_path / "run", *MIX, *cache, "--device", "cpu")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("answer", "reason"), [("throttle", "reduce your request rate"), ("cut", "not completed"), ("reset", "closed")]
)
def test_a_store_that_goes_on_failing(
    bucket: Bucket, tmp_path: Path, cache: tuple[str, str], mixture: Path, answer: str, reason: str
) -> None:
    bucket.store.fail(answer, 10**9, f"{bucket.name}/breakout/breakout-train")  # type: ignore[arg-type]
    try:
        result = run("train", "--mixture", mixture, "--out", tmp_path / "run", *MIX, *cache, "--device", "cpu")
    finally:
        bucket.store.fail("cut", 0)
    told = error_of(result)
    assert re.match(
        rf"bytes \d+ to \d+ of s3://{bucket.name}/breakout/breakout-train\S+ could not be read \(.*{reason}", told
    )
    assert "check your credentials and the connection" in told


def test_a_dataset_that_is_another_one(
    bucket: Bucket, library: Path, tmp_path: Path, cache: tuple[str, str], mixture: Path
) -> None:
    bucket.put(library / "raw", "breakout")
    told = error_of(run("train", "--mixture", mixture, "--out", tmp_path / "run", *MIX, *cache, "--device", "cpu"))
    assert told.startswith(f"dataset breakout is not what it was when {mixture} was made: ")


def test_damage_in_the_bucket_is_found(bucket: Bucket, breakout: Path, cache: tuple[str, str]) -> None:
    address = bucket.put(breakout, "breakout")
    shard = next(path for path in sorted(breakout.glob("*-train.tfrecord-*")) if path.suffix != ".index")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    bucket.write(f"breakout/{shard.name}", bytes(data))
    result = run("verify", *cache, address)
    assert result.exit_code == 1
    assert shard.name in result.stdout
    assert f"in {address}" in result.stderr
    bucket.write(f"breakout/{shard.name}", shard.read_bytes())
    bucket.write(f"breakout/{shard.name}.index", b"no index")
    told = error_of(run("inspect", *cache, address))
    assert f"{address}/{shard.name}.index could not be read" in told
    assert told.endswith("if it is damaged there, gato-data verify says where")
    result = run("verify", *cache, address)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{shard.name}.index, byte 0: index: ")
    assert result.stderr == f"Error: 1 finding in {address}: copy those files again, or run the ingest again\n"
    assert [path.name for path in Path(cache[1], "lent").iterdir()] == ["lock"]


def test_credentials_are_never_shown(
    bucket: Bucket, breakout: Path, tmp_path: Path, cache: tuple[str, str], mixture: Path
) -> None:
    """In processes of their own: with --debug, libraries log and errors have tracebacks."""
    other = f"s3://{KEY}:{'hidden-word'}@{bucket.name}/breakout"
    shown = []
    for command in (
        ("verify", *cache, f"s3://{bucket.name}/breakout"),
        ("verify", *cache, f"s3://{bucket.name}/none"),
        ("verify", *cache, "s3://no-such-bucket/none"),
        ("mix", "--weights", "breakout=1", "--out", tmp_path / "other.json", *cache, other),
        ("inspect", *cache, other),
        ("verify", *cache, "https://me:hidden-word@127.0.0.1:1/breakout?X-Amz-Signature=hidden-word"),
        ("merge", other, other, "--out", tmp_path / "x"),
    ):
        arguments = [sys.executable, "-m", "gato_cli.main", "--debug", *map(str, command)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
        shown.append(done.stdout + done.stderr)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 10**6]
    for text in (*shown, *(path.read_bytes().decode(errors="replace") for path in kept), *map(str, kept)):
        assert SECRET not in text
        assert "hidden-word" not in text, text
    assert any("Traceback" in text for text in shown)


@pytest.mark.parametrize("command", ["merge", "drop"])
def test_commands_that_work_on_this_machine_alone(command: str, tmp_path: Path) -> None:
    more = ("s3://bucket/other",) if command == "merge" else ("--where", "return>1")
    told = error_of(run(command, "s3://me:word@bucket/breakout", *more, "--out", tmp_path / "x"), 2)
    assert "s3://***@bucket/breakout is an address, a path of this machine was wanted" in told
    assert not (tmp_path / "x").exists()


def test_what_is_written_is_written_here(tmp_path: Path, breakout: Path) -> None:
    told = error_of(run("mix", "--weights", "breakout=1", "--out", "s3://bucket/mixture.json", breakout), 2)
    assert "s3://bucket/mixture.json is an address, a path of this machine was wanted" in told
