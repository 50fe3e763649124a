"""An Optuna study as one has it: `python digits.py` runs it with Optuna, `automl run --optuna digits:objective` with automl."""

import optuna
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy


def objective(trial: optuna.Trial) -> float:
    layers = []
    features = 64
    for layer in range(trial.suggest_int("layers", 1, 3)):
        units = trial.suggest_int(f"units_{layer}", 8, 64, log=True)
        layers += [nn.Linear(features, units), nn.ReLU()]
        features = units
    model = nn.Sequential(*layers, nn.Linear(features, 10))

    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=trial.suggest_float("momentum", 0.0, 0.9, step=0.1))

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    inputs, targets = torch.tensor(data.data / 16, dtype=torch.float32)[order], torch.tensor(data.target)[order]
    accuracy = 0.0
    for epoch in range(10):
        for batch in torch.randperm(1200).split(64):
            loss = cross_entropy(model(inputs[:1200][batch]), targets[:1200][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = float((model(inputs[1200:1500]).argmax(1) == targets[1200:1500]).float().mean())
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize")
    study.optimize(objective, n_trials=30)
    print(study.best_value, study.best_params)
