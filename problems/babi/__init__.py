"""Stories of bAbI: a small world that is simulated, and what follows from facts."""
