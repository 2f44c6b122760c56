"""The configuration and the key files that a set-up needs: found, or made where they are missing.

What is there already is never replaced but by a key that somebody gives.
"""

from __future__ import annotations

import os
from pathlib import Path

from streamer.cli import common, console, customerio_keys
from streamer.cli.init import DATA_DIRECTORY, FILE_NAME, write_file
from streamer.cli.known import choose_source
from streamer.config.edit import set_table
from streamer.config.generated import SIGNING_KEY_FILE
from streamer.config.keeping import keep_secret
from streamer.config.load import Loaded
from streamer.config.template import render
from streamer.config.toml_file import MissingFileError
from streamer.core.errors import UsageError
from streamer.destinations.common_options import Secret

APP_API_KEY_FILE = "app-api-key"


def configuration(file: Path | None, source: str | None) -> tuple[Loaded, str]:
    """Return the configuration and the source in it; what is missing of them is written."""
    loaded = _loaded(file)
    if source is not None and source not in loaded.config.sources:
        assert loaded.path is not None
        key_file = loaded.config.database_path.with_name(f"{source}-{SIGNING_KEY_FILE}")
        values = {"kind": "customerio", "signing_keys": [{"file": str(key_file)}]}
        set_table(loaded.path, ("sources", source), values)
        console.print_text([f"Added the source {source} to {loaded.path}."])
        loaded = common.load_config(loaded.path)
    return loaded, choose_source(loaded.config, source)


def _loaded(file: Path | None) -> Loaded:
    try:
        loaded = common.load_config(file)
        path = loaded.path or Path.cwd() / FILE_NAME
    except MissingFileError as error:
        if error.path is None:
            raise
        loaded, path = None, error.path
    if loaded is not None and loaded.path is not None:
        return loaded
    write_file(path, render(path.parent / DATA_DIRECTORY), replace=False)
    console.print_text([f"Wrote {path}."])
    return common.load_config(path)


def keep_app_api_key(
    loaded: Loaded, source: str, key: str, *, key_file: Path | None, api_url: str
) -> Loaded:
    """Let the configuration have the key, which has just proved good, and its region."""
    options = loaded.config.sources[source]
    assert loaded.path is not None
    values: dict[str, object] = {}
    if api_url != options.app_api_url:
        values["app_api_url"] = api_url
    if options.app_api_key is None:
        values["app_api_key"] = _kept(loaded, source, key, key_file)
    elif customerio_keys.configured(options.app_api_key, os.environ) is None:
        path = customerio_keys.place_of(options.app_api_key, os.environ)
        if path is None:
            console.say([f"sources.{source}.app_api_key cannot be read here: kept as it is"])
        else:
            keep_secret(path, key)
    if set_table(loaded.path, ("sources", source), values):
        console.print_text([f"Wrote {' and '.join(values)} of the source to {loaded.path}."])
    return common.load_config(loaded.path)


def _kept(loaded: Loaded, source: str, key: str, key_file: Path | None) -> dict[str, str]:
    """Keep the key beside the signing key, unless it is in a file already; return where it is."""
    if key_file is not None:
        return {"file": str(key_file.absolute())}
    credential = loaded.config.sources[source].signing_keys[0].credential
    if credential is not None:
        secret = Secret(credential=f"{source}-{APP_API_KEY_FILE}")
        path = customerio_keys.place_of(secret, os.environ)
        if path is not None:
            keep_secret(path, key)
            console.print_text(
                ["The service is given the App API key when it is restarted, not by a reload."]
            )
            return {"credential": path.name}
    path = loaded.config.database_path.with_name(f"{source}-{APP_API_KEY_FILE}")
    keep_secret(path, key)
    return {"file": str(path)}


def signing_key(loaded: Loaded, source: str, *, key_file: Path | None) -> Path | None:
    """Have the signing key where the configuration looks for it; return the file if it is new.

    Raises:
        UsageError: there is none, and nobody to ask; or it has to be kept elsewhere.
    """
    secret = loaded.config.sources[source].signing_keys[0]
    present = customerio_keys.configured(secret, os.environ)
    path = customerio_keys.place_of(secret, os.environ)
    variable = customerio_keys.SIGNING_KEY_VARIABLE
    question = "Signing key" if present is None else "Signing key (Enter keeps the one there is)"
    given = customerio_keys.given(key_file, variable, os.environ)
    given = given or customerio_keys.prompt(question)
    if given is None and present is None:
        raise UsageError(
            "there is no signing key, and nobody to ask for it",
            hint=f"Say --signing-key-file FILE, or set ${variable}, and run the command again: it "
            "goes on from here.",
        )
    if given is None or given == present:
        return None
    if path is None:
        raise UsageError(
            f"signing_keys of {source} point at a place that this command cannot write to",
            hint="Put the key there yourself. As root: CREDENTIALS_DIRECTORY="
            "/etc/streamer/credentials streamer customerio setup …",
        )
    keep_secret(path, given)
    console.print_text([f"Wrote the signing key to {path}."])
    return path
