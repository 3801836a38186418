"""The size of a config as PostgreSQL writes it, which the service computes before it writes."""

import random

from configsvc.domain.content import JsonObject, JsonValue, encode_json, stored_bytes
from tests.storage.reading import Session

STRINGS = ("", "a:b,c", '"', "\\", '\\"e-7,', "1.5e-7", "\x01\t\n\x7f", "ü€😀", "\u2028", "e-300")
NUMBERS = (0, -1, 0.5, 1e-5, 1e-7, -1.25e-7, 5e-324, 1.7976931348623157e-308, 123456.789, 2**53 - 1, 1e-10, -2.5e-200)


def some_value(source: random.Random, depth: int) -> JsonValue:
    match source.randrange(6 if depth else 4):
        case 0:
            return source.choice(STRINGS)
        case 1:
            return source.choice(NUMBERS)
        case 2:
            return source.uniform(-1, 1) * 10.0 ** source.randrange(-320, 9)
        case 3:
            return source.choice((True, False, None))
        case 4:
            return [some_value(source, depth - 1) for _ in range(source.randrange(5))]
        case _:
            return {source.choice(STRINGS): some_value(source, depth - 1) for _ in range(source.randrange(5))}


async def test_the_computed_size_is_that_of_postgresql(psql: Session) -> None:
    source = random.Random(20)
    contents: list[JsonObject] = [{"value": some_value(source, 4)} for _ in range(2000)]
    texts = [encode_json(content) for content in contents]
    rows = await psql.fetch(
        """SELECT octet_length(t.text::jsonb::text) AS size
        FROM unnest($1::text[]) WITH ORDINALITY AS t (text, place) ORDER BY t.place""",
        texts,
    )
    for text, row in zip(texts, rows, strict=True):
        assert stored_bytes(text) == row["size"], text
