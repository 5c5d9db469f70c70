# shellcheck shell=sh
# What the scripts here share. They set `root` to the source directory first.

# Prints the version in Cargo.toml.
version() {
    # shellcheck disable=SC2154 # see above
    sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1
}

# Writes the manual pages and the completions that the program $1 prints about itself to $2/man1 and $2/completions.
describe() {
    rm -rf "$2" && mkdir -p "$2/completions"
    "$1" man --dir "$2/man1"
    "$1" completions bash >"$2/completions/redtail"
    "$1" completions zsh >"$2/completions/_redtail"
    "$1" completions fish >"$2/completions/redtail.fish"
}
