"""The digital patient: anatomy, lesions, MRI contrasts and PiB PET of people who do not exist.

Everything made here is simulated. Research use only, not for diagnosis.
"""
