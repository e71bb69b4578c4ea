package house

// A room is one package (or, with a trailing slash, every package below a
// folder) and what of ours it may import outside tests.
type room struct {
	path    string
	caption string
	may     []string // rooms; a trailing slash takes everything below
	kit     bool     // a test kit: imported by test files only
}

// rooms is the picture. Arrows point down: nothing below imports what stands
// above it, the read side imports nothing of the write side, ledger and
// replica meet in the journal alone, and nobody imports tools.
func rooms() []room {
	all := []room{
		{path: "certs", caption: "what a certificate is here", may: []string{"internal/journal"}},
		{path: "certs/register", caption: "every certificate ever promised", may: []string{"certs", "internal/journal", "internal/ledger"}},
		{path: "certs/nodes", caption: "which machines may follow", may: []string{"certs", "certs/register", "internal/journal", "internal/journal/feed", "internal/ledger"}},
		{path: "policies", caption: "what may be issued, and the clause that says so", may: []string{"certs"}},
		{path: "ca", caption: "the only hand that signs", may: []string{"policies", "certs", "certs/register", "internal/background", "internal/journal", "internal/ledger"}},
		{path: "issuance", caption: "a person becomes a card holder", may: []string{"policies", "ca", "certs", "certs/register", "directory", "directory/register", "internal/journal", "internal/ledger"}},
		{path: "issuance/api", caption: "what a station may say", may: []string{"certs", "internal/journal"}},
		{path: "issuance/server", caption: "what we answer a station", may: []string{"issuance", "issuance/api", "policies", "ca", "certs", "certs/register", "directory", "internal/journal", "internal/ledger"}},
		{path: "issuance/card", caption: "talking to a PIV card", may: []string{"certs", "internal/ber"}},
		{path: "directory", caption: "people, organisations and roles as entries", may: []string{"internal/journal"}},
		{path: "directory/register", caption: "the entries of record", may: []string{"directory", "internal/journal", "internal/ledger", "internal/sorter"}},
		{path: "directory/tree", caption: "a copy arranged for searching", may: []string{"directory", "certs", "internal/background", "internal/ber", "internal/journal", "internal/replica", "internal/sorter"}},
		{path: "directory/ldap", caption: "RFC 4511 on the wire", may: []string{"directory", "directory/tree", "internal/background", "internal/ber", "internal/journal", "internal/replica"}},
		{path: "ocsp", caption: "is this certificate still good?", may: []string{"certs", "internal/background", "internal/journal", "internal/replica"}},
		{path: "ocsp/stamp", caption: "when did it exist?"},
		{path: "ocsp/relying", caption: "the question a relying system asks, and how it judges the answer", may: []string{"certs"}},
	}
	return append(append(all, ground()...), roof()...)
}

// ground is what several rooms stand on.
func ground() []room {
	return []room{
		{path: "internal/journal", caption: "what happened, in order"},
		{path: "internal/background", caption: "requests find a processor beside long work"},
		{path: "internal/journal/feed", caption: "how the journal travels between nodes", may: []string{"internal/journal"}},
		{path: "internal/journal/feedtest", caption: "what every feed must do", may: []string{"internal/journal"}, kit: true},
		{path: "internal/ledger", caption: "one database, one order", may: []string{"internal/background", "internal/journal", "internal/ledger/dump"}},
		{path: "internal/ledger/dump", caption: "a ledger as one stream", may: []string{"internal/journal"}},
		{path: "internal/ledger/ledgertest", caption: "what both engines must do", may: []string{"internal/journal", "internal/ledger", "internal/ledger/dump"}, kit: true},
		{path: "internal/ledger/pgtest", caption: "a throwaway PostgreSQL", kit: true},
		{path: "internal/replica", caption: "a faithful copy that knows its age", may: []string{"internal/background", "internal/journal"}},
		{path: "internal/sorter", caption: "pairs in order, with bounded memory"},
		{path: "internal/keys", caption: "where private keys live"},
		{path: "internal/keys/keytest", caption: "what every key store must do", may: []string{"internal/keys"}, kit: true},
		{path: "internal/ber", caption: "tag, length, value"},
		{path: "internal/nginxtest", caption: "a web server that judges clients' certificates", kit: true},
		{path: "internal/disktest", caption: "a disk that is soon full", kit: true},
		{path: "internal/house", caption: "this table as a test"},
		{path: "issuance/issuancetest", caption: "a desk to test against", may: []string{"issuance", "issuance/api", "policies", "ca", "certs", "certs/register", "directory", "directory/register", "internal/journal", "internal/ledger", "internal/ledger/pgtest"}, kit: true},
		{path: "issuance/card/cardtest", caption: "what every card must do", may: []string{"issuance/card"}, kit: true},
	}
}

// roof is what people run. Only tools share code with tools, and only below
// tools/internal: the synthetic workforce serves both the demo and the load
// generator, and the desk and the command line enrol cards alike.
func roof() []room {
	return []room{
		{path: "tools/internal/workforce", caption: "people who do not exist, in the tree of those who do", may: []string{"directory"}},
		{path: "tools/internal/pending", caption: "what was asked for a card until the answer is on it", may: []string{"issuance/api", "issuance/card"}},
		{path: "tools/cardinal", caption: "init, serve and every command", may: []string{"certs/", "policies/", "ca/", "issuance/", "directory/", "ocsp/", "internal/", "tools/internal/"}},
		{path: "tools/station", caption: "the registration authority's desk", may: []string{"certs/", "policies", "issuance/api", "issuance/card", "tools/internal/"}},
		{path: "tools/load", caption: "load, with every answer checked", may: []string{"certs/", "issuance", "issuance/api", "issuance/card", "ocsp", "ocsp/relying", "directory", "directory/register", "internal/ber", "internal/journal", "internal/keys", "internal/ledger", "tools/internal/"}},
		{path: "tools/check", caption: "what continuous integration runs", may: []string{"internal/house"}},
	}
}

// A guest is a foreign package that has its place: who may import it, and why
// nobody else.
type guest struct {
	path  string // a trailing slash takes everything below
	rooms []string
	why   string
	tests bool // test files anywhere may import it too
}

func guests() []guest {
	return []guest{
		{path: "github.com/smallstep/certificates/", rooms: []string{"ca"}, why: "the CA key is used in one place", tests: true},
		{path: "modernc.org/sqlite", rooms: []string{"internal/ledger"}, why: "one room speaks SQL engines", tests: true},
		{path: "github.com/jackc/pgx/v5/", rooms: []string{"internal/ledger", "internal/ledger/pgtest"}, why: "one room speaks SQL engines", tests: true},
		{path: "go.etcd.io/bbolt", rooms: []string{"internal/replica", "directory/tree", "ocsp", "tools/cardinal"}, why: "the read side's store", tests: true},
		{path: "github.com/go-asn1-ber/asn1-ber", why: "the server path decodes with internal/ber alone", tests: true},
		{path: "github.com/go-ldap/ldap/v3", rooms: []string{"tools/cardinal", "tools/station", "tools/load"}, why: "a client, never the server path", tests: true},
		{path: "github.com/spf13/cobra", rooms: []string{"tools/cardinal", "tools/station", "tools/load", "tools/check"}, why: "commands stand on the roof"},
		{path: "github.com/zmap/zlint/v3/", rooms: []string{"policies"}, why: "one room judges certificates", tests: true},
		{path: "go.step.sm/crypto/", rooms: []string{"internal/keys"}, why: "one room knows where keys live"},
	}
}
