"""From one patient to a study: whole cohorts as BIDS derivatives, their table, and what it is associated with."""
