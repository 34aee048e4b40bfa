"""How a new version takes over: specification and artifact become steps and checks. Nothing here acts."""
