"""A client that loads configurations into a running service, changes some, and shows the events of a watch.

It is not part of the wheel and uses only the generated stubs, as any client would.
"""
