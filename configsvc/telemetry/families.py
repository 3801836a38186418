"""Metric families, as the engines yield them from `collect`."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Families: TypeAlias = "Iterator[Metric]"

# prometheus-client is imported late, as the supervisor loads engines and serves no metrics.


def gauge(name: str, text: str, value: float) -> "Metric":
    """Return a gauge without labels."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    return GaugeMetricFamily(f"configsvc_{name}", text, value)


def counter(name: str, text: str, value: float) -> "Metric":
    """Return a counter without labels."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    return CounterMetricFamily(f"configsvc_{name}", text, value)


def labelled_gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> "Metric":
    """Return a gauge with a value for each tuple of label values."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    family = GaugeMetricFamily(f"configsvc_{name}", text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def labelled_counter(
    name: str, text: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> "Metric":
    """Return a counter with a value for each tuple of label values."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    family = CounterMetricFamily(f"configsvc_{name}", text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family
