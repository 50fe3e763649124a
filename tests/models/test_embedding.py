"""How networks read sequences and texts: words as vectors, and which steps there are."""

from __future__ import annotations

import torch

from automl.inputs import Inputs
from automl.models.embedding import WORDS, Embedding, Steps, largest_of, mean_over
from automl.training.weights import initialised


def test_padding_has_no_gradient() -> None:
    embedding = Embedding(5, 3)
    initialised(embedding, seed=3)
    embedding(torch.tensor([[2, 0, 4]])).sum().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.sum(1).tolist() == [0, 0, 3, 0, 3]


def test_a_text_has_the_steps_of_its_words_and_one_where_it_has_none() -> None:
    steps = Steps({"embedding": 2}, Inputs("tokens", (3,), vocabulary=9))
    initialised(steps, seed=3)
    features, is_there = steps(torch.tensor([[4, 1, 0], [0, 0, 0]]))
    assert is_there is not None
    assert is_there.tolist() == [[True, True, False], [True, False, False]]
    assert features.shape == (2, 3, 2)
    assert not features[1].any()


def test_a_sequence_has_the_steps_of_its_mask() -> None:
    x = torch.tensor([[[7.0, 8.0, 0.0], [1.0, 1.0, 0.0]]])
    features, is_there = Steps({}, Inputs("sequences", (2, 3), has_mask=True))(x)
    assert is_there is not None
    assert is_there.tolist() == [[True, True, False]]
    assert features.tolist() == [[[7, 1], [8, 1], [0, 0]]]
    assert Steps({}, Inputs("sequences", (2, 3)))(x)[1] is None


def test_means_and_maxima_are_over_the_steps_that_there_are() -> None:
    steps = torch.tensor([[[-1.0], [-3.0], [5.0]]])
    is_there = torch.tensor([[True, True, False]])
    assert mean_over(steps, is_there).tolist() == [[-2]]
    assert largest_of(steps, is_there).tolist() == [[-1]]
    assert torch.allclose(mean_over(steps, None), torch.tensor([[1 / 3]]))
    assert largest_of(steps, None).tolist() == [[5]]


def test_the_vectors_of_a_words_parts_are_added_up() -> None:
    steps = Steps({"embedding": 2}, Inputs("tokens", (2, 3), vocabulary=9))
    initialised(steps, seed=3)
    weight = steps.embedding.weight.detach()  # type: ignore[union-attr]
    features, is_there = steps(torch.tensor([[[4, 1, 0], [7, 0, 0]]]))
    assert torch.equal(features[0], torch.stack([weight[4] + weight[7], weight[1], weight[0]]))
    assert is_there.tolist() == [[True, True, False]]


def test_word_dropout_takes_each_part_for_itself() -> None:
    steps = Steps({"embedding": 2, "word_dropout": 0.5}, Inputs("tokens", (2, 3), vocabulary=9))
    initialised(steps, seed=3)
    weight = steps.embedding.weight.detach()  # type: ignore[union-attr]

    def without_the_first_part(hidden: torch.Tensor, layer: int, share: float | None = None) -> torch.Tensor:
        assert (layer, share, hidden.shape) == (WORDS, 0.5, (1, 2, 3))
        return hidden * torch.tensor([0.0, 2.0])[:, None]

    features, is_there = steps(torch.tensor([[[4, 1, 0], [7, 0, 0]]]), without_the_first_part)
    assert torch.equal(features[0], torch.stack([2 * weight[7], weight[0], weight[0]]))
    assert is_there.tolist() == [[True, True, False]]
