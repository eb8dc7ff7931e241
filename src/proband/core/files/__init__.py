"""files: files and folders written whole, digests, locks, and how a stopped run goes on.

Gives: the one way to write, to say how an output came to be, and to resume.
Next: every stage. Not done here: what the files hold (core.schema, core.text).
"""
