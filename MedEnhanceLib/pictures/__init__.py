"""Pictures of results: slices in the patient's orientation, coloured and laid out on a sheet.

Drawn with numpy and Pillow, which is imported when the first sheet is made.
"""
