"""`preprocess` behind its command: one patient, what is kept of it, the schedulers, the page for people."""
