"""Refusal of calls that name a tenant, as long as there are none: one day the name will decide what a call sees.

Otherwise, a client that names its tenant would be shown everything by a server that does not know tenants.
"""

from configsvc.domain.errors import InvalidRequestError, Violation

TENANT_KEY = "x-configsvc-tenant"
TENANT_REFUSED = InvalidRequestError(
    (Violation(field=TENANT_KEY, description="is reserved: this server has no tenants, so do not send it"),)
)
