"""cli: the command line, one thin file per stage.

Each sub-command parses its options and calls the Python function of the same name in its stage. Errors of
the user's input end in one line and exit status 2, Ctrl-C in 130. Heavy imports stay inside the commands.
"""
