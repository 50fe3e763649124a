"""Hyperparameter search for PyTorch models: one search-space file, one command, an honest answer."""

__version__ = "0.1.0.dev0"
