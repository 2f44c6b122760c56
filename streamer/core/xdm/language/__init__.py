"""The language of a mapping's sources: a part of Adobe's Data Prep, read once to closures.

Read `tokens`, then `expression`, which makes a function of the event's scope of
what it reads. `paths` and `values` say what looking up and comparing mean,
`operators` and `functions` what can be done; `safe_regex` judges patterns before
they meet a stranger's text, and `names` says what is meant by a name that there
is not.

It knows what an event's document looks like and nothing of Experience
Platform's schemas, of rules or of mapping files: those are made of it.
"""
