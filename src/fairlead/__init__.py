"""Fairlead takes a release of many services and databases onto ordinary servers, and back again."""

__version__ = "0.1.0"
