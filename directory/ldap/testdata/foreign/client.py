"""What python3-ldap does with a directory. Prints one line a thing that held."""
import os, sys
import ldap, ldap.sasl, ldap.modlist, ldap.schema, ldap.filter
from ldap.controls import SimplePagedResultsControl, AssertionControl
from ldap.controls.readentry import PreReadControl, PostReadControl
from ldap.ldapobject import LDAPObject, ReconnectLDAPObject
from ldap.extop.passwd import PasswordModifyResponse  # noqa: F401: must be importable

plain, secure, ca, cert, key = sys.argv[1:6]
ROOT, WORD = "cn=admin,o=nhs", "correct horse"
ALEX = "uid=900000000017,ou=People,o=nhs"


def held(what, good, seen=None):
    if not good:
        sys.exit("%s: saw %r" % (what, seen))
    print("held:", what)


def refused(what, kind, do):
    try:
        do()
    except kind:
        return held(what, True)
    sys.exit(what + ": was not refused")


l = ReconnectLDAPObject("ldap://" + plain)
l.protocol_version = 3
refused("wrong password", ldap.INVALID_CREDENTIALS, lambda: l.simple_bind_s(ROOT, "no"))
l.simple_bind_s(ROOT, WORD)
held("whoami", l.whoami_s() == "dn:" + ROOT, l.whoami_s())

found = l.search_s("o=nhs", ldap.SCOPE_SUBTREE, "(&(objectClass=nhsPerson)(cn=alex*))", ["cn", "mail"])
held("search", found == [(ALEX, {"cn": [b"Alex Example"], "mail": [b"alex@example.org"]})], found)
held("search with an escaped value", l.search_s("o=nhs", ldap.SCOPE_SUBTREE,
     ldap.filter.filter_format("(cn=%s)", ["*)(x"])) == [], None)
refused("search below nothing", ldap.NO_SUCH_OBJECT, lambda: l.search_s("ou=none,o=nhs", ldap.SCOPE_BASE))

pages, entries, control = 0, 0, SimplePagedResultsControl(True, size=3, cookie="")
while True:
    number = l.search_ext("o=nhs", ldap.SCOPE_SUBTREE, "(objectClass=*)", ["1.1"], serverctrls=[control])
    _, data, _, controls = l.result3(number)
    pages, entries = pages + 1, entries + len(data)
    control.cookie = [c for c in controls if c.controlType == control.controlType][0].cookie
    if not control.cookie:
        break
held("paged results", pages == 3 and entries == 8, (pages, entries))

dn = "cn=py,ou=Services,o=nhs"
l.add_s(dn, ldap.modlist.addModlist({"objectClass": [b"device"], "cn": [b"py"], "description": [b"made"]}))
refused("add twice", ldap.ALREADY_EXISTS, lambda: l.add_s(dn, [("objectClass", [b"device"]), ("cn", [b"py"])]))
l.modify_s(dn, ldap.modlist.modifyModlist({"description": [b"made"]}, {"description": ["geändert".encode()], "l": [b"Leeds"]}))
held("compare", l.compare_s(dn, "l", b"LEEDS") is True)
refused("a value that is not there", ldap.NO_SUCH_ATTRIBUTE, lambda: l.modify_s(dn, [(ldap.MOD_DELETE, "l", [b"York"])]))
refused("assertion control", ldap.ASSERTION_FAILED,
        lambda: l.modify_ext_s(dn, [(ldap.MOD_REPLACE, "l", [b"York"])], serverctrls=[AssertionControl(True, "(l=York)")]))
number = l.modify_ext(dn, [(ldap.MOD_REPLACE, "l", [b"York"])],
                      serverctrls=[PreReadControl(True, ["l"]), PostReadControl(True, ["l"])])
_, _, _, controls = l.result3(number)
seen = [c.entry for c in controls]
held("read entry controls", seen == [{"l": ["Leeds"]}, {"l": ["York"]}] or seen == [{"l": [b"Leeds"]}, {"l": [b"York"]}], seen)
l.rename_s(dn, "cn=py2", newsuperior="o=nhs", delold=1)
held("move", l.read_s("cn=py2,o=nhs")["description"] == ["geändert".encode()])
l.delete_s("cn=py2,o=nhs")
refused("deleted", ldap.NO_SUCH_OBJECT, lambda: l.read_s("cn=py2,o=nhs"))
refused("a managed subtree", ldap.UNWILLING_TO_PERFORM, lambda: l.delete_s(ALEX))
refused("cancel of nothing", ldap.NO_SUCH_OPERATION, lambda: l.cancel_s(77))
l.passwd_s("cn=reader,ou=Services,o=nhs", None, "written by python")

held("root DSE", b"o=nhs" in l.read_rootdse_s()["namingContexts"])
where = l.search_subschemasubentry_s(ALEX)
schema = ldap.schema.SubSchema(l.read_subschemasubentry_s(where), check_uniqueness=2)
must, _ = schema.attribute_types([schema.get_obj(ldap.schema.ObjectClass, "nhsOrgPersonRole").oid])
held("schema", schema.get_obj(ldap.schema.AttributeType, "uid").equality == "caseIgnoreMatch" and len(must) > 0
     and not schema.non_unique_oids, (where, schema.non_unique_oids))
l.unbind_s()


def over_tls(uri):
    o = LDAPObject(uri)
    o.protocol_version = 3
    o.set_option(ldap.OPT_X_TLS_CACERTFILE, ca)
    o.set_option(ldap.OPT_X_TLS_CERTFILE, cert)
    o.set_option(ldap.OPT_X_TLS_KEYFILE, key)
    o.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    o.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    return o


s = over_tls("ldap://" + plain)
s.start_tls_s()
s.simple_bind_s("cn=reader,ou=Services,o=nhs", "written by python")
held("StartTLS and a new password", s.whoami_s() == "dn:cn=reader,ou=Services,o=nhs", s.whoami_s())
s.unbind_s()
s = over_tls("ldaps://" + secure)
s.sasl_external_bind_s()
held("SASL EXTERNAL", s.whoami_s() == "dn:" + ALEX, s.whoami_s())
s.unbind_s()
