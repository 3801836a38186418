"""What callers do with applications and configurations, and read of their past."""
