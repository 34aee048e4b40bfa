"""The embedded estate for `fairlead demo`: real services, real databases, the real commands."""
