"""figures: inline SVG, drawn from numbers that may leave.

Reads: frames of aggregates, already rounded or merged.
Writes: SVG elements as text: no fonts, no script, coordinates to a tenth of a pixel.
Config: colours of models.
Next: sections set them into the page.
Not done here: what may be shown.
"""
