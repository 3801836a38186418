"""Limits of the work of validating one config."""

from configsvc.domain.jsonschema.faults import Fault

# A step is 20 ns in the worst case measured. Of 1,135 real configurations, one needs more.
STEPS_AT_ONCE = 3_200_000
CPU_SECONDS = 1.0

TOO_SLOW = Fault(
    pointer="", keyword="$schema", message=f"takes more than {CPU_SECONDS:g} s to validate against its schema"
)
