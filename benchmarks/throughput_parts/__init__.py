"""The contenders of ``benchmarks/throughput.py``, and what it measures and compares them with."""
