"""The places that events are sent to: one protocol, one module per kind, one list of kinds."""
