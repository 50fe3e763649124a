"""The optimisers of many lanes as one update, for devices where a call costs more than the arithmetic of a lane."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automl.training.course import Course
from automl.training.optimisers import EPSILON, RMSPROP_DECAY, Optimiser


class Together:
    """Moves ``weights`` ``[lanes, width]`` in place, each lane as its own ``Optimiser`` would (tests hold the two together).

    All lanes have the same rule, and momentum all or none. The state of every optimiser becomes a row of the state here, so that
    it can be read and written through either.
    """

    def __init__(self, optimisers: Sequence[Optimiser], courses: Sequence[Course], weights: Tensor) -> None:
        def column(values: Sequence[float]) -> Tensor:
            return weights.new_tensor(values)[:, None]

        recipes = [course.recipe for course in courses]
        self._weights, self._rule = weights, optimisers[0].rule
        self._beta1, self._beta2 = (column([optimiser.betas[i] for optimiser in optimisers]) for i in (0, 1))
        self._decay = column([optimiser.decay for optimiser in optimisers])
        self._momentum = column([optimiser.momentum for optimiser in optimisers])
        self._nesterov = column([optimiser.nesterov for optimiser in optimisers]).bool()
        self._l1 = column([recipe.l1 for recipe in recipes]) if any(recipe.l1 for recipe in recipes) else None
        is_clipped = any(recipe.clip_norm for recipe in recipes)
        self._clip = column([recipe.clip_norm or torch.inf for recipe in recipes]) if is_clipped else None
        self.state = {name: torch.stack([optimiser.state[name] for optimiser in optimisers]) for name in optimisers[0].state}
        for row, optimiser in enumerate(optimisers):
            optimiser.state = {name: rows[row] for name, rows in self.state.items()}

    def step(self, gradients: Tensor, learning_rates: Tensor, moves: Tensor | None) -> None:
        """One step of the lanes that ``moves`` names, ``[lanes, 1]`` (None: of all), at ``learning_rates`` ``[lanes, 1]``."""
        if self._l1 is not None:
            gradients = gradients + self._l1 * self._weights.sign()
        if self._clip is not None:
            gradients = gradients * (self._clip / (gradients.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1)
        if self._rule != "adamw":
            gradients = torch.addcmul(gradients, self._weights, self._decay)
        self._keep("steps", self.state["steps"] + 1, None if moves is None else moves[:, 0])
        match self._rule:
            case "adam" | "adamw":
                change = self._adam(gradients, moves)
            case "sgd":
                change = self._sgd(gradients, moves)
            case _:
                change = self._rmsprop(gradients, moves)
        weights = self._weights * (1 - learning_rates * self._decay) if self._rule == "adamw" else self._weights
        weights = weights - learning_rates * change
        self._weights.copy_(weights if moves is None else torch.where(moves, weights, self._weights))

    def _adam(self, gradients: Tensor, moves: Tensor | None) -> Tensor:
        """Source: Kingma and Ba (arXiv 1412.6980), algorithm 1: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; m' / (sqrt(v') + e)."""
        first = self._keep("first", self._beta1 * self.state["first"] + (1 - self._beta1) * gradients, moves)
        second = self._keep("second", self._beta2 * self.state["second"] + (1 - self._beta2) * gradients.square(), moves)
        steps = self.state["steps"].to(first.dtype)[:, None].clamp(min=1)  # of a lane that has not moved yet nothing is taken
        return first / (1 - self._beta1**steps) / ((second / (1 - self._beta2**steps)).sqrt() + EPSILON)

    def _sgd(self, gradients: Tensor, moves: Tensor | None) -> Tensor:
        if "velocity" not in self.state:
            return gradients
        velocity = self._keep("velocity", self._momentum * self.state["velocity"] + gradients, moves)
        return torch.where(self._nesterov, gradients + self._momentum * velocity, velocity)

    def _rmsprop(self, gradients: Tensor, moves: Tensor | None) -> Tensor:
        second = self._keep("second", RMSPROP_DECAY * self.state["second"] + (1 - RMSPROP_DECAY) * gradients.square(), moves)
        change = gradients / (second.sqrt() + EPSILON)
        if "velocity" not in self.state:
            return change
        return self._keep("velocity", self._momentum * self.state["velocity"] + change, moves)

    def _keep(self, name: str, new: Tensor, moves: Tensor | None) -> Tensor:
        """The state as it is now: new where the lane moves."""
        state = self.state[name]
        return state.copy_(new if moves is None else torch.where(moves, new, state))
