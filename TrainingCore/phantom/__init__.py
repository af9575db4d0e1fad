"""The simulated patient: anatomy, lesions, MRI contrasts and PiB PET of people who do not exist.

All output is simulated. Research use only, not for diagnosis.
"""
