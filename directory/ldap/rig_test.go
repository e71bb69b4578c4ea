package ldap_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/replica"
)

const (
	rootDN       = "cn=admin,o=nhs"
	rootPassword = "correct horse"
	rootVerifier = "{SSHA}VQysdTiIXUBoDr2TzYj0h8JUBdQxMjM0NTY3OA=="
)

// rig is the whole way of an entry: ledger, register, replica, tree, server.
type rig struct {
	t        testing.TB
	schema   *directory.Schema
	ledger   *ledger.Ledger
	updates  register.Updates
	replica  *replica.Replica
	tree     *tree.Tree
	server   *ldap.Server
	config   ldap.Config
	pki      *pki
	cards    *cards
	plain    string // host:port
	secure   string
	issuance register.Author
}

// cards is a CardStatus that is told what is good.
type cards struct {
	mu       sync.Mutex
	bad      map[string]bool               // DER of ours; true: not good
	standing map[string]directory.Standing // what more is known of them
}

func (c *cards) Standing(der []byte) directory.Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, told := c.standing[string(der)]; told {
		return s
	}
	return directory.Standing{State: directory.CertificateForeign}
}

// stand says what became of a certificate.
func (c *cards) stand(der []byte, s directory.Standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standing == nil {
		c.standing = map[string]directory.Standing{}
	}
	c.standing[string(der)] = s
	c.bad[string(der)] = s.State != directory.CertificateGood
}

func (c *cards) Known(der []byte) (known, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	bad, known := c.bad[string(der)]
	return known, known && !bad
}

func (c *cards) set(der []byte, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad[string(der)] = !good
}

func newRig(t testing.TB, change func(c *ldap.Config)) *rig {
	t.Helper()
	return newRigKeeping(t, tree.History{}, change)
}

// newRigKeeping makes a rig whose tree keeps a history within other bounds.
// It waits for the disk, so that no test with a rig is a short one.
func newRigKeeping(t testing.TB, keep tree.History, change func(c *ldap.Config)) *rig {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	schema, err := directory.DefaultSchema()
	must(t, err)
	suffix, err := directory.ParseDN("o=nhs")
	must(t, err)
	people, err := directory.ParseDN("ou=People,o=nhs")
	must(t, err)
	r := &rig{t: t, schema: schema, issuance: register.Author{DN: "cn=issuance", Issuance: true}, cards: &cards{bad: map[string]bool{}}}
	dir := t.TempDir()
	r.ledger, err = ledger.Create(t.Context(), ledger.Options{URL: "sqlite:" + filepath.Join(dir, "ledger.db"), Rooms: []ledger.Room{register.Room()}})
	must(t, err)
	t.Cleanup(func() { _ = r.ledger.Close() })
	entries, err := register.New(schema, register.Config{Suffixes: []directory.DN{suffix}, Managed: []directory.DN{people}})
	must(t, err)
	r.updates = register.Updates{Register: entries, Ledger: r.ledger}
	options := tree.Options{SpillDir: dir, History: keep}
	if _, measured := t.(*testing.B); measured { // in a test it would come at any time
		options.Memory = 256 << 20
	}
	r.tree, err = tree.New(schema, options)
	must(t, err)
	r.replica, err = replica.Open(t.Context(), replica.Options{Path: filepath.Join(dir, "replica.db"), Feed: r.ledger.NearFeed(), Appliers: []replica.Applier{r.tree}, SyncAfter: time.Second})
	must(t, err)
	r.follow()
	r.pki = newPKI(t)
	root, err := directory.ParseDN(rootDN)
	must(t, err)
	config := ldap.Config{Tree: r.tree, Replica: r.replica, Writer: ldapWriter{r.updates}, Original: headOf{r.ledger}, CardStatus: r.cards, TLS: r.pki.server(),
		AllowPlaintextBind: true, Suffixes: []ldap.Suffix{{DN: suffix, RootDN: root, RootPassword: []byte(rootVerifier)}},
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if change != nil {
		change(&config)
	}
	r.config = config
	r.serve(config)
	return r
}

type testLog struct{ testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.Context().Err() == nil {
		l.Logf("%s", p)
	}
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.replica.Follow(ctx); err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("following ended: %v", err)
		}
	})
	done.Go(func() { r.ledger.Beat(ctx) })
	r.t.Cleanup(func() { cancel(); done.Wait(); must(r.t, r.replica.Close()) })
}

