"""The command line: results on stdout, everything else on stderr.

Exit codes: 0 done, 1 the request failed, 2 wrong usage, 130 interrupted.
"""
