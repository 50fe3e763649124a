from contracts.strategy import StrategyContract


class TestGrid(StrategyContract):
    name = "grid"
    repeats_lost = True