func (r *rig) serve(c ldap.Config) {
	var err error
	r.server, err = ldap.New(c)
	must(r.t, err)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	r.plain, r.secure = plain.Addr().String(), secure.Addr().String()
	var done sync.WaitGroup
	done.Go(func() { _ = r.server.Serve(plain) })
	if c.TLS != nil {
		done.Go(func() { _ = r.server.ServeTLS(secure) })
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			r.t.Errorf("shutting down: %v", err)
		}
		done.Wait()
	})
}

// ldif adds entries as issuance would, so also below ou=People.
func (r *rig) ldif(text string) {
	r.t.Helper()
	reader := directory.NewLDIFReader(strings.NewReader(text))
	var last journal.Position
	for {
		record, err := reader.Next()
		if err != nil {
			break
		}
		if last, err = r.updates.Add(r.t.Context(), r.issuance, record.Entry); err != nil {
			r.t.Fatalf("adding %s: %v", record.Entry.DN, err)
		}
	}
	must(r.t, r.replica.WaitFor(r.t.Context(), last))
}

const workforce = `dn: o=nhs
objectClass: organization
o: nhs

dn: ou=People,o=nhs
objectClass: organizationalUnit
ou: People

dn: ou=Services,o=nhs
objectClass: organizationalUnit
ou: Services

dn: uid=900000000017,ou=People,o=nhs
objectClass: nhsPerson
uid: 900000000017
cn: Alex Example
sn: Example
nhsPersonStatus: 1
mail: alex@example.org
userPassword: alex's password

dn: uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs
objectClass: nhsOrgPerson
uniqueIdentifier: 900000000025
uid: 900000000017
cn: Alex Example
sn: Example
o: EXAMPLE NHS TRUST
nhsIDCode: X99

dn: uniqueIdentifier=900000000033,uniqueIdentifier=900000000025,uid=900000000017,ou=People,o=nhs
objectClass: nhsOrgPersonRole
uniqueIdentifier: 900000000033
nhsIDCode: X99
nhsJobRole: "Clinical":"Clinical Provision":"Clinical Practitioner Access Role"
nhsJobRoleCode: S8000:G8000:R8000

dn: uid=900000000041,ou=People,o=nhs
objectClass: nhsPerson
uid: 900000000041
cn: Bo Beispiel
cn;lang-en: Bo Instance
sn: Beispiel
nhsPersonStatus: 1
userPassword: {SSHA}mGqXLEzQqBlsXK3oKc2MKYEvMJsUV4Fh

dn: cn=reader,ou=Services,o=nhs
objectClass: inetOrgPerson
cn: reader
sn: reader
userPassword: {SSHA}hDuQ2kVw6yqGkioFbiFGiQJ+jQIxMjM0NTY3OA==
`

// dial connects and binds; an empty name stays anonymous.
func (r *rig) dial(dn, password string) *client.Conn {
	r.t.Helper()
	c, err := client.DialURL("ldap://" + r.plain)
	must(r.t, err)
	c.SetTimeout(time.Minute)
	r.t.Cleanup(func() { _ = c.Close() })
	if dn != "" {
		must(r.t, c.Bind(dn, password))
	}
	return c
}

// program runs a program of ldap-utils against the server and returns what it
// prints and its exit code, which is the result code.
func (r *rig) program(environment []string, name string, args ...string) (string, int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	ca := filepath.Join(r.t.TempDir(), "ca.pem")
	must(r.t, os.WriteFile(ca, r.pki.caPEM, 0o600))
	cmd.Env = append(append(os.Environ(), "LDAPTLS_CACERT="+ca, "LDAPCONF=/dev/null"), environment...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func need(t testing.TB, program, pkg string) {
	t.Helper()
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s: apt-get install -y %s", program, pkg)
	}
}

func tlsConfig(p *pki, cert *tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.caPEM)
	c := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return c
}
