"""How a new version takes over: a service's specification and an artifact become steps and checks. Nothing here acts."""
