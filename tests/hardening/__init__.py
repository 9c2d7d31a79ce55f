"""Attacks and damage of whole kinds: text, pictures, addresses, servers, databases, workers.

A fast slice runs with every test run, the whole corpus is marked long.
"""
