"""Which fields of a timestep are asked for, by a user or by a source's defaults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import prod

from gato_data.closest import closest
from gato_data.errors import InputError
from gato_pipelines.control.frame_stacks import stack_of
from gato_pipelines.control.instructions import AUTO, holds_bytes
from gato_pipelines.control.leaf_fields import DEFAULT, ImageChoice, is_grid, is_map, modality_of, unreadable
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.episode import FieldModality

MAX_UNNAMED_ELEMENTS = 256
"""A tensor with more elements (an embedding, a depth map) becomes tokens only where it is named, or
all there is."""


@dataclass(frozen=True, kw_only=True)
class FieldChoice:
    """What is asked for, by a user or by a source's defaults.

    Attributes:
        observation_keys, drop_keys, action_keys: names, groups of names, or patterns with * and ?.
        discrete_keys: patterns of observations whose values are symbols, whatever they look like.
        grids_below: rows and columns below which whole numbers (H, W, layers) or (H, W) are symbols
            too.
        instruction_key: name of a text that is observed as well, "auto" or "none".
        images: how images are read.
        modalities: those of an unnamed observation that are kept.
        unwanted: patterns of unnamed observations that are left out, and why.
        optional: patterns of `drop_keys` that need not match anything.
    """

    observation_keys: tuple[str, ...] = ()
    drop_keys: tuple[str, ...] = ()
    action_keys: tuple[str, ...] = ()
    discrete_keys: tuple[str, ...] = ()
    grids_below: int = 0
    instruction_key: str = AUTO
    images: ImageChoice = DEFAULT
    modalities: frozenset[FieldModality] = frozenset(("text", "image", "discrete", "continuous"))
    unwanted: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()

    def symbols(self, name: str, leaf: Leaf) -> bool:
        """Whether the values of an observation are symbols, whatever they look like."""
        return matches(name, self.discrete_keys) or is_grid(leaf, self.grids_below)

    def modality(self, name: str, leaf: Leaf) -> FieldModality:
        """How an observation becomes tokens."""
        return "discrete" if self.symbols(name, leaf) else modality_of(self.images.frame_of(leaf))

    def why_left_out(self, name: str, leaf: Leaf, *, alone: bool) -> str:
        """Why an observation is left out; empty where it is kept.

        Args:
            name: of the observation.
            leaf: its feature.
            alone: whether there is no other observation.

        Raises:
            InputError: it is asked for, and cannot become tokens.
        """
        if matches(name, self.drop_keys):
            asked = not matches(name, self.optional)
            return "asked to be dropped" if asked else "not wanted by default: see --drop-keys"
        if self.observation_keys:
            named = matches(name, self.observation_keys)
            if named and (why := unreadable(leaf)):
                raise InputError(f"--observation-keys names {name}, which is {why}: leave it out")
            return "" if named else "not asked for"
        if matches(name, self.discrete_keys):
            if why := unreadable(leaf) or _no_symbols(leaf):
                raise InputError(f"--discrete-keys names {name}, which is {why}: leave it out")
            return ""
        return unreadable(leaf) or self._why_unwanted(name, leaf) or self._why_large(name, leaf, alone=alone)

    def _why_unwanted(self, name: str, leaf: Leaf) -> str:
        """Why an observation that nobody names is left out for what it is."""
        modality = self.modality(name, leaf)
        if modality == "image" and (leaf.is_depth or is_map(name)):
            by = "" if leaf.is_depth else " by its name"
            return f"a map of labels or distances{by}: name it in --observation-keys to keep it as a picture"
        if modality not in self.modalities:
            reasons = [f"{modality}, which this source does not observe by default"]
        else:
            reasons = [reason for pattern, reason in self.unwanted.items() if matches(name, (pattern,))]
        return f"{reasons[0]}: name it in --observation-keys to keep it" if reasons else ""

    def _why_large(self, name: str, leaf: Leaf, *, alone: bool) -> str:
        """Why an observation that nobody names is left out for its size."""
        size = prod(side or 1 for side in (*leaf.sequences, *leaf.shape))
        is_tensor = self.modality(name, leaf) in ("continuous", "discrete") and not self.symbols(name, leaf)
        if not is_tensor or size <= MAX_UNNAMED_ELEMENTS or alone:
            return ""
        if (stack := stack_of(leaf)) is not None:
            return f"{size} numbers in each timestep, or {stack.frames} stacked frames: --frame-stack newest takes one"
        text = ", or in --instruction-key if they are the bytes of a text" if holds_bytes(leaf) else ""
        return f"{size} numbers in each timestep: name it in --observation-keys to keep it{text}"

    def check_names(self, dataset: str, observed: Iterable[str], acted: Iterable[str]) -> None:
        """Check that every name that a user gives matches something.

        Raises:
            InputError: one does not; a close one is suggested.
        """
        for option, patterns, names in (
            ("--observation-keys", self.observation_keys, observed),
            ("--drop-keys", self.drop_keys, observed),
            ("--discrete-keys", self.discrete_keys, observed),
        ):
            for pattern in patterns:
                if pattern not in self.optional and not any(matches(name, (pattern,)) for name in names):
                    raise _no_such_name(option, pattern, dataset, names)
        for name in self.action_keys:
            if name not in acted:
                raise _no_such_name("--action-keys", name, dataset, acted)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, or a group that it is in, matches one of the patterns."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, pattern + "/*") for pattern in patterns)


def _no_symbols(leaf: Leaf) -> str:
    """Why a leaf cannot be read as symbols; empty where it can."""
    if modality_of(leaf) == "text":
        return "text"
    if leaf.kind == Kind.VIDEO:
        return "a video"
    return "an image of free size" if leaf.kind == Kind.IMAGE and None in leaf.shape else ""


def _no_such_name(option: str, name: str, dataset: str, names: Iterable[str]) -> InputError:
    close = closest(name, names)
    hint = f"did you mean {close!r}?" if close else f"it has {', '.join(names)}"
    return InputError(f"{option} names {name!r}, which {dataset} lacks: {hint}")
