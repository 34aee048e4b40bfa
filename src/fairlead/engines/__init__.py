"""What Fairlead can do with a database, one file for each engine."""
