"""Headers of every answer, which tell browsers to do nothing with it that nobody asked for."""

from typing import TypeAlias

SecurityHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
SECURITY_HEADERS = (*_ALWAYS, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
# No script, no style and no address but those of this service. Swagger UI's styles have pictures in them.
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = (*_ALWAYS, (b"content-security-policy", _PAGE_POLICY))


def console_headers(connections: str) -> SecurityHeaders:
    """Return the headers of the console's files. `connections`: the origins that its scripts may call."""
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src {connections}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return (
        *_ALWAYS,
        (b"content-security-policy", policy.encode()),
        # No page that opens this one, or that it opens, can reach into it.
        (b"cross-origin-opener-policy", b"same-origin"),
    )
