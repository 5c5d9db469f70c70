# Functions that the scripts of this directory share. Source this file; $here is the directory.

# Prints a message and exits with the code for wrong use.
fail() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

# Prints the comment at the head of the script and exits.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$here/$(basename "$0")"
    exit 0
}

# Builds the micro benches of the checkout in directory $1 and prints the program's path. The build's own output goes to
# stderr.
build_micro() {
    local log program
    log=$(mktemp)
    if ! (cd "$1" && cargo bench --bench micro --no-run) 2>&1 | tee "$log" >&2; then
        rm -f "$log"
        echo "$(basename "$0"): the benches failed to build" >&2
        return 1
    fi
    program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log" | tail -1)
    rm -f "$log"
    case $program in
    /*) echo "$program" ;;
    *) echo "$1/$program" ;;
    esac
}

# Prints the names of program $1's operations that match the extended regular expression $2, each followed by a tab and its
# number of runs.
operations() {
    "$1" --ops | awk -F '\t' -v wanted="$2" '$1 ~ wanted'
}

# Prints the number of instructions that `program --op NAME TIMES` executes in all.
instructions_of_run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" --op "$2" "$3" 2>&1 >/dev/null |
        sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p'
}

# Prints NAME, a tab, and the instructions of one operation of program $1: the difference between 2 N and N runs, divided by N.
instructions_of_op() {
    local once twice
    once=$(instructions_of_run "$1" "$2" "$3")
    twice=$(instructions_of_run "$1" "$2" $((2 * $3)))
    [ -n "$once" ] && [ -n "$twice" ] || { echo "$(basename "$0"): $2 fails under valgrind" >&2; return 1; }
    printf '%s\t%d\n' "$2" $(((twice - once) / $3))
}

# Does the same for all operations that match $2, on all processors: other work does not change these counts.
instructions_of_all() {
    export -f instructions_of_run instructions_of_op
    operations "$1" "$2" |
        tr '\t' '\n' | tr '\n' '\0' |
        xargs -0 -n 2 -P "$(nproc)" bash -c 'instructions_of_op "$0" "$1" "$2"' "$1" |
        sort
}
