"""Hyperparameter search for PyTorch models: one search-space file, one command, an honest answer."""

from __future__ import annotations

from automl.best import load_best

__version__ = "0.1.0.dev0"
__all__ = ["__version__", "load_best"]
