# Packing is the real application's business.
