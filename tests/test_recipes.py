"""recipes/: every command of a recipe exists, a recipe goes on where it stopped, and a missed bar is told."""

import json
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_docs import unknown_words

ROOT = Path(__file__).parents[1]
RUN = runpy.run_path(str(ROOT / "recipes" / "run.py"), run_name="recipes")
NAMES: tuple[str, ...] = RUN["NAMES"]

PROGRAM = """#!{python}
import json, os, pathlib, sys
assert os.environ["PYTHONPATH"].startswith({recipes!r})
with open("calls", "a") as calls:
    calls.write(sys.argv[1] + "\\n")
if sys.argv[1] == "rollout":
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir()
    policy = {{"success": {{"value": {value}, "low": 0.9, "high": 1.0}}}}
    score = {{"task": "go", "arms": {{"policy": policy}}, "normalised": {{"value": 0.8, "error": 0.01}}}}
    (out / "scores.json").write_text(json.dumps({{"scores": {{"tasks": [score]}}}}))
"""


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_recipe_exists(name: str) -> None:
    recipe = RUN["read"](name)
    lines = [shlex.split(command) for command in recipe.commands]
    assert {shlex.join(line): unknown_words(line) for line in lines if unknown_words(line)} == {}
    rollouts = [line for line in lines if line[0] == "rollout"]
    made = {line[line.index("--out") + 1] for line in rollouts}
    assert {bar.scores for bar in recipe.bars} <= made
    assert all(bar.measure in ("success", "normalised") for bar in recipe.bars)
    assert all("--seed" in line for line in rollouts)


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one recipe, and a gato-data that only notes how it was called."""
    bars = [
        {"scores": "scores", "task": "go", "measure": "success", "least": 0.95},
        {"scores": "scores", "task": "go", "measure": "normalised", "most": 0.9},
    ]
    commands = ["record babyai --out rlds", "rollout run --out scores"]
    found = RUN["Recipe"]("Go.", commands, [RUN["Bar"](**bar) for bar in bars])
    scope: dict[str, Any] = RUN["cook"].__globals__
    monkeypatch.setitem(scope, "read", lambda name: found)
    monkeypatch.setitem(scope, "_program", lambda: str(tmp_path / "gato-data"))
    return tmp_path


def program(kitchen: Path, value: float) -> None:
    path = kitchen / "gato-data"
    path.write_text(PROGRAM.format(python=sys.executable, recipes=str(ROOT / "recipes"), value=value))
    path.chmod(0o755)


def test_a_recipe_is_held_against_its_bars_and_goes_on(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program(kitchen, 0.97)
    assert RUN["cook"]("go", kitchen / "out")
    assert RUN["cook"]("go", kitchen / "out")
    folder = kitchen / "out" / "go"
    assert (folder / "calls").read_text().split() == ["record", "rollout"]
    said = capfd.readouterr().out
    assert said.count("[done before, in ") == 2
    assert "97.0 % [90.0, 100.0]" in said
    assert "80.0 % +- 1.0" in said
    result = json.loads((folder / "result.json").read_text())
    assert [bar["reached"] for bar in result["bars"]] == [True, True]


def test_what_a_recipe_needs_is_run_before_it(kitchen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(kitchen, 0.97)
    scope: dict[str, Any] = RUN["cook"].__globals__
    first = scope["read"]("go")
    both = {"go": first, "all": RUN["Recipe"]("All.", first.commands, first.bars, needs=("go",))}
    monkeypatch.setitem(scope, "read", both.__getitem__)
    assert RUN["cook"]("all", kitchen / "out")
    assert sorted(path.parent.name for path in (kitchen / "out").rglob("result.json")) == ["all", "go"]
    assert all(set(RUN["read"](name).needs) <= set(NAMES) for name in NAMES)


def test_a_missed_bar_is_told(kitchen: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program(kitchen, 0.93)
    assert not RUN["cook"]("go", kitchen / "out")
    rows = [line for line in capfd.readouterr().out.splitlines() if line.startswith("go  ")]
    assert rows[0].split() == ["go", "success", "93.0", "%", "[90.0,", "100.0]", "at", "least", "95", "%", "MISSED"]
    assert rows[1].endswith("reached")


def test_the_mirrored_paths_are_as_gymnasium_wants_them_and_only_their_own_expert_arrives() -> None:
    pytest.importorskip("gymnasium", reason="gymnasium comes with the simulators")
    from gymnasium.utils.env_checker import check_env

    made = runpy.run_path(str(ROOT / "recipes" / "mirrored.py"))
    for mirrored, name in enumerate(("plain", "mirrored")):
        check_env(made[name]("rgb_array"), skip_render_check=True)
        assert made[name]("rgb_array").render().shape == (144, 176, 3)
        for seed in range(20):
            path, rewards, over = made[name](), 0.0, False
            seen, _ = path.reset(seed=seed)
            player = made["expert"](path)
            while not over:
                assert player(seen) == seen ^ mirrored
                seen, reward, over, cut, info = path.step(player(seen))
                rewards += reward
            assert (rewards, cut, info) == (made["STEPS"], False, {"success": True})
            seen, _ = path.reset(seed=seed)
            assert path.step(seen ^ mirrored ^ 1)[1:] == (0.0, True, False, {"success": False})


def test_a_swapped_mission_names_another_thing_of_the_same_room() -> None:
    pytest.importorskip("minigrid", reason="minigrid comes with the simulators")
    import gymnasium

    swapped = runpy.run_path(str(ROOT / "recipes" / "missions.py"))["swapped"]()
    level = gymnasium.make("BabyAI-GoToLocal-v0", disable_env_checker=True)
    for seed in range(5):
        seen, _ = swapped.reset(seed=seed)
        drawn, _ = level.reset(seed=seed)
        assert (seen["image"] == level.unwrapped.get_frame(tile_size=16, agent_pov=True)).all()
        assert seen["mission"] != drawn["mission"]
        assert seen["mission"].startswith("go to ")
        assert swapped.step(0)[4]["success"] is False


def test_a_detour_leads_away_and_the_expert_finds_back() -> None:
    pytest.importorskip("minigrid", reason="minigrid comes with the simulators")
    made = runpy.run_path(str(ROOT / "recipes" / "missions.py"))
    room, led, steps, solved = made["detours"](), 0, 0, 0
    for seed in range(20):
        seen, _ = room.reset(seed=seed)
        mission, player, over = seen["mission"], made["expert"](room), False
        while not over:
            wanted = player(seen)
            seen, reward, ended, cut, info = room.step(wanted)
            assert seen["mission"] == mission
            assert info["success"] == (reward > 0)
            led, steps, solved = led + (room.done != wanted), steps + 1, solved + info["success"]
            over = ended or cut
    assert solved >= 18
    assert 0.1 < led / steps < 0.6


def test_one_who_points_shows_the_cell_of_what_is_asked_for() -> None:
    pytest.importorskip("minigrid", reason="minigrid comes with the simulators")
    made = runpy.run_path(str(ROOT / "recipes" / "missions.py"))
    room, nowhere, hidden = made["pointing"](), made["NOWHERE"], 0
    for seed in range(5):
        seen, _ = room.reset(seed=seed)
        player = made["pointer"](room)
        for _ in range(16):
            at = player(seen)
            view, visible = room.level.gen_obs_grid()
            cells = {(x, y): view.get(x, y) for y in range(7) for x in range(7) if visible[x, y]}
            mission = seen["mission"]
            named = {place for place, cell in cells.items() if cell and mission == f"the {cell.color} {cell.type}"}
            assert (at % 7, at // 7) in named if at < nowhere else not named
            assert (seen["image"] == room.level.get_frame(tile_size=16, agent_pov=True)).all()
            hidden += at == nowhere
            right = int(room.level.np_random.random() < 0.5)
            seen, reward, ended, cut, _ = room.step(at if right else (at + 1) % (nowhere + 1))
            assert (reward, ended, cut) == (right, False, False)
    assert 0 < hidden < 40
