#!/bin/bash
# Measures the OCSP responder on one core, the generator on the other, and
# beside it what else answers on this machine, all in one run: openssl's own
# responder, and nginx with one of the stored answers as a file, which is about
# the least that an answer over HTTP takes.
#
#   ocsp.sh DIR [SERIALS]     measure over so many certificates (200000)
#   ocsp.sh DIR cards FOLDER  measure a cardinal that serves FOLDER, over DIR/pairs.pem
#                             (load issuance --out), whose process id is in DIR/pid
#
# Prints one line of JSON for each load. SECONDS_EACH (10) is how long one is,
# CONNECTIONS (64) how many connections it has.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd) what=${2:-200000} each=${SECONDS_EACH:-10} connections=${CONNECTIONS:-64}
here=$(cd "$(dirname "$0")/../../.." && pwd)
load=$dir/load

(cd "$here" && go build -o "$load" ./tools/load)

measure() { # NAME ARGS…: of the server whose process id is $pid
	local name=$1; shift
	printf '%s: ' "$name"
	taskset -c 1 "$load" ocsp --json --pid "$pid" --connections "$connections" --seconds "$each" "$@" || true
}

ours() { # ARGS…: where to ask, and about what
	measure 'first, 2000/s' --once --rate 2000 "$@"
	measure 'the same stored, 2000/s' --once --rate 2000 "$@"
	# Every answer is made before stored ones are measured. One is stored for half its life, a minute, so they come at once.
	measure 'first, as fast as it goes' --once --from $((2000 * each)) --seconds 300 "$@"
	measure stored "$@"
	measure 'stored, POST' --post "$@"
	measure nonce --nonce "$@"
}

besideNginx() { # ARGS…: where ours is, and about which one certificate
	measure 'stored, one certificate, 20000/s' --rate 20000 "$@"
	command -v nginx openssl > /dev/null || return 0
	local ours=$pid address=${2%/ocsp} n=$dir/nginx
	mkdir -p "$n"
	openssl ocsp -issuer "$dir/ca.cer" -serial "0x$(cat "$dir/one")" -url "$address/ocsp" -no_nonce -noverify -respout "$n/answer" > /dev/null 2>&1
	cat > "$n/nginx.conf" <<- END
		daemon off; master_process off; pid $n/pid; error_log $n/error.log;
		events { worker_connections 1024; }
		http {
		  access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 120s;
		  open_file_cache max=10 inactive=300s; open_file_cache_valid 300s;
		  client_body_temp_path $n/1; proxy_temp_path $n/2; fastcgi_temp_path $n/3; uwsgi_temp_path $n/4; scgi_temp_path $n/5;
		  server {
		    listen 127.0.0.1:18889; root $n; default_type application/ocsp-response; add_header Cache-Control no-cache;
		    location / { try_files /answer =404; }
		  }
		}
	END
	taskset -c 0 nginx -p "$n" -c "$n/nginx.conf" 2> "$n/stderr" &
	pid=$!
	local nginx=$pid file=(--url http://127.0.0.1:18889/ocsp "${@:3}")
	until (: < /dev/tcp/127.0.0.1/18889) 2> /dev/null; do kill -0 "$nginx"; sleep 0.1; done
	measure 'nginx, a file, 20000/s' --rate 20000 "${file[@]}"
	pid=$ours measure 'stored, one certificate, 20000/s, again' --rate 20000 "$@"
	measure 'nginx, a file, 20000/s, again' --rate 20000 "${file[@]}"
	measure 'nginx, a file' "${file[@]}"
	measure 'nginx, a file, 2000/s' --rate 2000 "${file[@]}"
	kill "$nginx"; wait "$nginx" || true
	pid=$ours
}

if [[ $what == cards ]]; then
	pid=$(cat "$dir/pid")
	ours --url "$(sed -n 's/.*"status":"\([^"]*\)".*/\1/p' "$dir/serve.out")/ocsp" --certificates "$dir/pairs.pem" --issuer "$3/ca/authentication.cer"
	exit
fi

(cd "$here" && go test -c -pgo="$here/tools/cardinal/serving.pgo" -o "$dir/ocsp.test" ./ocsp)
mkfifo "$dir/stdin" 2>/dev/null || true
rm -f "$dir/address"
# The program lets its heap grow by 64 MiB before it collects (tools/cardinal/memory.go); the test binary is told the like.
CARDINAL_OCSP_LOAD=$dir CARDINAL_OCSP_SERIALS=$what GOGC=${GOGC:-400} GOMAXPROCS=1 \
	taskset -c 0 "$dir/ocsp.test" -test.run '^TestServeForLoad$' -test.timeout 0 < "$dir/stdin" > "$dir/serve.out" 2>&1 &
pid=$!
exec 9> "$dir/stdin"
trap 'exec 9>&-; wait $pid || true' EXIT
until [[ -s $dir/address ]]; do kill -0 $pid; sleep 0.2; done
at=(--url "http://$(cat "$dir/address")/ocsp")
ours "${at[@]}" --serials "$dir/serials" --issuer "$dir/ca.cer"
measure 'stored, 20000/s' --rate 20000 "${at[@]}" --serials "$dir/serials" --issuer "$dir/ca.cer"
tail -1 "$dir/serials" > "$dir/one"
besideNginx "${at[@]}" --serials "$dir/one" --issuer "$dir/ca.cer"
exec 9>&-; wait $pid || true; trap - EXIT

if command -v openssl > /dev/null; then
	openssl ecparam -name prime256v1 -genkey -noout -out "$dir/o.key"
	openssl req -x509 -new -key "$dir/o.key" -subj /CN=peer -days 30 -out "$dir/o.pem" 2> /dev/null
	openssl x509 -in "$dir/o.pem" -outform DER -out "$dir/o.cer"
	tr a-f A-F < "$dir/serials" | sed 's/.*/V\t361231235959Z\t\t&\tunknown\t\/CN=&/' > "$dir/index.txt"
	taskset -c 0 openssl ocsp -index "$dir/index.txt" -port 18888 -rsigner "$dir/o.pem" -rkey "$dir/o.key" -CA "$dir/o.pem" -nmin 5 > "$dir/openssl.out" 2>&1 &
	pid=$!
	trap 'kill $pid' EXIT
	sleep 8 # it reads its index
	connections=16 measure 'openssl ocsp, stored' --post --url http://127.0.0.1:18888/ --serials "$dir/serials" --issuer "$dir/o.cer"
fi
