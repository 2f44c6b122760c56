"""The mapping: one event in, one entity in Adobe's Experience Data Model (XDM) out.

It is a pure function, so that a repeat of an event is byte for byte the same
entity, with the same ``_id``, and Adobe can drop it. Three kinds of modules:

- What there is: `fields`, `tenant_group` and `kinds` say which paths a schema
  has and what fits there; `settings` and `rule` what an operator can say.
- What is to be said: `builtin` and `consent` make the rules that come with the
  program, `mapping_file` reads an operator's, and `language` is what both are
  written in. Rules are data, and a later one for a path replaces an earlier.
- What is done: `plan` makes the rules of one type of event ready, `mapper`
  applies them, `identities` says who the event is about, `shedding` leaves out
  what is too large, and `trace` tells which rule wrote what.

It must not know how an entity is sent. No value of an event goes into an error.
"""
