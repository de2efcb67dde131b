#!/bin/bash
# A group of three members grows to five and shrinks to two, none of which was there at first, and to
# one; then two that were removed come back. A client goes on all the while. Read it from below: the
# last part is what an operator does.
#
#     examples/membership.sh [PROGRAM]    # target/debug/quorate, unless another is given
set -euo pipefail
program=$(realpath "${1:-$(dirname "$0")/../target/debug/quorate}")
place=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$place"' EXIT
cd "$place"
# Where the members are reached; below the ports that a system hands out by itself.
first_port=$((20000 + RANDOM % 12000))

# The configuration of member $1, who knows those that are named behind.
configure() {
    local id=$1 members="" other
    for other in "${@:2}"; do
        members+="    { id = $other, address = \"127.0.0.1:$((first_port + other))\" },"$'\n'
    done
    printf '%s\n' "group = \"0x5eed\"" "member = $id" "data = \"member-$id\"" \
        "security = \"checksum-only\"" "members = [" "$members]" >"$id.toml"
}

declare -A processes
start() {
    "$program" member --config "$1.toml" 2>"log-$1" &
    processes[$1]=$!
}
stop() {
    kill "${processes[$1]}"
    wait "${processes[$1]}"
}

# Asks again until the first command succeeds, half a minute at most.
await() {
    local end=$((SECONDS + 30))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "not so after half a minute: $*" >&2; return 1; }
    done
}

# What is said of those that can be asked.
status() {
    "$program" tool status --json "$@" 2>/dev/null || true
}
# The directory of the member that leads, of all that run here, once one does.
leader() {
    local directory="" end=$((SECONDS + 30))
    until [[ $directory ]]; do
        ((SECONDS < end)) || { echo "nobody leads" >&2; return 1; }
        directory=$(status member-* | sed -n 's/^{"id":\([0-9]*\),.*"serving":true.*/member-\1/p' |
            head -n 1)
    done
    echo "$directory"
}
# Has the leader do something: `quorate tool $1 DIRECTORY …`. Who leads may change meanwhile.
operate() {
    local code directory unsure=false end=$((SECONDS + 30))
    while ((SECONDS < end)); do
        directory=$(leader)
        code=0
        "$program" tool "$1" "$directory" "${@:2}" --wait 20 2>errors || code=$?
        case $code in
        0) return 0 ;;
        # Refused now: another member leads, or will.
        4) ;;
        # Begun, and the leadership ended: if it is refused next, it is so already.
        5) unsure=true ;;
        *) if "$unsure"; then return 0; else break; fi ;;
        esac
    done
    cat errors >&2
    return 1
}
is_told() {
    status "member-$1" | grep -q '"removed_at":[0-9]'
}
are_level() {
    local told
    told=$(status "$@" | grep -o '"entries":[0-9]*,"digest":"[0-9a-f]*"')
    (($(wc -l <<<"$told") == $# && $(sort -u <<<"$told" | wc -l) == 1))
}

# Three members form a group.
for id in 1 2 3; do
    configure "$id" 1 2 3
    "$program" init --config "$id.toml"
    start "$id"
done
leader

# A client that knows those three, and sends as fast as it is answered, until it is told to stop.
{ until [[ -e stop ]]; do echo "a line"; done; } | "$program" client --config 1.toml >replies &
client=$!

# Two more come: each knows itself and one of the group.
for id in 4 5; do
    configure "$id" 1 "$id"
    "$program" init --join --config "$id.toml"
    start "$id"
    operate add --id "$id" --address "127.0.0.1:$((first_port + id))"
    operate promote --id "$id"
done
"$program" tool members "$(leader)"

# The first three go, one of which leads. Each is told, and disturbs nobody.
for id in 1 2 3; do
    operate remove --id "$id"
    await is_told "$id"
done
"$program" tool members "$(leader)"

# One of the two goes as well. Whoever is left is a group by itself.
operate remove --id 5
await is_told 5
"$program" tool members "$(leader)"

# Two that were removed come back, with new directories of a later incarnation.
for id in 1 2; do
    stop "$id"
    rm -r "member-$id"
    configure "$id" 4 "$id"
    "$program" init --join --incarnation 2 --config "$id.toml"
    start "$id"
    operate add --id "$id" --address "127.0.0.1:$((first_port + id))" --incarnation 2
    operate promote --id "$id"
done
"$program" tool members "$(leader)"

# The client has seen nothing of all that, and the three have all that it was answered.
touch stop
wait "$client"
await are_level member-1 member-2 member-4
entries=$(status member-4 | grep -o '"entries":[0-9]*' | cut -d: -f2)
((entries == $(wc -l <replies))) || { echo "answered $(wc -l <replies), have $entries" >&2; exit 1; }
echo "all $entries lines were answered, once each; members 1, 2 and 4 have them, with equal digests"
