"""The two forms of the tests: short as a part of `make test`, long in `make robustness`."""

import os
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The size of a run: each fault strikes in every round, with this many writes before and after it."""

    rounds: int
    writes: int
    watches: int
    returning: int
    stalled_megabytes: int
    nemesis_faults: int
    # Of random operations and watchers against the model of tests/watch/test_watches_state_machine.py.
    machine_examples: int
    # Configurations of one large import whose process is killed, and of one large application.
    many: int


SHORT = Form(
    rounds=1,
    writes=15,
    watches=400,
    # More than the calls that gRPC keeps until they are begun.
    returning=1500,
    stalled_megabytes=72,
    nemesis_faults=4,
    machine_examples=15,
    many=5000,
)
LONG = Form(
    rounds=10,
    writes=100,
    watches=10_000,
    returning=10_000,
    stalled_megabytes=300,
    nemesis_faults=50,
    machine_examples=200,
    many=20_000,
)

IS_LONG = os.environ.get("CONFIGSVC_ROBUSTNESS") == "long"
FORM = LONG if IS_LONG else SHORT
# The limit of a test that needs much processor time on a shared machine.
PATIENCE_SECONDS = 3600 if IS_LONG else 180
# The seed of the traffic and of the order of the faults.
SEED = os.environ.get("CONFIGSVC_ROBUSTNESS_SEED") or str(random.randrange(1_000_000_000))
