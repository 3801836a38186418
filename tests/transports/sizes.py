"""The two forms of these tests: short as a part of `make test`, long in `make robustness`."""

from tests.robustness.form import IS_LONG

# Of each property, for each transport.
EXAMPLES = 2000 if IS_LONG else 40
# Of stops under load, for each transport.
ROUNDS = 8 if IS_LONG else 1
# Of each end of a call or a connection.
REPEATS = 200 if IS_LONG else 5
