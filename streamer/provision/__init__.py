"""What has to exist at both ends before events flow, and what can be asked of it afterwards.

At Customer.io that is a reporting webhook (`webhooks`, by way of `app_api`). In
Adobe it is a schema, a dataset, and a dataflow that leads into it: `aep_plan`
says which, `aep_step` how each is looked up and made, and `aep_registry`,
`aep_catalog` and `aep_flows` what one is; `aep_platform` makes the calls.
`aep_batches` reads what Adobe dropped later.

Two laws hold for both. Nothing is remembered: what exists is found again at its
owner, by its URL or name, so whatever was stopped goes on by being run again.
And a call of which nobody knows whether it was carried out is followed by a
look, never by a second call of its kind.

It asks nobody, prints nothing, and writes no configuration and no database: the
commands do that. Of them it knows the names alone, for the hints of its errors.
"""
