"""From the files of one patient to a prepared patient."""
