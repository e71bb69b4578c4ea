#!/bin/bash
# Sets a Cardinal up beside another server, as slapd.sh does for slapd.
#
#   cardinal.sh load DIR PEOPLE.ldif    make an installation, load the entries
#   cardinal.sh serve DIR [CORE]        serve until killed, on one core if given
#
# Plain LDAP listens on 127.0.0.1:$CARDINAL_PORT (1389), TLS on
# $CARDINAL_TLS_PORT (1636). The program is $CARDINAL (./cardinal); the process
# id is in DIR/pid, the roots to trust in DIR/trust.pem.
set -euo pipefail
what=$1 dir=$2 cardinal=${CARDINAL:-./cardinal}

configure() {
	mkdir -p "$dir"
	echo 'correct horse battery staple' > "$dir/pass"
	"$cardinal" init --dir "$dir/cards" --name Load --public-url http://127.0.0.1:8080 --passphrase-file "$dir/pass" > /dev/null
	cat > "$dir/cards/access.yaml" <<-'END'
		rules:
		  - {name: changes, who: ["dn:cn=load,ou=Services,o=nhs"], subtree: "ou=Services,o=nhs", attributes: ["entry", "*"], rights: [read, search, compare, write]}
		  - {name: reads, who: [authenticated], attributes: ["entry", "*", "+"], rights: [read, search, compare]}
	END
	sed -i -e "s/^\( *ldap:\).*/\1 127.0.0.1:${CARDINAL_PORT:-1389}/" -e "s/^\( *ldaps:\).*/\1 127.0.0.1:${CARDINAL_TLS_PORT:-1636}/" \
		-e 's/^\( *\(status\|issuance\|operations\):\) "127.*/\1 127.0.0.1:0/' \
		-e 's/^\( *\)# rules:.*/\1rules: access.yaml/' -e 's/^\( *allowPlaintextBind:\).*/\1 true/' \
		-e 's/^\( *connections:\).*/\1 20000/' "$dir/cards/cardinal.yaml"
	cp "$dir/cards/trust.pem" "$dir/trust.pem"
}

case $what in
load)
	configure
	"$cardinal" import --dir "$dir/cards" "$3"
	;;
serve)
	echo $$ > "$dir/pid"
	exec ${3:+taskset -c "$3"} "$cardinal" serve --dir "$dir/cards" --passphrase-file "$dir/pass" > "$dir/serve.out" 2> "$dir/serve.log"
	;;
*)
	echo "usage: cardinal.sh load DIR PEOPLE.ldif | serve DIR [CORE]" >&2
	exit 2
	;;
esac
