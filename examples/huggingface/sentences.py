"""A training function around a Hugging Face trainer: a small BERT from scratch, on sentences of made-up words; nothing is downloaded."""

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, EvalPrediction, Trainer, TrainingArguments

from automl import Trial
from automl.integrations.huggingface import TrialCallback

WORDS, LENGTH = 50, 12


class Sentences(Dataset[dict[str, Tensor]]):
    """Of class 1 are those of which more than half of the words are from the first half of the vocabulary."""

    def __init__(self, count: int, seed: int) -> None:
        self.ids = torch.randint(1, WORDS, (count, LENGTH), generator=torch.Generator().manual_seed(seed))
        self.labels = ((self.ids <= WORDS // 2).sum(1) > LENGTH // 2).long()

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {"input_ids": self.ids[number], "labels": self.labels[number]}


def accuracy(predicted: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


def run(trial: Trial) -> None:
    width = trial.parameters.width
    torch.manual_seed(trial.seed)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=WORDS,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=trial.parameters.layers,
            num_attention_heads=2,
            max_position_embeddings=LENGTH,
        )
    )
    callback = TrialCallback(trial)
    arguments = TrainingArguments(
        output_dir=str(trial.folder),
        num_train_epochs=trial.epochs,
        learning_rate=trial.parameters.learning_rate,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=100,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        seed=trial.seed,
        use_cpu=trial.device == "cpu",
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Sentences(400, seed=0),
        eval_dataset=Sentences(200, seed=1),
        compute_metrics=accuracy,
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=callback.resume())
