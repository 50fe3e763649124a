"""A training function around a Lightning trainer: the callback reports each validation, prunes, and goes on after an interruption."""

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from automl import Trial
from automl.integrations.lightning import TrialCallback


class Net(LightningModule):
    def __init__(self, units: int, dropout: float, learning_rate: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, 10))
        self.learning_rate = learning_rate

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        outputs = self.layers(batch[0])
        self.log("val_loss", cross_entropy(outputs, batch[1]))
        self.log("val_accuracy", (outputs.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def run(trial: Trial) -> None:
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    samples = TensorDataset(torch.tensor(digits.data / 16, dtype=torch.float32)[order], torch.tensor(digits.target)[order])
    train = DataLoader(torch.utils.data.Subset(samples, range(1200)), batch_size=64, shuffle=True)
    validation = DataLoader(torch.utils.data.Subset(samples, range(1200, 1500)), batch_size=300)

    callback = TrialCallback(trial)
    trainer = Trainer(
        max_epochs=trial.epochs,
        callbacks=[callback],
        accelerator="cpu" if trial.device == "cpu" else "gpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(**trial.parameters), train, validation, ckpt_path=callback.resume())
