#!/bin/bash
# Records where a serving node's time goes under what nodes mostly do, for the
# compiler: go build -pgo=tools/cardinal/serving.pgo.
#
#   profile.sh DIR [OUT]    of a cardinal served from DIR (cardinal.sh load, cardinal.sh serve)
#
# DIR holds the entries of: load data --people 200000 --organisations 10000 --seed 1 --services 1000
# OUT is where the profile goes (tools/cardinal/serving.pgo). Takes two minutes.
set -euo pipefail
dir=$(cd "$1" && pwd) here=$(cd "$(dirname "$0")/../../.." && pwd)
out=${2:-$here/tools/cardinal/serving.pgo} load=$dir/load cards=$dir/cards

(cd "$here" && go build -o "$load" ./tools/load)
address() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/serve.out"; }
directory=(--people 200000 --organisations 10000 --seed 1 --trust "$dir/trust.pem")
measured() { taskset -c 1 "$load" "$@" --seconds "$seconds"; }

seconds=4 measured login "${directory[@]}" --url "$(address ldap)" # memory fills
"$load" photo --out "$dir/face.png"
rm -f "$dir/pairs.pem"
curl -sf "$(address operations)/profile?seconds=100" -o "$out.new" &
recording=$!
seconds=20 measured login "${directory[@]}" --url "$(address ldap)"
seconds=10 measured login "${directory[@]}" --url "$(address ldaps)"
seconds=10 measured search "${directory[@]}" --url "$(address ldap)"
seconds=4 measured prefix "${directory[@]}" --url "$(address ldap)"
seconds=6 measured bind "${directory[@]}" --url "$(address ldap)"
seconds=10 measured modify "${directory[@]}" --url "$(address ldap)" --connections 64
seconds=10 measured mixed "${directory[@]}" --url "$(address ldap)"
seconds=5 measured issuance --server "$(address issuance)" --manager "$cards/operators/manager.pem" --sponsor "$cards/operators/sponsor.pem" \
	--trust "$dir/trust.pem" --photo "$dir/face.png" --out "$dir/pairs.pem"
status=(--url "$(address status)/ocsp" --certificates "$dir/pairs.pem" --issuer "$cards/ca/authentication.cer" --connections 64)
seconds=10 measured ocsp "${status[@]}"
seconds=5 measured ocsp "${status[@]}" --post
seconds=5 measured ocsp "${status[@]}" --nonce
wait $recording
mv "$out.new" "$out"
