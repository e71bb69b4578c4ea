#!/bin/bash
# Measures how soon a cancelled card is refused, on this machine.
#
#   revoke.sh DIR [REVOKED…]    with so many certificates already revoked (10 3000000)
#   revoke.sh DIR nodes         on two read nodes, while logins and status
#                               requests go on there: a histogram for each
#
# Prints one line of JSON for each figure and a summary for people; ends with 1
# where an answer was wrong. CARDS (300) is how many are cancelled, PAUSE (200us)
# what each client waits between an answer and its next question, RATE (500)
# logins and as many status requests a second on each node. What it makes in
# DIR it removes, unless KEEP is set. Three million revoked take some 3 GB and
# minutes to write.
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
cards=${CARDS:-300} rate=${RATE:-500} pause=${PAUSE:-200us}
. "$(dirname "$0")/folder.sh"
people=$((cards + 100))
trap 'finish_all; [[ ${KEEP:-} ]] || rm -rf "$dir"/{few,revoked-*,node-*,nodes*,load,cardinal,pass,*.pid,*.out,*.log}*' EXIT
programs

measure() { # NAME LABEL ARGS…
	local name=$1 label=$2; shift 2
	"$load" revoke --folder "$dir/$name" --operator "$dir/$name.staff/security-0.pem" --cards "$cards" --pause "$pause" --label "$label" "$@"
}

with_revoked() { # NUMBER
	local name=revoked-$1
	folder "$name" "$people"
	"$load" revoked --ledger "sqlite:$dir/$name/ledger.db" --number "$1" --pair "$dir/$name.staff/pair"
	say "$name: serving"
	serve "$name" "$dir/$name"
	await 900 listed "$name"
	say "$name: $cards cards are cancelled"
	measure "$name" "$1 revoked" || result=1
	finish "$name"
	[[ ${KEEP:-} ]] || rm -rf "${dir:?}/$name"
}

# listed: every shard's list was made after the start.
listed() {
	local status; status=$(sed -n 's/.*"status":"\([^"]*\)".*/\1/p' "$dir/$1/ready.json")
	for ca in authentication signing; do
		for shard in {0..15}; do curl -sf -o /dev/null "$status/crl/$ca/$shard.crl" || return 1; done
	done
}

follow() { # NAME: a read node of the installation "nodes"
	"$cardinal" node add "$1" --dir "$dir/nodes" --scope central --out "$dir/$1.enrolled" > /dev/null
	local feed; feed=$(sed -n 's/.*"feed":"\([^"]*\)".*/\1/p' "$dir/nodes/ready.json")
	serve "$1" "$dir/$1" --role read --follow "$feed" --cert "$dir/$1.enrolled/node.cer" --key "$dir/$1.enrolled/node.key" \
		--listen ldap=127.0.0.1:0,ldaps=127.0.0.1:0,status=127.0.0.1:0,operations=127.0.0.1:0
}

address() { # NAME KIND
	sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p" "$dir/$1"/ready*.json
}

busy() { # NAME: logins and status requests at a node, until it ends
	"$load" login --json --url "$(address "$1" ldap)" $(cat "$dir/nodes.people") --connections 8 --seconds 86400 --rate "$rate" > "$dir/$1.logins" 2>&1 &
	started+=($!) loads+=($!)
	"$load" ocsp --json --url "$(address "$1" status)/ocsp" --certificates "$dir/nodes.staff/pair/authentication.pem" --issuer "$dir/nodes/ca/authentication.cer" \
		--connections 8 --seconds 86400 --rate "$rate" > "$dir/$1.ocsp" 2>&1 &
	started+=($!) loads+=($!)
}

with_nodes() {
	folder nodes "$people"
	sed -i 's/^# feed:.*/feed: {listen: "127.0.0.1:0"}/' "$dir/nodes/cardinal.yaml"
	serve nodes "$dir/nodes"
	local all=()
	for name in node-1 node-2; do
		follow "$name"
		all+=(--node "$name=$(address "$name" status)")
	done
	for name in node-1 node-2; do busy "$name"; done
	say "nodes: $cards cards are cancelled, $rate logins and $rate status requests a second at each node"
	measure nodes "two nodes under load" --lists 0 "${all[@]}" || result=1
	for pid in "${loads[@]}"; do kill "$pid" && wait "$pid" || result=1; done
	for name in node-1 node-2; do
		kill -0 "$(cat "$dir/$name.pid")"
		say "meanwhile at $name:"
		cat "$dir/$name.logins" "$dir/$name.ocsp"
	done
}

result=0 loads=()
if [[ ${1:-} == nodes ]]; then
	with_nodes
else
	for number in "${@:-10 3000000}"; do for n in $number; do with_revoked "$n"; done; done
fi
exit $result
