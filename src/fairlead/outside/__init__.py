"""The only folder that touches the world: files, processes, network, clock, environment."""
