"""Executes a plan: lock, record, the table of what to do next, the watch, the way back. Only this folder changes a run."""
