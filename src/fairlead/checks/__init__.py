"""Looks at hosts, services, databases and backups: each changes nothing, never raises and returns a `Finding`."""
