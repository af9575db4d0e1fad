"""Implementation of `preprocess`: one visit, records, schedulers and the derivatives dataset."""
