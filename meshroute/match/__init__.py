"""Patterns to predicates: which virtual host an authority finds, which route a request meets."""
