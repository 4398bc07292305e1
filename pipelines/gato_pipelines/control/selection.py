"""Which features of a timestep become tokens, and why the others do not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import prod

from gato_data.errors import InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, Container
from gato_pipelines.control.frame_stacks import stack_of
from gato_pipelines.control.instructions import AUTO, NONE, find_instruction, holds_bytes, unused_texts
from gato_pipelines.control.leaf_fields import DEFAULT, ImageChoice, field_of, is_grid, is_map, modality_of, unreadable
from gato_pipelines.control.readings import readings
from gato_pipelines.rlds.features import Kind, Leaf
from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field, FieldModality

MAX_UNNAMED_ELEMENTS = 256
"""A tensor with more elements (an embedding, a depth map) becomes tokens only where it is named, or all there is."""
_STEPS = "steps/"
_STANDARD = {f"steps/{name}" for name in ("reward", "discount", "is_first", "is_last", "is_terminal")}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for, by a user or by a source's defaults.

    Attributes:
        observation_keys, drop_keys, action_keys: names, groups of names, or patterns with * and ?.
        discrete_keys: patterns of observations whose values are symbols, whatever they look like.
        grids_below: rows and columns below which whole numbers (H, W, layers) or (H, W) are symbols too.
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


@dataclass(frozen=True)
class Selection:
    """What becomes tokens.

    Attributes:
        observations, actions: leaf and field.
        left_out: why every other leaf of a timestep is left out, by its name.
        texts: names of the texts of an episode that are not observed although nobody asked for that.
        images: how images are read.
        readings: how those are read that could be read in another way, a sentence each.
    """

    observations: tuple[tuple[Leaf, Field], ...]
    actions: tuple[tuple[Leaf, Field], ...]
    left_out: dict[str, str]
    texts: tuple[str, ...] = ()
    images: ImageChoice = DEFAULT
    readings: tuple[str, ...] = ()

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """All leaves that become tokens."""
        return tuple(leaf for leaf, _ in (*self.observations, *self.actions))

    def only(self, task: TaskInfo) -> "Selection":
        """Without the fields that the planning pass left out."""
        observed, acted = ({spec.name for spec in fields} for fields in (task.observations, task.actions))
        return replace(
            self,
            observations=tuple(pair for pair in self.observations if pair[1].name in observed),
            actions=tuple(pair for pair in self.actions if pair[1].name in acted),
        )


def select(container: Container, wanted: Wanted) -> Selection:
    """Choose the leaves that become tokens.

    Raises:
        InputError: a name matches no leaf, or one that cannot become tokens; an image may be a stack of frames or not;
            or nothing is left to observe or to do.
        SettingError: an image has no fixed size, and none is given.
    """
    if container.stacks_frames and wanted.images.stack == "auto":
        wanted = replace(wanted, images=replace(wanted.images, stack="newest"))
    observed = {_name(leaf, "observation"): leaf for leaf in below(container, OBSERVATION)}
    observed = _named_beside(container, wanted) | observed
    acted = {_name(leaf, "action"): leaf for leaf in below(container, ACTION)}
    _check_names(container, wanted, observed, acted)
    reasons = {name: _why_not(name, leaf, wanted, alone=len(observed) == 1) for name, leaf in observed.items()}
    kept = [leaf for name, leaf in observed.items() if not reasons[name]]
    instruction = _instruction(container, wanted, kept)
    kept += [instruction] if instruction is not None and instruction not in kept else []
    actions = list(_actions(acted, wanted))
    left_out = {name: why for name, why in reasons.items() if why and observed[name] not in kept}
    left_out |= _beside(container, kept, actions)
    if not kept or not actions:
        what = "observation" if not kept else "action"
        found = _grouped(left_out) or ", ".join(leaf.path for leaf in container.features.steps)
        raise InputError(f"{container.label} has no {what} to tokenize ({found}): name one with --{what}-keys")
    names = [_name(leaf, "observation") for leaf in kept]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"{container.label} has {twice!r} inside and beside its observation: drop one of them")
    seen = [(name, leaf) for name, leaf in zip(names, kept, strict=True) if not wanted.symbols(name, leaf)]
    return Selection(
        tuple((leaf, _observed_field(leaf, wanted, is_text=leaf is instruction)) for leaf in kept),
        tuple((leaf, _action_field(leaf)) for leaf in actions),
        left_out,
        () if wanted.instruction_key == NONE else tuple(unused_texts(container, kept)),
        wanted.images,
        tuple(readings(seen, wanted.images.stack, container.label)),
    )


def below(container: Container, path: str) -> list[Leaf]:
    """The leaves at or under a path."""
    return [leaf for leaf in container.features.steps if leaf.path == path or leaf.path.startswith(path + "/")]


def _named_beside(container: Container, wanted: Wanted) -> dict[str, Leaf]:
    """Leaves beside observation and action that --observation-keys names in full, such as an embedding."""
    apart = {leaf.path for group in (OBSERVATION, ACTION) for leaf in below(container, group)} | _STANDARD
    beside = {leaf.path.removeprefix(_STEPS): leaf for leaf in container.features.steps if leaf.path not in apart}
    return {name: leaf for name, leaf in beside.items() if name in wanted.observation_keys}


def _grouped(left_out: Mapping[str, str]) -> str:
    """Every reason once, behind the names it goes for."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(found)}: {reason}" for reason, found in names.items())


