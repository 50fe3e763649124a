from contracts.strategy import StrategyContract


class TestBayesian(StrategyContract):
    name = "bayesian"
