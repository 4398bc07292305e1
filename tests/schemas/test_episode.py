from gato_schemas.dataset import TaskInfo
from gato_schemas.episode import Field
from gato_schemas.sequence import Modality

FIELDS = [
    Field("text", "text"),
    Field("camera", "image", (32, 48, 3)),
    Field("button", "discrete"),
    Field("joints", "continuous", (2, 3)),
]
ACTION = Field("action", "continuous", (4,))


def test_tokens_of_a_field():
    assert [field.num_tokens for field in FIELDS] == [0, 6, 1, 6]
    wanted = [Modality.TEXT, Modality.PATCH, Modality.DISCRETE, Modality.CONTINUOUS]
    assert [field.token_modality for field in FIELDS] == wanted


def test_tokens_of_a_timestep_are_those_of_its_fields_and_the_separator():
    told = TaskInfo(observations=FIELDS, actions=[ACTION])
    assert (told.tokens_per_timestep, told.has_text) == (6 + 1 + 6 + 1 + 4, True)
    document = TaskInfo(observations=[], actions=[])
    assert (document.tokens_per_timestep, document.has_text) == (1, False)
