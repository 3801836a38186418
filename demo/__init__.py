"""A client of a running service that loads configurations, changes some and shows what a watcher saw of it.

It is no part of the wheel, and knows of the service what any client knows: the generated stubs.
"""
