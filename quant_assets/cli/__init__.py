"""The command line: thin verbs over the library and the jobs. Exit codes come from `errors.py`."""