def _name(leaf: Leaf, group: str) -> str:
    return leaf.path.removeprefix(_STEPS).removeprefix(group + "/")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, or a group that it is in, matches one of the patterns."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, pattern + "/*") for pattern in patterns)


def _why_not(name: str, leaf: Leaf, wanted: Wanted, *, alone: bool) -> str:
    """Why an observation is left out; empty where it is kept."""
    if matches(name, wanted.drop_keys):
        return "asked to be dropped" if not matches(name, wanted.optional) else "not wanted by default: see --drop-keys"
    if wanted.observation_keys:
        named = matches(name, wanted.observation_keys)
        if named and (why := unreadable(leaf)):
            raise InputError(f"--observation-keys names {name}, which is {why}: leave it out")
        return "" if named else "not asked for"
    if matches(name, wanted.discrete_keys) and (why := unreadable(leaf) or _no_symbols(leaf)):
        raise InputError(f"--discrete-keys names {name}, which is {why}: leave it out")
    if matches(name, wanted.discrete_keys):
        return ""
    if why := unreadable(leaf):
        return why
    modality = wanted.modality(name, leaf)
    if modality == "image" and is_map(name):
        return "a map of labels or distances by its name: name it in --observation-keys to keep it as a picture"
    if modality not in wanted.modalities:
        return f"{modality}, which this source does not observe by default: name it in --observation-keys to keep it"
    for pattern, reason in wanted.unwanted.items():
        if matches(name, (pattern,)):
            return f"{reason}: name it in --observation-keys to keep it"
    size = prod(side or 1 for side in (*leaf.sequences, *leaf.shape))
    if modality not in ("continuous", "discrete") or size <= MAX_UNNAMED_ELEMENTS or alone:
        return ""
    if wanted.symbols(name, leaf):
        return ""
    if (stack := stack_of(leaf)) is not None:
        return f"{size} numbers in each timestep, or {stack.frames} stacked frames: --frame-stack newest takes one"
    text = ", or in --instruction-key if they are the bytes of a text" if holds_bytes(leaf) else ""
    return f"{size} numbers in each timestep: name it in --observation-keys to keep it{text}"


def _no_symbols(leaf: Leaf) -> str:
    """Why a leaf cannot be read as symbols; empty where it can."""
    if modality_of(leaf) == "text":
        return "text"
    return "an image of free size" if leaf.kind == Kind.IMAGE and None in leaf.shape else ""


def _instruction(container: Container, wanted: Wanted, kept: list[Leaf]) -> Leaf | None:
    """The text that is observed as well."""
    if wanted.instruction_key == AUTO and (wanted.observation_keys or "text" not in wanted.modalities):
        return None
    return find_instruction(container, wanted.instruction_key, kept)


def _observed_field(leaf: Leaf, wanted: Wanted, *, is_text: bool) -> Field:
    name = _name(leaf, "observation")
    if is_text:
        return Field(name, "text", (), "string")
    return field_of(leaf, name, wanted.images, wanted.modality(name, leaf))


def _actions(acted: Mapping[str, Leaf], wanted: Wanted) -> Iterator[Leaf]:
    if wanted.action_keys:
        for name in wanted.action_keys:
            if why := unreadable(acted[name]) or _no_action(acted[name]):
                raise InputError(f"--action-keys names {name}, which is {why}: leave it out")
            yield acted[name]
        return
    for name in sorted(acted, key=lambda name: name.split("/")):
        if not unreadable(acted[name]) and not _no_action(acted[name]):
            yield acted[name]


def _no_action(leaf: Leaf) -> str:
    modality = modality_of(leaf)
    return f"{modality}: actions are numbers" if modality in ("text", "image") else ""


def _beside(container: Container, kept: list[Leaf], actions: list[Leaf]) -> dict[str, str]:
    """The other leaves of a timestep: actions that are not wanted, and what lies beside observation and action."""
    found = {}
    for leaf in container.features.steps:
        name = leaf.path.removeprefix(_STEPS)
        if leaf in kept or leaf in actions or leaf.path in _STANDARD:
            continue
        if leaf in below(container, ACTION):
            found[name] = unreadable(leaf) or _no_action(leaf) or "an action that was not asked for"
        elif leaf not in below(container, OBSERVATION):
            is_text = modality_of(leaf) == "text" and not unreadable(leaf)
            found[name] = "not part of the observation" + (": --instruction-key takes it" if is_text else "")
    return found


def _check_names(container: Container, wanted: Wanted, observed: Mapping[str, Leaf], acted: Mapping[str, Leaf]) -> None:
    """Every name that a user gives has to match something."""
    optional = set(wanted.optional)
    for option, patterns, names in (
        ("--observation-keys", wanted.observation_keys, observed),
        ("--drop-keys", wanted.drop_keys, observed),
        ("--discrete-keys", wanted.discrete_keys, observed),
    ):
        for pattern in patterns:
            if pattern not in optional and not any(matches(name, (pattern,)) for name in names):
                raise InputError(_no_such_name(option, pattern, container, names))
    for name in wanted.action_keys:
        if name not in acted:
            raise InputError(_no_such_name("--action-keys", name, container, acted))


def _no_such_name(option: str, name: str, container: Container, names: Mapping[str, Leaf]) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(names)}"
    return f"{option} names {name!r}, which {container.label} lacks: {hint}"


def _action_field(leaf: Leaf) -> Field:
    found = field_of(leaf, _name(leaf, "action"))
    return replace(found, compand=found.modality != "continuous")
