"""From what is wanted and what is there now to a plan. Looks at the world, changes nothing on any target."""
