"""How good the lesion finder is; see __main__."""
