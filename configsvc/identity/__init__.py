"""Who calls: bearer tokens, client certificates and the keys behind them."""
