#!/bin/bash
# The night on which every card is suspended, on this machine.
#
#   night.sh DIR [CARDS]           so many cards (760000), of as many people
#   night.sh DIR CARDS --kill      the server is killed (kill -9) half way, and starts again
#
# A dry run, an order by filter, the second administrator's yes, progress; then
# the suspension is lifted for LIFT (10000) cards, OCSP is asked about a sample,
# and cardinal verify judges the installation. Meanwhile RATE (500) logins a
# second and a single cancel each second. Prints one line of JSON for each
# figure and a summary; ends with 1 where anything was wrong. What it makes in
# DIR it removes, unless KEEP is set; 760000 cards take some 8 GB.
dir=$(mkdir -p "$1" && cd "$1" && pwd)
cards=${2:-760000} how=${3:-}
. "$(dirname "$0")/folder.sh"

tidy() {
	rm -f "$dir/serving"
	finish_all
	[[ ${KEEP:-} ]] || rm -rf "$dir"/{night,night.*,load,cardinal,pass}
}
trap tidy EXIT

# supervise: serves until DIR/serving is gone, again after each end.
supervise() {
	local pid
	trap 'kill $pid; wait $pid; exit' TERM
	while [[ -e $dir/serving ]]; do
		rm -f "$dir/night/ready.json"
		"$cardinal" serve --dir "$dir/night" > "$dir/night.out" 2>> "$dir/night.log" &
		pid=$!
		echo $pid > "$dir/night.pid.new" && mv "$dir/night.pid.new" "$dir/night.pid"
		wait $pid || true
	done
}

programs
folder night "$cards"
say "serving; the copy is made first"
touch "$dir/serving"
supervise &
started+=($!)
ready() { [[ -e $dir/night/ready.json ]]; }
await 3600 ready
say "serving"
"$load" night --folder "$dir/night" --staff "$dir/night.staff" $(cat "$dir/night.people") --services 100 --pid-file "$dir/night.pid" \
	--lift "${LIFT:-10000}" --rate "${RATE:-500}" ${how:+"$how"} && result=0 || result=$?
rm -f "$dir/serving"
kill "$(cat "$dir/night.pid")"
wait || true
started=()
say "verifying"
"$cardinal" verify --dir "$dir/night" --json > "$dir/night.verify" && say "verify: everything holds together" || { result=1; say "verify: $(cat "$dir/night.verify")"; }
exit $result
