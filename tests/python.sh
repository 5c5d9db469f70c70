# Runs pip without installing anything on this machine. For the scripts tests/servers and tests/tools, which source it
# (`. tests/python.sh`). Packages come from the registry that pip is configured for.
#
# Needs python3 (3.11 or later) with venv or pip.
# shellcheck shell=sh

# Makes the virtual environment DIRECTORY, with a pip of its own if this machine's venv brings one. On failure prints the
# reason.
make_venv() {
    rm -rf "$1"
    python3 -m venv "$1" >/dev/null 2>&1 && return 0
    rm -rf "$1"
    python3 -m venv --without-pip "$1" 2>&1 | tail -n 1
    [ -x "$1/bin/python" ]
}

# Runs the pip of the virtual environment DIRECTORY, or else this machine's: `pip DIRECTORY COMMAND ARGS...`.
pip() {
    venv=$1
    shift
    if [ -x "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip "$@"
    else
        python3 -m pip --python "$venv/bin/python" "$@"
    fi
}
