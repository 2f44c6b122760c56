"""The configuration file that ``streamer init`` writes.

Every setting stands in it: those that matter on the first day are set, the
rest are commented out with their default. ``#`` and a blank begin a sentence,
``#`` alone a setting; a test takes these marks away and loads the result.
"""

from __future__ import annotations

import json
from pathlib import Path

from streamer.config.generated import SIGNING_KEY_FILE


def render(data_dir: Path) -> str:
    """Return the file's text for a data directory."""
    return (
        _TEMPLATE.replace("@data_dir@", _quoted(data_dir))
        .replace("@signing_key@", _quoted(data_dir / SIGNING_KEY_FILE))
        .replace("@archive@", _quoted(data_dir / "archive"))
    )


def _quoted(path: Path) -> str:
    """Write a path as a TOML text; what JSON escapes, TOML escapes alike."""
    return json.dumps(str(path), ensure_ascii=False).replace("\x7f", "\\u007f")


_TEMPLATE = """\
# The configuration of streamer. `streamer check` reports everything that is wrong with it.
# A line that begins with `#` and a letter or bracket is a setting at its default, or an example.
# All settings with their bounds: docs/configuration.md.

# The database, and what streamer makes up itself, live here. Back it up with `streamer db backup`.
data_dir = @data_dir@

# The listener that Customer.io calls, through your TLS proxy. A systemd socket wins over `bind`.
[server]
bind = "127.0.0.1:8080"             # or "unix:/run/streamer/ingest.sock"
#engine = "hypercorn"               # or "uvicorn", faster; needs the extra `uvicorn`
#processes = 1                      # that take calls: no more than cores
#deadline_seconds = 3.0             # Customer.io hangs up after 4
#lame_duck_seconds = 2.0
#graceful_seconds = 20.0

# Metrics and the admin API, for operators only.
[admin]
bind = "127.0.0.1:8081"
#token = { credential = "admin-token" }   # left out: made up, in the data directory
#allowed_hosts = []

[outbox]
retention_days = 14                 # at least 8: Customer.io repeats calls for seven days
#body_max_bytes = 8_388_608
#queue_events_max = 10_000
#queue_bytes_max = 67_108_864
#ingest_floor_bytes = 536_870_912   # less free disk than this: calls are answered 503
#drain_floor_bytes = 67_108_864     # less than this: draining stops too
#quarantine_bytes_max = 1_073_741_824
#wal_alarm_bytes = 268_435_456
#allow_unsafe_sqlite = false

[log]
level = "info"
#format = "auto"                    # "json" for machines, "console" for people

# A Customer.io reporting webhook: have it call https://YOUR-HOST/webhooks/customerio
[sources.customerio]
kind = "customerio"
# The signing key from the webhook's page in Customer.io goes into this file. Under systemd:
# { credential = "customerio-signing-key" }. Write two keys while one is being changed.
signing_keys = [{ file = @signing_key@ }]
#on_bad_signature = "503"           # "401" costs an hour of waiting when the key was just changed
#age_warn_seconds = 300
#age_limit_seconds = 691_200        # left out: signed calls are taken at any age
# Only for `streamer customerio …`, which sets the webhook up and writes these by itself.
#app_api_key = { credential = "customerio-app-api-key" }
#app_api_url = "https://api.customer.io"                   # EU: https://api-eu.customer.io

# Every event, one per line, in files that are rotated.
[destinations.archive]
kind = "file"
directory = @archive@
#segment_bytes_max = 134_217_728
#segment_seconds_max = 86_400
#compress = "none"                  # "gzip" or "zstd" for closed segments
#batch_events_max = 1_000

# CloudEvents to an HTTP endpoint. The settings from `include` on fit every kind of destination.
#[destinations.hook]
#kind = "http"
#url = "https://example.com/events"
#signing_key = { credential = "hook-key" }       # Standard Webhooks
#bearer_token = { env = "HOOK_TOKEN" }
#headers = { X-Tenant = "example" }              # nothing secret
#mode = "batch"                                  # "single": one event per request
#connect_timeout_seconds = 5.0
#timeout_seconds = 30.0
#ca_file = "ca.pem"
#include = ["email.*", "customer.unsubscribed"]  # left out: everything
#exclude = ["email.drafted"]                     # wins over `include`
#privacy = { hash = ["identifiers.email"], drop = ["content"] }
#start = "earliest"                              # or "now", or 2026-11-01T00:00:00Z
#batch_events_max = 100
#batch_bytes_max = 1_048_576
#linger_ms = 0                                   # wait this long for a fuller batch
#rate_per_second = 0.0                           # 0: as fast as it takes them
#lanes = 1                                       # above 1, order holds per person only
#backoff_base_seconds = 1.0
#backoff_max_seconds = 300.0

# Adobe Experience Platform. `streamer aep setup` makes what this names, and writes it here.
#[destinations.lake]
#kind = "aep"
#inlet_url = "https://dcs.adobedc.net/collection/0123abcd"
#flow_id = "0d5e3c1a-7f3b-4b5e-9d3a-2f6f0a1b2c3d"
#ims_org_id = "0123456789ABCDEF01234567@AdobeOrg"
#sandbox = "prod"
#tenant = "example"                              # without the underscore in front
#dataset_id = "0123456789abcdef01234567"
#schema_id = "https://ns.adobe.com/example/schemas/0123abcd"
#client_id = "0123456789abcdef"                  # left out: an inlet without authentication
#client_secret = { credential = "aep-client-secret" }
#mode = "xdm"                                    # "raw": the body, mapped by the flow in Adobe
#produces = "events"                             # "consent": consent of profiles, elsewhere
#mapping = "mapping.toml"                        # layered over the built-in mapping
#identities = [{ namespace = "CustomerId", source = "data.identifiers.id" }]
#require_identity = false
#topics = { topic_1 = "news" }                   # for consent
#email_details = true
#journey_optimizer = false
#soft_bounces = false
#dismiss_actions = ["dismiss"]
#keep_raw = false
#entity_bytes_max = 10_000                       # Profile drops what is larger
#request_bytes_max = 900_000
#batch_events_max = 500
#timeout_seconds = 60.0
#schema_content_type = "application/vnd.adobe.xed-full+json;version=1"
#scopes = "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
#ims_url = "https://ims-na1.adobelogin.com"
#platform_url = "https://platform.adobe.io"

# Events on standard output, to see what passes.
#[destinations.screen]
#kind = "stdout"
"""
