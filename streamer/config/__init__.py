"""The configuration: one frozen value, checked whole before anything starts.

Read `model` for what can be set, `load` for where it comes from, `walk` for
how it is checked and `rules` for what settings demand of each other. Secrets
are read apart, by `secrets`, and never become part of the value.
"""
