from contracts.strategy import StrategyContract


class TestRandom(StrategyContract):
    name = "random"
