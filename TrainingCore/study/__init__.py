"""Studies: whole cohorts as BIDS derivatives, group table, associations, and comparison of visits."""
