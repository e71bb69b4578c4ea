#!/bin/bash
# Sets slapd up beside a Cardinal, with the same entries, equal indexes, equal
# rules of access, durable writes, no logging, TLS with a P-256 key.
#
#   slapd.sh load DIR PEOPLE.ldif    write the configuration, load the entries
#   slapd.sh serve DIR [CORE]        serve until killed, on one core if given
#
# Plain LDAP listens on 127.0.0.1:$SLAPD_PORT (2389), TLS on the port after it
# but one (2636 by default: $SLAPD_TLS_PORT). The process id is in DIR/pid.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
what=$1 dir=$2
schema=$root/directory/schema/nhs/nhs.schema
port=${SLAPD_PORT:-2389} tls=${SLAPD_TLS_PORT:-2636}

configure() {
	mkdir -p "$dir/data"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
		-addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' -keyout "$dir/server.key" -out "$dir/server.pem" 2>/dev/null
	# A substring index of slapd answers the beginning of a value; ours is ordered
	# and needs no second one. dbnosync is not set: a change is on disk when it is
	# answered.
	cat > "$dir/slapd.conf" <<-END
		include /etc/ldap/schema/core.schema
		include /etc/ldap/schema/cosine.schema
		include /etc/ldap/schema/inetorgperson.schema
		include $schema
		modulepath /usr/lib/ldap
		moduleload back_mdb
		loglevel 0
		sizelimit unlimited
		TLSCertificateFile $dir/server.pem
		TLSCertificateKeyFile $dir/server.key
		database mdb
		suffix "o=nhs"
		directory $dir/data
		maxsize 8589934592
		index objectClass,uniqueIdentifier,nhsIDCode,nhsJobRoleCode,nhsJobRole eq
		index uid,cn,sn,givenName,displayName,mail,o,ou,postalCode eq,subinitial
		access to attrs=userPassword by anonymous auth
		access to dn.subtree="ou=Services,o=nhs" by dn.exact="cn=load,ou=Services,o=nhs" write by * none
		access to * by users read by * none
	END
}

case $what in
load)
	configure
	# slapadd takes a version line that stands alone for an entry without a name
	sed '1{/^version:/d}' "$3" | /usr/sbin/slapadd -q -f "$dir/slapd.conf"
	;;
serve)
	echo $$ > "$dir/pid"
	exec ${3:+taskset -c "$3"} /usr/sbin/slapd -d 0 -f "$dir/slapd.conf" -h "ldap://127.0.0.1:$port ldaps://127.0.0.1:$tls"
	;;
*)
	echo "usage: slapd.sh load DIR PEOPLE.ldif | serve DIR [CORE]" >&2
	exit 2
	;;
esac
