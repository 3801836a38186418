"""Use cases of applications and configurations, and reads of their history."""
