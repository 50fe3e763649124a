"""A script that knows nothing of automl: arguments in, lines of JSON out."""

import argparse
import json

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.001)
parser.add_argument("--units", type=int, default=32)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

data = load_digits()
order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
inputs, targets = torch.tensor(data.data / 16, dtype=torch.float32)[order], torch.tensor(data.target)[order]
train, validation, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)

torch.manual_seed(options.seed)
model = nn.Sequential(nn.Linear(64, options.units), nn.ReLU(), nn.Linear(options.units, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)


def accuracy(part: slice) -> float:
    with torch.no_grad():
        return float((model(inputs[part]).argmax(1) == targets[part]).float().mean())


for epoch in range(1, options.epochs + 1):
    for batch in torch.randperm(1200).split(options.batch):
        loss = cross_entropy(model(inputs[train][batch]), targets[train][batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(json.dumps({"epoch": epoch, "accuracy": accuracy(validation), "loss": loss.item()}))

print(json.dumps({"test": {"accuracy": accuracy(test)}}))
