"""Which features of a timestep become tokens, and why the others do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gato_data.errors import InputError
from gato_pipelines.containers.container import ACTION, OBSERVATION, Container
from gato_pipelines.control.field_choice import FieldChoice
from gato_pipelines.control.instructions import AUTO, NONE, find_instruction, unused_texts
from gato_pipelines.control.leaf_fields import DEFAULT, ImageChoice, field_of, image_info, modality_of, unreadable
from gato_pipelines.control.readings import readings
from gato_pipelines.rlds.features import Leaf
from gato_schemas.dataset import ImageInfo, TaskInfo
from gato_schemas.episode import Field

_STEPS = "steps/"
_STANDARD = {f"steps/{name}" for name in ("reward", "discount", "is_first", "is_last", "is_terminal")}


@dataclass(frozen=True)
class Selection:
    """What becomes tokens.

    Attributes:
        observations, actions: leaf and field.
        left_out: why every other leaf of a timestep is left out, by its name.
        texts: names of the texts of an episode that are not observed although nobody asked for
            that.
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

    @property
    def raw_images(self) -> dict[str, ImageInfo]:
        """The raw image of every image field, by its name."""
        images = ((leaf, field.name) for leaf, field in self.observations if field.modality == "image")
        found = {name: image_info(leaf, self.images) for leaf, name in images}
        return {name: info for name, info in found.items() if info is not None}

    @property
    def action_values(self) -> dict[str, int]:
        """How many values discrete action fields have, where it is declared."""
        declared = {field.name: 2 if leaf.dtype == "bool" else leaf.values for leaf, field in self.actions}
        return {name: values for name, values in declared.items() if values is not None}

    def only(self, task: TaskInfo) -> "Selection":
        """Without the fields that the planning pass left out."""
        observed, acted = ({spec.name for spec in fields} for fields in (task.observations, task.actions))
        return replace(
            self,
            observations=tuple(pair for pair in self.observations if pair[1].name in observed),
            actions=tuple(pair for pair in self.actions if pair[1].name in acted),
        )


def select(container: Container, choice: FieldChoice) -> Selection:
    """Choose the leaves that become tokens.

    Raises:
        InputError: a name matches no leaf, or one that cannot become tokens; an image may be a
            stack of frames or not; or nothing is left to observe or to do.
        SettingError: an image has no fixed size, and none is given.
    """
    if container.stacks_frames and choice.images.stack == "auto":
        choice = replace(choice, images=replace(choice.images, stack="newest"))
    observed = {field_name(leaf, "observation"): leaf for leaf in below(container, OBSERVATION)}
    observed = _asked_beside(container, choice) | observed
    acted = {field_name(leaf, "action"): leaf for leaf in below(container, ACTION)}
    choice.check_names(container.label, observed, acted)
    reasons = {name: choice.why_left_out(name, leaf, alone=len(observed) == 1) for name, leaf in observed.items()}
    kept = [leaf for name, leaf in observed.items() if not reasons[name]]
    instruction = _instruction(container, choice, kept)
    kept += [instruction] if instruction is not None and instruction not in kept else []
    actions = list(_actions(acted, choice))
    left_out = {name: why for name, why in reasons.items() if why and observed[name] not in kept}
    left_out |= _others(container, kept, actions)
    _check_some(container, kept, actions, left_out)
    seen = [(name, leaf) for name, leaf in _named(container, kept) if not choice.symbols(name, leaf)]
    return Selection(
        tuple((leaf, _observed_field(leaf, choice, is_text=leaf is instruction)) for leaf in kept),
        tuple((leaf, _action_field(leaf)) for leaf in actions),
        left_out,
        () if choice.instruction_key == NONE else tuple(unused_texts(container, kept)),
        choice.images,
        tuple(readings(seen, choice.images.stack, container.label)),
    )


def _check_some(
    container: Container, kept: Sequence[Leaf], actions: Sequence[Leaf], left_out: Mapping[str, str]
) -> None:
    if not kept or not actions:
        what = "observation" if not kept else "action"
        found = _grouped(left_out) or ", ".join(leaf.path for leaf in container.features.steps)
        raise InputError(f"{container.label} has no {what} to tokenize ({found}): name one with --{what}-keys")


def _named(container: Container, kept: Sequence[Leaf]) -> list[tuple[str, Leaf]]:
    """Observations with their names, which all differ."""
    names = [field_name(leaf, "observation") for leaf in kept]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(f"{container.label} has {twice!r} inside and beside its observation: drop one of them")
    return list(zip(names, kept, strict=True))


def below(container: Container, path: str) -> list[Leaf]:
    """The leaves at or under a path."""
    return [leaf for leaf in container.features.steps if leaf.path == path or leaf.path.startswith(path + "/")]


def _asked_beside(container: Container, choice: FieldChoice) -> dict[str, Leaf]:
    """Leaves beside observation and action that --observation-keys names in full, such as an embedding."""
    apart = {leaf.path for group in (OBSERVATION, ACTION) for leaf in below(container, group)} | _STANDARD
    beside = {leaf.path.removeprefix(_STEPS): leaf for leaf in container.features.steps if leaf.path not in apart}
    return {name: leaf for name, leaf in beside.items() if name in choice.observation_keys}


def _grouped(left_out: Mapping[str, str]) -> str:
    """Every reason once, behind the names it goes for."""
    names: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(found)}: {reason}" for reason, found in names.items())


def field_name(leaf: Leaf, group: str) -> str:
    """The name of the field that a leaf becomes, without the "observation" or "action" around it."""
    return leaf.path.removeprefix(_STEPS).removeprefix(group + "/")


def _instruction(container: Container, choice: FieldChoice, kept: list[Leaf]) -> Leaf | None:
    """The text that is observed as well."""
    if choice.instruction_key == AUTO and (choice.observation_keys or "text" not in choice.modalities):
        return None
    return find_instruction(container, choice.instruction_key, kept)


def _observed_field(leaf: Leaf, choice: FieldChoice, *, is_text: bool) -> Field:
    name = field_name(leaf, "observation")
    if is_text:
        return Field(name, "text", (), "string")
    return field_of(leaf, name, choice.images, choice.modality(name, leaf))


def _actions(acted: Mapping[str, Leaf], choice: FieldChoice) -> Iterator[Leaf]:
    if choice.action_keys:
        for name in choice.action_keys:
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


def _others(container: Container, kept: Sequence[Leaf], actions: Sequence[Leaf]) -> dict[str, str]:
    """Why the other leaves of a timestep are no tokens: other actions, and what is neither observed nor done."""
    found, observed, acted = {}, below(container, OBSERVATION), below(container, ACTION)
    for leaf in container.features.steps:
        name = leaf.path.removeprefix(_STEPS)
        if leaf in kept or leaf in actions or leaf.path in _STANDARD:
            continue
        if leaf in acted:
            found[name] = unreadable(leaf) or _no_action(leaf) or "an action that was not asked for"
        elif leaf not in observed:
            is_text = modality_of(leaf) == "text" and not unreadable(leaf)
            found[name] = "not part of the observation" + (": --instruction-key takes it" if is_text else "")
    return found


def _action_field(leaf: Leaf) -> Field:
    found = field_of(leaf, field_name(leaf, "action"))
    return replace(found, compand=found.modality != "continuous")
