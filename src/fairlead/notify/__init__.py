"""Who is told what: messages are written down first, and delivered when their receiver says so."""
