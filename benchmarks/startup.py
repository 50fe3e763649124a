"""How long `automl --help` takes in a fresh process: median and range of several starts.

python benchmarks/startup.py [--times 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(command: list[str]) -> float:
    """Wall time of one run of the command."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each command; bare Python is the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args().times
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "automl --help": [sys.executable, "-m", "automl", "--help"],
        "automl run --help": [sys.executable, "-m", "automl", "run", "--help"],
    }
    for name, command in commands.items():
        measured = sorted(seconds(command) for _ in range(times))
        print(f"{name:<20} median {statistics.median(measured):.3f} s, {measured[0]:.3f} to {measured[-1]:.3f}")


if __name__ == "__main__":
    main()
