"""A training function: it builds, trains and measures as it likes, and reports at the end of every epoch."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from automl import Trial


@cache  # read once by each worker, not once for each trial
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(data.data / 16, dtype=torch.float32)[order], torch.tensor(data.target)[order]


def run(trial: Trial) -> dict[str, float]:
    inputs, targets = (tensor.to(trial.device) for tensor in digits())
    train, validation, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)
    units, learning_rate = trial.parameters.units, trial.parameters.learning_rate
    model = nn.Sequential(nn.Linear(64, units), nn.ReLU(), nn.Dropout(trial.parameters.dropout), nn.Linear(units, 10)).to(trial.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)

    state = trial.resume()  # of an interrupted trial; None where it begins anew
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])

    for epoch in range(trial.epoch, trial.epochs):
        torch.manual_seed(trial.seed + epoch)  # so that an epoch draws the same, whether the trial was interrupted before it or not
        model.train()
        for batch in torch.randperm(1200).split(64):
            loss = cross_entropy(model(inputs[train][batch]), targets[train][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        trial.report(accuracy=accuracy(model, inputs[validation], targets[validation]), loss=loss)
        trial.checkpoint({"model": model.state_dict(), "optimizer": optimizer.state_dict()})

    return {"accuracy": accuracy(model, inputs[test], targets[test])}  # looked at once, of the winner and its confirmations


@torch.no_grad()
def accuracy(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    model.eval()
    return float((model(inputs).argmax(1) == targets).float().mean())
