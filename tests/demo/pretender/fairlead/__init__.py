"""Stands in for the product in tests of the demo itself."""
