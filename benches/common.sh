# What the scripts of this directory share. To be sourced; $here is the directory.

# Ends with a message and the code of wrong use.
fail() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

# Prints the comment at the head of the script, and ends.
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
        echo "$(basename "$0"): the benches do not build" >&2
        return 1
    fi
    program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log" | tail -1)
    rm -f "$log"
    case $program in
    /*) echo "$program" ;;
    *) echo "$1/$program" ;;
    esac
}

# The names of the operations of program $1 that match the extended regular expression $2, each with its number of times
# behind a tab.
operations() {
    "$1" --ops | awk -F '\t' -v wanted="$2" '$1 ~ wanted'
}

# The instructions that `program --op NAME TIMES` runs, all of them.
instructions_of_run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" --op "$2" "$3" 2>&1 >/dev/null |
        sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p'
}

# Prints NAME, a tab, and the instructions of one operation of program $1: the difference between 2 N and N of them.
instructions_of_op() {
    local once twice
    once=$(instructions_of_run "$1" "$2" "$3")
    twice=$(instructions_of_run "$1" "$2" $((2 * $3)))
    [ -n "$once" ] && [ -n "$twice" ] || { echo "$(basename "$0"): $2 fails under valgrind" >&2; return 1; }
    printf '%s\t%d\n' "$2" $(((twice - once) / $3))
}

# The same for all operations that match $2, on all processors: other work does not change these counts.
instructions_of_all() {
    export -f instructions_of_run instructions_of_op
    operations "$1" "$2" |
        tr '\t' '\n' | tr '\n' '\0' |
        xargs -0 -n 2 -P "$(nproc)" bash -c 'instructions_of_op "$0" "$1" "$2"' "$1" |
        sort
}
