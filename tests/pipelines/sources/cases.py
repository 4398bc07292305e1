"""Every sample, and what its timesteps should be made of; written down by hand, not taken from the code."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.pipelines.sources.reference import Expected

DATA = Path(__file__).parents[2] / "data"


@dataclass(frozen=True)
class Case:
    """One sample.

    Attributes:
        source: that reads it.
        path: of its version folder, below tests/data/rlds.
        task: name that its task should get.
        tokens: of one timestep, text left out.
        expected: see `Expected`.
        settings: of the source.
    """

    source: str
    path: str
    task: str
    tokens: int
    expected: Expected
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return DATA / "rlds" / self.path


_ROBOT = ("arm_joint_pos", "arm_joint_vel", "gripper_grasp", "gripper_pos", "gripper_vel", "tcp_pose")
_BODIES = {
    "hopper_4_full": (11, 3),
    "walker2d_4_one_leg": (11, 3),
    "walker2d_5_no_feet": (13, 4),
    "walker2d_7_full": (17, 6),
}

CASES = [
    Case(
        "atari",
        "rlu_atari/Breakout_run_1/1.3.0",
        "breakout",
        22,
        Expected(images=("observation",), size=(64, 80)),
    ),
    Case(
        "dm-lab",
        "dmlab_standin/vizdoom_my_way_home/1.0.0",
        "vizdoom_my_way_home",
        32,
        Expected(images=("observation/pixels",), padded=(80, 96)),
    ),
    Case(
        "dm-control",
        "rlu_control_suite/cartpole_swingup/1.0.0",
        "cartpole_swingup",
        7,
        Expected(tensors=("observation/position", "observation/velocity")),
    ),
    Case(
        "dm-control",
        "rlu_control_suite/walker_walk/1.0.0",
        "walker_walk",
        31,
        Expected(tensors=("observation/height", "observation/orientations", "observation/velocity")),
    ),
    Case(
        "dm-control-pixels",
        "control_suite_pixels/cartpole_swingup/1.0.0",
        "cartpole_swingup",
        18,
        Expected(images=("observation/pixels",)),
    ),
    Case(
        "dm-control-pixels",
        "control_suite_pixels/walker_walk/1.0.0",
        "walker_walk",
        23,
        Expected(images=("observation/pixels",)),
    ),
    Case(
        "babyai",
        "babyai/bot/1.0.0",
        "bot",
        150,
        Expected(texts=("observation/mission",), tensors=("observation/direction", "observation/image")),
    ),
    Case("meta-world", "metaworld/scripted_v3/1.0.0", "scripted_v3", 44, Expected(tensors=("observation",))),
    Case("sokoban", "sokoban/rooms_10x10/1.0.0", "rooms_10x10", 102, Expected(images=("observation/image",))),
    Case("procgen", "procgen/coinrun/1.0.0", "coinrun", 18, Expected(images=("observation/image",), drop_last=False)),
    Case(
        "rgb-stacking",
        "rgb_stacking_sim/triplet4/1.0.0",
        "triplet4",
        62,
        Expected(
            images=("observation/basket_front_left", "observation/basket_front_right"),
            tensors=tuple(f"observation/robot0_{name}" for name in _ROBOT),
            minmax=True,
        ),
    ),
    *(
        Case("modular-rl", f"modular_rl/{body}/1.0.0", body, floats + 1 + actions, Expected(tensors=("observation",)))
        for body, (floats, actions) in _BODIES.items()
    ),
    Case(
        "rlds",
        "oxe_panda_stack/0.1.0",
        "oxe_panda_stack",
        151,
        Expected(
            texts=("language_instruction",),
            images=("observation/image", "observation/wrist_image"),
            tensors=("observation/joint_pos", "observation/state"),
            drop_last=False,
        ),
    ),
    Case(
        "rgb-stacking",
        "oxe_panda_stack/0.1.0",
        "oxe_panda_stack",
        151,
        Expected(
            texts=("language_instruction",),
            images=("observation/image", "observation/wrist_image"),
            tensors=("observation/joint_pos", "observation/state"),
            drop_last=False,
        ),
        settings={"family": "rgb-stacking-real", "action_range": "none"},
    ),
    Case(
        "playroom",
        "oxe_panda_stack/0.1.0",
        "oxe_panda_stack",
        151,
        Expected(
            texts=("language_instruction",),
            images=("observation/image", "observation/wrist_image"),
            tensors=("observation/joint_pos", "observation/state"),
            drop_last=False,
        ),
    ),
    Case(
        "manipulation-playground",
        "oxe_panda_stack/0.1.0",
        "oxe_panda_stack",
        23,
        Expected(tensors=("observation/joint_pos", "observation/state"), drop_last=False),
    ),
]
