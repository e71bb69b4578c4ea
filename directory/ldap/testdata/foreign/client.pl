# What Net::LDAP does with a directory. Prints one line a thing that held.
use strict; use warnings;
use Net::LDAP; use Net::LDAP::LDIF; use Net::LDAP::Schema;
use Net::LDAP::Constant qw(LDAP_SUCCESS LDAP_COMPARE_TRUE LDAP_INVALID_CREDENTIALS LDAP_NO_SUCH_OBJECT
	LDAP_UNWILLING_TO_PERFORM LDAP_CONTROL_PAGED LDAP_CONTROL_POSTREAD);
use Net::LDAP::Control::Paged; use Net::LDAP::Control::PostRead; use Net::LDAP::Control::Assertion;
use Net::LDAP::Extension::WhoAmI; use Net::LDAP::Extension::SetPassword; use Net::LDAP::Extension::Cancel;
use Net::LDAP::Util qw(canonical_dn ldap_error_name);
use Authen::SASL;

my ($plain, $secure, $ca, $cert, $key) = @ARGV;
my ($root, $word) = ('cn=admin,o=nhs', 'correct horse');
my $alex = 'uid=900000000017,ou=People,o=nhs';
sub held { my ($what, $good, $seen) = @_; die "$what: saw " . ($seen // 'undef') . "\n" unless $good; print "held: $what\n" }
sub code { my ($what, $m, $want) = @_; held($what, $m->code == $want, $m->code . ' ' . $m->error) }

my $l = Net::LDAP->new("ldap://$plain") or die $@;
code('wrong password', $l->bind($root, password => 'no'), LDAP_INVALID_CREDENTIALS);
code('bind', $l->bind($root, password => $word), LDAP_SUCCESS);
held('whoami', $l->who_am_i->response eq "dn:$root");
my $m = $l->search(base => 'o=nhs', filter => '(&(objectClass=nhsPerson)(cn=alex*))', attrs => ['cn']);
held('search', $m->count == 1 && $m->entry(0)->dn eq $alex && $m->entry(0)->get_value('cn') eq 'Alex Example', $m->error);
held('language tag', $l->search(base => 'o=nhs', filter => '(cn;lang-en=bo*)')->count == 1);
held('extensible match', $l->search(base => 'o=nhs', filter => '(ou:dn:caseExactMatch:=People)')->count == 5);
my ($pages, $entries, $page) = (0, 0, Net::LDAP::Control::Paged->new(size => 3));
while (1) {
	my $m = $l->search(base => 'o=nhs', filter => '(objectClass=*)', attrs => ['1.1'], control => [$page]);
	$m->code and die $m->error; $pages++; $entries += $m->count;
	my ($answer) = $m->control(LDAP_CONTROL_PAGED) or die 'no paged control';
	$page->cookie($answer->cookie) ; last unless length $answer->cookie;
}
held('paged results', $pages == 3 && $entries == 8, "$pages $entries");
my $dn = 'cn=pl,ou=Services,o=nhs';
code('add', $l->add($dn, attrs => [objectClass => 'device', cn => 'pl', l => 'Leeds']), LDAP_SUCCESS);
code('modify', $l->modify($dn, changes => [add => [description => 'x'], replace => [l => 'York']]), LDAP_SUCCESS);
code('compare', $l->compare($dn, attr => 'l', value => 'york'), LDAP_COMPARE_TRUE);
code('assertion control', $l->modify($dn, delete => ['l'], control => [Net::LDAP::Control::Assertion->new(assertion => '(l=Leeds)', critical => 1)]), 122);
$m = $l->modify($dn, replace => { l => 'Hull' }, control => [Net::LDAP::Control::PostRead->new(attrs => ['l'])]);
my ($read) = $m->control(LDAP_CONTROL_POSTREAD);
held('post-read control', $read && $read->entry->get_value('l') eq 'Hull', $m->error);
code('move', $l->moddn($dn, newrdn => 'cn=pl2', deleteoldrdn => 1, newsuperior => 'o=nhs'), LDAP_SUCCESS);
code('delete', $l->delete('cn=pl2,o=nhs'), LDAP_SUCCESS);
code('delete again', $l->delete('cn=pl2,o=nhs'), LDAP_NO_SUCH_OBJECT);
code('a managed subtree', $l->delete($alex), LDAP_UNWILLING_TO_PERFORM);
code('password modify', $l->set_password(user => 'cn=reader,ou=Services,o=nhs', newpasswd => 'written by perl'), LDAP_SUCCESS);
my $dse = $l->root_dse;
held('root DSE', grep { $_ eq 'o=nhs' } $dse->get_value('namingContexts'));
my $schema = $l->schema or die 'no schema';
held('schema', $schema->attribute('uid')->{equality} eq 'caseIgnoreMatch' && $schema->objectclass('nhsPerson'));
$l->unbind;

$l = Net::LDAP->new("ldap://$plain") or die $@;
code('StartTLS', $l->start_tls(verify => 'require', cafile => $ca), LDAP_SUCCESS);
code('the new password', $l->bind('cn=reader,ou=Services,o=nhs', password => 'written by perl'), LDAP_SUCCESS);
$l->unbind;
$l = Net::LDAP->new("ldaps://$secure", verify => 'require', cafile => $ca, clientcert => $cert, clientkey => $key) or die $@;
code('SASL EXTERNAL', $l->bind(undef, sasl => Authen::SASL->new(mechanism => 'EXTERNAL', callback => { user => '' })), LDAP_SUCCESS);
held('who that is', $l->who_am_i->response eq "dn:$alex", $l->who_am_i->response);
$l->unbind;
