"""Code that observes: clock, memory, machine."""
