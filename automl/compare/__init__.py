"""Strategies compared on a person's own problem: the same budget, the same data, paired repeats, and a verdict that holds its level."""
