"""What people see. Surfaces call `app`, render its answers, and know nothing of each other."""
