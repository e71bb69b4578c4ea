<?php
// What php-ldap does with a directory. Prints one line a thing that held.
[, $plain, $secure, $ca, $cert, $key] = $argv;
const ROOT = 'cn=admin,o=nhs', WORD = 'correct horse', ALEX = 'uid=900000000017,ou=People,o=nhs';

function held(string $what, bool $good, $seen = null): void {
	if (!$good) { fwrite(STDERR, "$what: saw " . var_export($seen, true) . "\n"); exit(1); }
	echo "held: $what\n";
}
function connect(string $uri): LDAP\Connection {
	$l = ldap_connect($uri);
	ldap_set_option($l, LDAP_OPT_PROTOCOL_VERSION, 3);
	ldap_set_option($l, LDAP_OPT_REFERRALS, 0);
	return $l;
}
$l = connect("ldap://$plain");
held('wrong password', !@ldap_bind($l, ROOT, 'no') && ldap_errno($l) === 49, ldap_errno($l));
held('bind', ldap_bind($l, ROOT, WORD));
held('whoami', ldap_exop_whoami($l) === 'dn:' . ROOT);
$found = ldap_get_entries($l, ldap_search($l, 'o=nhs', '(&(objectClass=nhsPerson)(cn=alex*))', ['cn', 'mail']));
held('search', $found['count'] === 1 && $found[0]['dn'] === ALEX && $found[0]['mail'][0] === 'alex@example.org', $found);
held('list', ldap_count_entries($l, ldap_list($l, 'ou=People,o=nhs', '(uid=*)')) === 2);
held('escaped filter', ldap_count_entries($l, ldap_search($l, 'o=nhs', '(cn=' . ldap_escape('*)(x', '', LDAP_ESCAPE_FILTER) . ')')) === 0);
$pages = $entries = 0; $cookie = '';
do {
	$r = ldap_search($l, 'o=nhs', '(objectClass=*)', ['1.1'], 0, 0, 0, LDAP_DEREF_NEVER,
		[['oid' => LDAP_CONTROL_PAGEDRESULTS, 'iscritical' => true, 'value' => ['size' => 3, 'cookie' => $cookie]]]);
	ldap_parse_result($l, $r, $code, $matched, $message, $refs, $controls);
	$cookie = $controls[LDAP_CONTROL_PAGEDRESULTS]['value']['cookie'] ?? '';
	$pages++; $entries += ldap_count_entries($l, $r);
} while ($cookie !== '');
held('paged results', $pages === 3 && $entries === 8, [$pages, $entries]);
$dn = 'cn=php,ou=Services,o=nhs';
held('add', ldap_add($l, $dn, ['objectClass' => ['device'], 'cn' => 'php', 'l' => 'Leeds']));
held('modify in one batch', ldap_modify_batch($l, $dn, [
	['attrib' => 'description', 'modtype' => LDAP_MODIFY_BATCH_ADD, 'values' => ['a', 'b']],
	['attrib' => 'l', 'modtype' => LDAP_MODIFY_BATCH_REPLACE, 'values' => ['York']]]));
held('compare', ldap_compare($l, $dn, 'l', 'YORK') === true && ldap_compare($l, $dn, 'l', 'Leeds') === false);
$r = ldap_mod_replace_ext($l, $dn, ['l' => 'Hull'], [['oid' => LDAP_CONTROL_POST_READ, 'iscritical' => true, 'value' => ['attrs' => ['l']]]]);
ldap_parse_result($l, $r, $code, $matched, $message, $refs, $controls);
held('post-read control', $controls[LDAP_CONTROL_POST_READ]['value']['l'][0] === 'Hull', $controls);
$r = ldap_mod_replace_ext($l, $dn, ['l' => 'Bath'], [['oid' => LDAP_CONTROL_ASSERT, 'iscritical' => true, 'value' => ['filter' => '(l=Leeds)']]]);
ldap_parse_result($l, $r, $code);
held('assertion control', $code === 122, $code);
held('move', ldap_rename($l, $dn, 'cn=php2', 'o=nhs', true));
held('delete', ldap_delete($l, 'cn=php2,o=nhs') && !@ldap_delete($l, 'cn=php2,o=nhs') && ldap_errno($l) === 32);
held('a managed subtree', !@ldap_delete($l, ALEX) && ldap_errno($l) === 53);
held('password modify', ldap_exop_passwd($l, 'cn=reader,ou=Services,o=nhs', '', 'written by php') !== false);
ldap_unbind($l);

ldap_set_option(null, LDAP_OPT_X_TLS_CACERTFILE, $ca);
ldap_set_option(null, LDAP_OPT_X_TLS_CERTFILE, $cert);
ldap_set_option(null, LDAP_OPT_X_TLS_KEYFILE, $key);
$l = connect("ldap://$plain");
held('StartTLS', ldap_start_tls($l));
held('the new password', ldap_bind($l, 'cn=reader,ou=Services,o=nhs', 'written by php'));
ldap_unbind($l);
$l = connect("ldaps://$secure");
held('SASL EXTERNAL', ldap_sasl_bind($l, '', '', 'EXTERNAL') && ldap_exop_whoami($l) === 'dn:' . ALEX);
ldap_unbind($l);
