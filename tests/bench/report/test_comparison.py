from bench.measure.comparison import rows_of
from bench.report.comparison import LAYOUT
from bench.report.results import Figure, Results, Row, row
from bench.report.table import markdown

# Rate and processor time of each repetition; the machine was slower in the second.
THIS = ((200.0, 50.0), (110.0, 60.0), (210.0, 50.0))
OTHER = ((100.0, 100.0), (50.0, 120.0), (105.0, 125.0))


def table_of(*rows: Row) -> list[str]:
    results = Results(taken="Monday", repetitions=3, quick=False, machine={}, rows=tuple(rows), failed=(), curves=())
    return markdown(results, LAYOUT).splitlines()


def test_a_load_has_a_row_for_its_rate_and_one_for_its_processor_time() -> None:
    rate, cpu = rows_of("UpdateConfiguration", "write", THIS, OTHER)
    assert (rate.unit, rate.ours.median, rate.limit.median) == ("writes/s", 200.0, 100.0)
    assert (cpu.unit, cpu.ours.median, cpu.limit.median) == ("µs", 50.0, 120.0)


def test_the_ratio_is_the_median_of_the_repetitions_beside_their_range() -> None:
    # The ratios are 2, 2.2 and 2; those of the processor time are 0.5, 0.5 and 0.4.
    lines = table_of(*rows_of("UpdateConfiguration", "write", THIS, OTHER))
    assert "| UpdateConfiguration | 200 writes/s ± 25% | 100 writes/s ± 28% | × 2.00 | × 2.00 to × 2.20 |" in lines
    assert (
        "| UpdateConfiguration: processor time per write | 50.0 µs ± 10% | 120 µs ± 10% | × 0.50 | × 0.40 to × 0.50 |"
        in lines
    )


def test_a_deliverys_plural_is_deliveries() -> None:
    assert rows_of("1 watcher", "delivery", THIS, OTHER)[0].unit == "deliveries/s"


def test_a_processor_time_below_the_resolution_has_no_ratio() -> None:
    line = row("", "title", "µs", Figure(samples=(10.0,)), limit=("", Figure(samples=(0.0,))))
    assert "| title | 10.0 µs ± 0% | 0.00 µs |  |  |" in table_of(line)
