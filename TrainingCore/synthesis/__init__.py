"""The steps of `synthesize`."""
