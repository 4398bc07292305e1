"""Text behind an image and a text: captions, answers, and whatever else a run was trained to write."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from gato_data.closest import did_you_mean
from gato_data.errors import EpisodeError, SettingError
from gato_data.image_fit import ImageFit, placed, resize
from gato_data.tokenize import end_id, tokenize_document
from gato_data.tokenizers.text import TextTokenizer
from gato_data.vocabulary import Vocabulary
from gato_schemas.episode import Document, Image, Text
from gato_schemas.policy import PolicyCard, PolicyDataset
from gato_schemas.sequence import Modality
from gato_trainer.acting.memory import Memory
from gato_trainer.acting.sampling import check_seed, check_temperature, draw, numbers
from gato_trainer.acting.tasks import carried, reading_of, tokenization_of
from gato_trainer.acting.vectors import Vectors
from gato_trainer.model.transformer import Gato


class Writer:
    """Continues documents as the datasets of a run write them."""

    def __init__(self, model: Gato, vectors: Vectors, card: PolicyCard, text_model: TextTokenizer | None) -> None:
        self._model, self._vectors, self._text_model = model, vectors, text_model
        self._window = reading_of(card).context_length
        self._datasets = [d for d in card.datasets if not any(task.actions for task in d.tasks.values())]

    def generate(
        self, image: ArrayLike | None, text: str, *, dataset: str | None, tokens: int, temperature: float, seed: int
    ) -> str:
        """As `Policy.generate` has it."""
        check_temperature(temperature)
        check_seed(seed)
        if tokens < 1:
            raise SettingError(f"{tokens} tokens cannot be generated: at least 1 is wanted")
        if self._text_model is None:
            raise SettingError("the run carries no text model: it was not trained on texts")
        like = self._like(dataset, with_image=image is not None)
        segments: list[Image | Text] = [] if image is None else [_photograph(image, like)]
        segments += [Text(text, ends=False)] if text else []
        if not segments:
            raise SettingError("there is nothing to continue: an image, a text or both are wanted")
        settings, vocabulary = tokenization_of(like), Vocabulary.from_info(like.vocabulary)
        begun = tokenize_document(Document(task="", segments=tuple(segments)), vocabulary, settings, self._text_model)
        if begun.num_tokens > self._window:
            raise EpisodeError(
                f"the image and the text have {begun.num_tokens} tokens, the model was trained with a context of "
                f"{self._window}: take a shorter text"
            )
        end = end_id(self._text_model, settings)
        written = self._written(self._vectors.of([begun]), vocabulary.text_size, end, tokens, temperature, seed)
        before = begun.tokens[begun.modality == Modality.TEXT].astype(np.int64).tolist()
        return self._text_model.decode([*before, *written])[len(self._text_model.decode(before)) :]

    @torch.inference_mode()
    def _written(
        self, begun: torch.Tensor, text_size: int, end: int | None, tokens: int, temperature: float, seed: int
    ) -> Sequence[int]:
        """Ids behind embedded tokens (N, D), up to the end of the sentence, the context or so many."""
        tokens = min(tokens, self._window - len(begun) + 1)
        memory = Memory(self._model, 1, self._window)
        hidden = memory.extend(begun, [len(begun)])
        uniform = numbers([seed], [0], tokens)
        ids: list[int] = []
        for number in range(tokens):
            drawn = draw(self._vectors.logits(hidden, 0, text_size), temperature, uniform[:, number])
            if int(drawn[0]) == end:
                break
            ids.append(int(drawn[0]))
            if number + 1 < tokens:
                hidden = memory.extend(self._vectors.of_texts(drawn), [1])
        return ids

    def _like(self, name: str | None, *, with_image: bool) -> PolicyDataset:
        """The dataset whose form the document has: that of the name, or the first one that has images, or not."""
        names = [dataset.name for dataset in self._datasets]
        if not names:
            raise SettingError("the run was not trained on texts or captions: it has nothing to write like")
        if name is not None and name not in names:
            listed = ", ".join(names)
            raise SettingError(f"the run has no dataset of texts {name!r}, it has {listed}{did_you_mean(name, names)}")
        found = [d for d in self._datasets if name in (None, d.name) and (_fit(d) is not None or not with_image)]
        if not found:
            raise SettingError(f"no image is known to {name or 'the datasets of texts'}: leave the image out")
        return next((d for d in found if (_fit(d) is not None) == with_image), found[0])


def _fit(dataset: PolicyDataset) -> ImageFit | None:
    """How its images got their size; None where it has none."""
    settings = dataset.source.settings
    if "image_size" not in settings:
        return None
    height, width = carried(settings["image_size"], tuple[int, int], f"the image size of {dataset.name}")
    return ImageFit(height, width, settings.get("image_fit", "resize"))


def _photograph(image: ArrayLike, dataset: PolicyDataset) -> Image:
    """An image as the dataset has them."""
    pixels, fit = np.asarray(image), _fit(dataset)
    assert fit is not None
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise EpisodeError(f"the image is {pixels.dtype} {pixels.shape}: uint8 (height, width, 3) is wanted")
    height, width = pixels.shape[:2]
    return placed(resize(np.ascontiguousarray(pixels), fit.scaled(height, width)), fit)
