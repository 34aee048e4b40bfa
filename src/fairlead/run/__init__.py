"""Executes a plan: lock, record, the table of what to do next, the watch, the way back. Only this changes a run."""
