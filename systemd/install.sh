#!/bin/sh
# Installs streamer as a systemd service, upgrades it, or removes it and keeps its data.
#
# A release is a virtual environment in /opt/streamer-releases, built completely before anything
# that runs is touched; /opt/streamer is a link to the one in use, replaced in one step. Running
# it again with nothing new changes nothing but the release. Settings, secrets and data are made
# when missing and never overwritten.

set -eu

usage() {
    cat <<'END'
usage: install.sh [--uninstall] [--python FILE] [--extras] [--root DIRECTORY] [--skip-check]
                  [--dry-run]

  --uninstall       remove program and units; keep settings, secrets, data and the user
  --python FILE     the Python 3.11, 3.12 or 3.13 to use (default: the first one in /usr/bin)
  --extras          with the packages that some settings need: engine = "uvicorn",
                    compress = "zstd"; to be given at each upgrade as well
  --root DIRECTORY  install into this tree instead of the running system: start nothing
  --skip-check      upgrade even if the new release objects to the present configuration
  --dry-run         say what would be done, and do nothing

pip is told where to find packages by its own settings, such as PIP_FIND_LINKS and PIP_NO_INDEX.
END
}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '            %s\n' "$line" >&2; done
    exit 1
}

# Everything that changes anything goes through here.
run() {
    if [ "$dry_run" = yes ]; then
        say "would run: $*"
    else
        "$@"
    fi
}

# ------------------------------------------------------------------------------------- install

install_streamer() {
    [ -f "$source/requirements/$lock" ] || fail "$source has no requirements/$lock." \
        "Run install.sh from inside an unpacked release of streamer."
    find_python
    say "Installing streamer from $source with $("$python" -V)"
    build_release
    make_user
    make_settings
    check_release
    switch_release
    [ "$dry_run" = yes ] || say "Installed in $root$program."
    [ -n "$root" ] || start_or_explain
}

