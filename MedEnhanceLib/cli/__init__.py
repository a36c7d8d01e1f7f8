"""The command line, ``medenhance``: `main` puts the commands together, one file for each."""
