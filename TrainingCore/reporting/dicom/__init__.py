"""Results as DICOM, for a picture archive: parametric map, segmentation and structured report, and sending them.

These files carry the identity of the patient, which they copy from the series that they are derived from; nothing else
that MyelinSynth writes does. They need the package highdicom, the extra `dicom`, which is imported only when asked for.
"""
