# Unpacks Debian packages without installing them and without root. For the scripts tests/servers and tests/tools, which
# source it (`. tests/debian.sh`) after they set $work, an absolute path of a directory for package lists and downloads.
#
# The packages come from the mirror in this machine's apt sources, and apt checks their signatures with this machine's
# archive keys. Needs apt and dpkg-deb.
# shellcheck shell=sh disable=SC2154 # the caller sets $work

# Prints the archive addresses in this machine's apt sources.
archives() {
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*//p' | tr ' ' '\n'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
            sed -n 's/^deb[[:space:]]\{1,\}\(\[[^]]*\][[:space:]]*\)\{0,1\}\([^[:space:]]*\).*/\2/p'
    } | sed 's|/*$||' | awk '!seen[$0]++'
}

# Prints the suites from which packages of suite $1 come: what experimental lacks comes from sid.
suites() {
    case $1 in experimental) echo experimental sid ;; *) echo "$1" ;; esac
}

# Prints the sources for suite $1 in the archive at $2, and for the security updates in the archive at $3 if it is given.
sources() {
    stanza='Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n'
    # shellcheck disable=SC2059 # the format is the line above
    printf "$stanza" "$2" "$(suites "$1")" "$work/keys.gpg"
    # shellcheck disable=SC2059
    [ -z "${3:-}" ] || printf "$stanza" "$3" "$1-security" "$work/keys.gpg"
}

# Prints every archive key of this machine as one keyring: a newer suite may be signed with a key from a file of its own.
keyring() {
    cat /usr/share/keyrings/debian-archive-*.gpg /etc/apt/trusted.gpg.d/debian-archive-*.gpg 2>/dev/null
}

# Runs apt-get or apt-cache for one suite, in a root of its own: `apt SUITE get|cache ARGS...`.
apt() {
    root=$work/$1
    tool=apt-$2
    release=$1
    shift 2
    # Without its name, apt prefers any other suite to experimental.
    [ "$release" = experimental ] || release=
    # Accepts a frozen mirror (Check-Valid-Until); signatures are still checked.
    "$tool" -o Dir::Etc::sourcelist="$root/suite.sources" -o Dir::Etc::sourceparts="$root/none" \
        -o Dir::Etc::preferences="$root/none" -o Dir::Etc::preferencesparts="$root/none" \
        -o Dir::State="$root" -o Dir::State::lists="$root/lists" -o Dir::State::status="$root/status" \
        -o Dir::Cache="$root/cache" -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o APT::Default-Release="$release" -o APT::Sandbox::User="$(id -un)" "$@"
}

# Fetches a suite's package lists from the first archive that has them, and its security updates if it has any. Keeps lists
# from the last hour.
update() {
    root=$work/$1
    updated=$root/updated-${REDTAIL_SERVERS_UPDATES:-yes}
    [ -z "$(find "$updated" -mmin -60 2>/dev/null)" ] || return 0
    rm -f "$root"/updated*
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/none" && : >"$root/status"
    keyring >"$work/keys.gpg"
    : >"$root/log"
    security=$(archives | grep '/debian-security$' | head -n 1)
    [ "${REDTAIL_SERVERS_UPDATES:-yes}" = yes ] && case $1 in sid | experimental) false ;; esac || security=
    for updates in ${security:+"$security"} ""; do
        for mirror in $(archives | grep '/debian$'); do
            sources "$1" "$mirror" "$updates" >"$root/suite.sources"
            apt "$1" get -q --error-on=any update >>"$root/log" 2>&1 && touch "$updated" && return 0
        done
    done
    [ -s "$root/log" ] || echo "this machine's apt sources name no Debian archive" >"$root/log"
    return 1
}

# Prints packages of a suite and the libraries that they need, recursively, on one line: `closure SUITE PACKAGE...`.
# Leaves out the libraries that the caller names in $provided.
closure() {
    suite=$1
    shift
    found=$*
    while [ $# -gt 0 ]; do
        # shellcheck disable=SC2046 # one word per package
        set -- $(apt "$suite" cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
            --no-enhances "$@" 2>/dev/null |
            sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \(\(lib\|lua-\|zlib\)[^: ]*\).*/\2/p' |
            awk -v found="$found ${provided:-}" 'BEGIN { split(found, known, " "); for (i in known) seen[known[i]] }
                !/^libjs-/ && !($0 in seen) { seen[$0]; print }')
        found="$found $*"
    done
    echo "$found"
}

# Unpacks the packages and the libraries that they need into DIRECTORY/root: `unpack_packages SUITE DIRECTORY PACKAGE...`.
# Writes the first package's name, version and suite to DIRECTORY/package. On failure prints the reason.
unpack_packages() {
    suite=$1 into=$2
    shift 2
    update "$suite" || { tail -n 1 "$work/$suite/log"; return 1; }
    rm -rf "$into" && mkdir -p "$into/root" "$into/debs" || return 1
    # shellcheck disable=SC2046 # one word per package
    (cd "$into/debs" && apt "$suite" get -q download $(closure "$suite" "$@")) >"$into/log" 2>&1 || { tail -n 1 "$into/log"; return 1; }
    dpkg-deb -f "$into/debs/$1_"*.deb Package Version | sed 's/^[^:]*: //' | tr '\n' ' ' >"$into/package"
    echo "(Debian $suite)" >>"$into/package"
    for deb in "$into"/debs/*.deb; do
        dpkg-deb -x "$deb" "$into/root" 2>"$into/log" || { tail -n 1 "$into/log"; return 1; }
    done
    rm -r "$into/debs"
}

# Prints the directories of DIRECTORY/root that hold shared libraries, relative to DIRECTORY, separated by colons.
library_path() {
    (cd "$1" && find root/lib root/usr/lib -path '*-linux-gnu*' -name '*.so*' 2>/dev/null) | sed 's|/[^/]*$||' | sort -u |
        tr '\n' ':' | sed 's/:$//'
}
