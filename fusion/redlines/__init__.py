"""How long a rule holds and for whom, the life of an alert, and its words."""
