"""The families of the paper's Table 1: what a dataset is one of, and how much of a mixture each is."""

from collections.abc import Mapping

TABLE_1: Mapping[str, float] = {
    "dm-lab": 9.35,
    "atari": 9.5,
    "atari-extended": 10.0,
    "sokoban": 1.33,
    "babyai": 9.06,
    "dm-control": 4.62,
    "dm-control-pixels": 7.07,
    "dm-control-random-small": 3.04,
    "dm-control-random-large": 3.04,
    "meta-world": 8.96,
    "procgen": 5.34,
    "rgb-stacking-sim": 1.33,
    "rgb-stacking-real": 1.33,
    "modular-rl": 8.23,
    "manipulation-playground": 1.68,
    "playroom": 1.33,
    "massivetext": 6.7,
    "m3w": 4.0,
    "align": 0.67,
    "coco-captions": 0.67,
    "conceptual-captions": 0.67,
    "ltip": 0.67,
    "okvqa": 0.67,
    "vqav2": 0.67,
}
"""Sample weights in percent by family (paper Table 1); they sum to 99.93 and are renormalised over what is given."""
