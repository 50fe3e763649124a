"""``python -m automl`` is the command ``automl``."""

from automl.cli import program

if __name__ == "__main__":
    program()