find_python() {
    if [ -z "$python" ]; then
        for candidate in python3.13 python3.12 python3.11 python3; do
            if supported "/usr/bin/$candidate"; then
                python=/usr/bin/$candidate
                break
            fi
        done
        [ -n "$python" ] || fail "There is no Python 3.11, 3.12 or 3.13 in /usr/bin." \
            "Install one (apt-get install python3 python3-venv), or name one: --python FILE."
    fi
    supported "$python" || fail "$python is not Python 3.11, 3.12 or 3.13."
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments." \
        "On Debian: apt-get install python3-venv"
    # The unit's ProtectHome= hides these from the service, whatever their permissions.
    case $("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix) + "/")') in
        /home/* | ~root/* | /run/user/*)
            fail "$python lives in a home directory, where the service cannot see it." \
                "Use the system's Python, or one below /opt or /usr/local." ;;
    esac
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

build_release() {
    if [ "$dry_run" = no ]; then
        # Until the release is complete and in use, any failure takes it away again.
        trap 'rm -rf "$root$release"' EXIT
        # So that a Ctrl-C runs the line above.
        trap 'exit 130' INT TERM HUP
    fi
    run mkdir -p "$root$releases"
    run "$python" -m venv "$root$release"
    pip="$root$release/bin/python -m pip --disable-pip-version-check --no-input --quiet install"
    # Wheels with known hashes only: nothing is compiled, nothing is run in order to be installed.
    # shellcheck disable=SC2086 # words are meant; $root and $release have no blanks, see below
    run $pip --require-hashes --no-deps --only-binary :all: -r "$source/requirements/$lock"
    # The lock has the build backend, so that building needs nothing from elsewhere either.
    # shellcheck disable=SC2086
    run $pip --no-deps --no-build-isolation --no-index "$source"
    # Each release brings its units along, so that going back takes the old ones too.
    run mkdir -p "$root$release/share/doc"
    run cp -R "$source/systemd" "$root$release/share/systemd"
    run cp -R "$source/docs" "$root$release/share/doc/streamer"
    # In a tree of its own the scripts' first lines must name the path they will be run at.
    if [ -n "$root" ] && [ "$dry_run" = no ]; then
        find "$root$release/bin" -type f -exec sed -i "1s|^#!$root/|#!/|" {} +
    fi
}

make_user() {
    run install -D -m 644 "$source/systemd/streamer.sysusers.conf" "$root$sysusers"
    # A tree without accounts gets its own at its first boot.
    if [ -z "$root" ]; then
        run systemd-sysusers streamer.conf
    elif [ -w "$root/etc/passwd" ] && [ "$(id -u)" = 0 ]; then
        run systemd-sysusers --root="$root" streamer.conf
    fi
}

make_settings() {
    run install -d -m 755 "$root/etc/streamer"
    # Read by the service manager alone, which hands the contents to the service.
    run install -d -m 700 "$root/etc/streamer/credentials"
    if [ -e "$root$settings" ]; then
        say "Kept $root$settings."
        return
    fi
    run install -m 644 "$source/systemd/streamer.toml" "$root$settings"
    # By number, because in a tree the name belongs to somebody else or to nobody yet.
    group=$(sed -n 's/^streamer:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/group" 2>/dev/null || :)
    if [ -n "$group" ] && [ "$(id -u)" = 0 ]; then
        run chgrp "$group" "$root$settings"
        run chmod 640 "$root$settings"
    fi
}

# An upgrade must not put down a service that was running well: what the new release says of the
# configuration is asked before it gets anywhere near it.
check_release() {
    if [ -n "$root" ] || [ "$skip_check" = yes ] || ! [ -e "$program" ]; then return; fi
    # The running service's secrets, decrypted and all, or else those it would get.
    secrets=/run/credentials/streamer.service
    [ -d "$secrets" ] || secrets=/etc/streamer/credentials
    run env CREDENTIALS_DIRECTORY="$secrets" "$release/bin/streamer" check --config "$settings" ||
        fail "The new release objects to $settings; the present one stays in use." \
            "If that is for secrets put in place since the last restart: --skip-check"
}

switch_release() {
    previous=$(readlink "$root$program" || :)
    point_to "${release#/opt/}"
    # From here on the release is in use: a failure must not take it away.
    trap - EXIT
    run mkdir -p "$root/usr/local/bin"
    run ln -sfn "$program/bin/streamer" "$root/usr/local/bin/streamer"
    socket_changed=no
    cmp -s "$source/systemd/streamer.socket" "$root$units/streamer.socket" || socket_changed=yes
    install_units
    if [ "$dry_run" = no ]; then forget_all_but "$release" "/opt/$previous"; fi
}

# Copies, not links: the service manager reads them before /opt may be there.
install_units() {
    for unit in streamer.socket streamer.service; do
        run install -D -m 644 "$root$program/share/systemd/$unit" "$root$units/$unit"
    done
    [ -n "$root" ] || run systemctl daemon-reload
}

# A rename replaces the link in one step: there is no moment without a program.
point_to() {
    run ln -sfn "$1" "$root$program.new"
    run mv -T "$root$program.new" "$root$program"
}

forget_all_but() {
    for old in "$root$releases"/*; do
        if [ "$old" != "$root$1" ] && [ "$old" != "$root$2" ]; then rm -rf "$old"; fi
    done
}

start_or_explain() {
    case $(systemctl is-active streamer.service 2>/dev/null || :) in
        active | activating | reloading | failed) restart ;;
        *) if [ -n "$previous" ]; then
               say "The service was stopped and stays so: systemctl start streamer.service"
           else
               next_steps
           fi ;;
    esac
}

# The socket unit is left running, so that connections wait instead of being refused.
restart() {
    say "Restarting the service; its socket stays open."
    if ! start_again; then
        say "The new release does not start:" >&2
        journalctl --unit streamer.service --lines 20 --no-pager >&2 || :
        [ -n "$previous" ] || exit 1
        go_back
    fi
    if [ "$socket_changed" = yes ]; then
        say "The socket unit has changed. When a moment of refused connections does no harm:"
        say "  systemctl restart streamer.socket streamer.service"
    fi
}

start_again() {
    # A service that failed too often is not started before its failures are forgotten.
    run systemctl reset-failed streamer.socket streamer.service || :
    run systemctl restart streamer.service
}

go_back() {
    point_to "$previous"
    install_units
    start_again || fail "Went back to $previous, which does not start either."
    fail "Went back to $previous, which runs."
}

next_steps() {
    cat <<END

What is left to do (docs/install.md has more):

1. Put Customer.io's signing key into place, then delete it from the clipboard:
     install -m 600 /dev/stdin /etc/streamer/credentials/customerio-signing-key
   Paste the key, press Enter, then Ctrl-D.
2. Look through $settings and check it:
     CREDENTIALS_DIRECTORY=/etc/streamer/credentials streamer check --config $settings
3. Start the service, now and after each boot:
     systemctl enable --now streamer.socket streamer.service
4. Put Caddy or nginx in front of it, for TLS: systemd/Caddyfile, systemd/nginx-streamer.conf
END
}

# ----------------------------------------------------------------------------------- uninstall

uninstall_streamer() {
    if [ -z "$root" ]; then
        run systemctl --quiet disable --now streamer.socket streamer.service || :
    fi
    run rm -f "$root$units/streamer.socket" "$root$units/streamer.service" "$root$sysusers"
    run rm -f "$root/usr/local/bin/streamer" "$root$program"
    run rm -rf "$root$releases"
    [ -n "$root" ] || run systemctl daemon-reload
    cat <<'END'
Removed. Kept, because only you can know that they are not needed any more:
  /var/lib/streamer   the events, delivered or not
  /etc/streamer       settings and secrets
  /etc/systemd/system/streamer.service.d, …socket.d   your drop-ins, if there are any
  the user streamer, who owns the data
END
}

# ---------------------------------------------------------------------------------------- main

action=install_streamer
dry_run=no
skip_check=no
lock=run.lock
python=
root=
while [ $# -gt 0 ]; do
    case $1 in
        --uninstall) action=uninstall_streamer ;;
        --dry-run) dry_run=yes ;;
        --skip-check) skip_check=yes ;;
        --extras) lock=extras.lock ;;
        --python | --root)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            if [ "$1" = --root ]; then root=${2%/}; else python=$2; fi
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

# The service's user must be able to read what is installed, whatever root's own habit.
umask 022
# A Python is installed, not the one of whoever installs it.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV

source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
program=/opt/streamer
releases=/opt/streamer-releases
release=$releases/$(date -u +%Y%m%dT%H%M%SZ)-$$
units=/usr/local/lib/systemd/system
sysusers=/usr/local/lib/sysusers.d/streamer.conf
settings=/etc/streamer/streamer.toml

case $root in
    '' | /*) ;;
    *) fail "--root needs an absolute path, not $root." ;;
esac
case $root in
    *[!A-Za-z0-9/._-]*) fail "--root: only letters, digits and / . _ - can be used, not $root." ;;
esac
if [ -z "$root" ] && [ "$dry_run" = no ]; then
    [ "$(id -u)" = 0 ] || fail "Installing needs root: run it again with sudo." \
        "To see what it would do: install.sh --dry-run"
    [ -d /run/systemd/system ] || fail "This machine was not started by systemd." \
        "To install into another tree: install.sh --root DIRECTORY"
fi
if [ -e "$root$program" ] && ! [ -L "$root$program" ]; then
    fail "$root$program exists and is not a link that install.sh made." \
        "Move it out of the way, then run install.sh again."
fi

$action
