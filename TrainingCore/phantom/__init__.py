"""The digital patient: anatomy, lesions, MRI contrasts, PET. Everything made here is simulated."""
