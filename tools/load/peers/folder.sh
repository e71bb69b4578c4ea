# Sourced by revoke.sh and night.sh: makes installations full of cards below
# $dir, serves them, and ends what it started. Needs $dir; gives $load and
# $cardinal, the programs it built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
load=$dir/load cardinal=$dir/cardinal
export CARDINAL_PASSPHRASE_FILE=$dir/pass
started=()

say() { echo "# $(date -u +%H:%M:%S) $*"; }

programs() {
	(cd "$here" && CGO_ENABLED=0 go build -o "$load" ./tools/load && CGO_ENABLED=0 go build -pgo=tools/cardinal/serving.pgo -o "$cardinal" ./tools/cardinal)
	echo 'correct horse battery staple' > "$dir/pass"
}

# await SECONDS COMMAND…: until the command succeeds.
await() {
	local left=$(($1 * 5)); shift
	until "$@"; do
		((left-- > 0)) || { echo "not in time: $*" >&2; return 1; }
		sleep 0.2
	done
}

# serve NAME FOLDER ARGS…: in the background; DIR/NAME.pid is its process id.
serve() {
	local name=$1 folder=$2; shift 2
	rm -f "$folder"/ready*.json
	"$cardinal" serve --dir "$folder" "$@" > "$dir/$name.out" 2>> "$dir/$name.log" &
	started+=($!)
	echo $! > "$dir/$name.pid"
	await 1800 answers $! "$folder"
}

answers() { # PID FOLDER
	kill -0 "$1" || { echo "it ended; its log:" >&2; tail -5 "$dir"/*.log >&2; exit 1; }
	compgen -G "$2/ready*.json" > /dev/null
}

# finish NAME: ends what serve started.
finish() {
	local pid; pid=$(cat "$dir/$1.pid")
	kill "$pid" 2> /dev/null && wait "$pid" || true
}

finish_all() {
	for pid in "${started[@]}"; do kill "$pid" 2> /dev/null && wait "$pid" || true; done
}

# folder NAME PEOPLE: makes DIR/NAME, with so many people who have a card each
# (C0000000000 onwards), DIR/NAME.staff with security administrators and
# break-glass cards, and DIR/NAME.people, the flags that name the people.
folder() {
	local name=$1 people=$2 orgs=$(($2 / 20 + 1))
	local into=$dir/$name
	echo "--people $people --organisations $orgs --seed 1" > "$into.people"
	"$cardinal" init --dir "$into" --name Load --public-url http://127.0.0.1:8080 > /dev/null 2>> "$into.log"
	cat > "$into/access.yaml" <<-'END'
		rules:
		  - {name: changes, who: ["dn:cn=load,ou=Services,o=nhs"], subtree: "ou=Services,o=nhs", attributes: ["entry", "*"], rights: [read, search, compare, write]}
		  - {name: reads, who: [authenticated], attributes: ["entry", "*", "+"], rights: [read, search, compare]}
	END
	sed -i -e 's/^\( *\(ldap\|ldaps\|status\|issuance\|operations\):\) "127.*/\1 127.0.0.1:0/' \
		-e 's/^\( *\)# rules:.*/\1rules: access.yaml/' -e 's/^\( *allowPlaintextBind:\).*/\1 true/' "$into/cardinal.yaml"
	say "$name: $people people with cards"
	"$load" data $(cat "$into.people") --services 100 --cards --out "$into.ldif"
	"$cardinal" import --dir "$into" "$into.ldif" > /dev/null 2>> "$into.log"
	rm "$into.ldif"
	serve "$name" "$into"
	"$load" staff --folder "$into" --out "$into.staff" --security 2 --others 1 --break-glass
	finish "$name"
	"$load" seed --ledger "sqlite:$into/ledger.db" $(cat "$into.people") --pair "$into.staff/pair" --keys "$into/keys"
}
