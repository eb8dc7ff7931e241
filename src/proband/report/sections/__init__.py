"""sections: what the page says, as texts, tables and figures that may leave.

Reads: tables and manifest of a results folder, and of one of realism.
Writes: frozen records of finished text for the template.
Config: whether the data are synthetic.
Next: the template.
Not done here: estimates.
"""
