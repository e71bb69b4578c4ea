package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/internal/nginxtest"
	"cardinal/policies"
)

// cell is one certificate judged by one kind of list; "url" is the shard, fetched from where the certificate says.
type cell struct{ kind, state string }

func cells() (all []cell) {
	for _, kind := range []string{"full", "shard", "delta", "url"} {
		for _, state := range []string{"good", "revoked", "held", "released"} {
			all = append(all, cell{kind, state})
		}
	}
	return all
}

func (c cell) verdict() string {
	if c.state == "good" || c.state == "released" {
		return "good"
	}
	return "revoked"
}

// shelf is a folder with what a relying system has: STATE.der and .pem, the
// CAs, full, STATE-shard, base and delta as .crl and .pem, and root.crl, the
// root's list. The base was made before everything that happened but a hold.
type shelf struct {
	*desk
	certificates map[string]*x509.Certificate
	keys         map[string]*ecdsa.PrivateKey
	lists        map[string][]byte // by name, DER
	once         sync.Mutex
	said         map[string][]string          // by program, of those that judge all cells at once
	nginx        map[string]*nginxtest.Server // by kind
}

func newShelf(w *world) *shelf {
	w.Helper()
	s := &shelf{desk: newDesk(w), certificates: map[string]*x509.Certificate{}, keys: map[string]*ecdsa.PrivateKey{}, lists: map[string][]byte{},
		said: map[string][]string{}, nginx: map[string]*nginxtest.Server{}}
	refs, shards := map[string]certs.Ref{}, map[string]uint16{}
	for _, state := range []string{"good", "revoked", "held", "released"} {
		key := newKey(w, elliptic.P256())
		one := w.issue([]ca.Order{{Issuer: ca.Authentication, Card: state, RequestID: state, Request: policies.Request{Profile: policies.ProfileAuthentication,
			Subject: policies.Subject{UUID: "900000000017", Given: "Alex", Family: "Example"}, PublicKey: key.Public()}}})[0]
		s.keys[state], s.certificates[state], refs[state], shards[state] = key, one.Certificate, one.Ref, one.Shard
		s.put(state+".pem", "CERTIFICATE", one.Certificate.Raw)
		s.write(state+".der", one.Certificate.Raw)
	}
	full, delta := certs.ListName{Kind: certs.ListFull}, certs.ListName{Kind: certs.ListFull, Delta: true}
	a := w.with(everyList)
	w.setStatus(certs.Held(), refs["released"])
	now := func(a *ca.Authority, which certs.ListName) { // by the real clock, which the judges have
		w.Helper()
		if _, err := a.PublishList(w.Context(), ca.Authentication, which); err != nil {
			w.Fatal(err)
		}
	}
	now(a, full)
	s.keep("base", full)
	w.setStatus(certs.Revoked(certs.ReasonKeyCompromise), refs["revoked"])
	w.setStatus(certs.Held(), refs["held"])
	w.write(func(tx *ledger.Tx) error { return register.Release(tx, []certs.Ref{refs["released"]}) })
	now(a, full)
	s.keep("full", full)
	s.keep("delta", delta)
	all := [][]byte{}
	for shard := range uint16(ca.Shards) {
		now(w.authority, certs.ShardList(shard))
		all = append(all, w.listDER(ca.Authentication, shard))
	}
	s.put("shards.pem", "X509 CRL", append(all, w.listDER(ca.Root, 0))...)
	for state, shard := range shards {
		s.keep(state+"-shard", certs.ShardList(shard))
	}
	root := w.listDER(ca.Root, 0)
	s.write("root.crl", root)
	s.put("root-list.pem", "X509 CRL", root)
	s.put("both.pem", "X509 CRL", s.lists["base"], s.lists["delta"], root)
	s.put("full-root.pem", "X509 CRL", s.lists["full"], root)
	s.put("cas.pem", "CERTIFICATE", w.hierarchy.Issuers[ca.Authentication].Certificate.Raw, w.hierarchy.Issuers[ca.Root].Certificate.Raw)
	return s
}

func (s *shelf) write(name string, der []byte) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), der, 0o600); err != nil {
		s.Fatal(err)
	}
}

// keep puts a list on the shelf.
func (s *shelf) keep(name string, which certs.ListName) {
	s.Helper()
	list, _ := s.named(ca.Authentication, which)
	s.lists[name] = list.Raw
	s.write(name+".crl", list.Raw)
	s.put(name+".crl.pem", "X509 CRL", list.Raw)
}

// path is where a file of the shelf is.
func (s *shelf) path(name string) string { return filepath.Join(s.dir, name) }

// listFor is the name of the list a cell is judged by; a delta stands on base.
func (c cell) listFor() string {
	if c.kind == "shard" || c.kind == "url" {
		return c.state + "-shard"
	}
	return c.kind
}

// judge is a client: what it can read, and what it makes of it.
type judge struct {
	name     string
	programs []string // and the packages they are in, in turn
	kinds    []string
	ask      func(t *testing.T, s *shelf, c cell) (verdict, output string)
}

// judges: gnutls, nginx and Java read no deltas; NSS refuses a list with any
// critical extension it does not know, as RFC 5280 §5.2 demands, and so does GnuPG's dirmngr. openssl, Java and curl fetch
// by the URL in the certificate.
func judges() []judge {
	all, complete, fetched := []string{"full", "shard", "delta"}, []string{"full", "shard"}, []string{"full", "shard", "url"}
	return []judge{
		{"raw", nil, append(all, "url"), askRaw},
		{"openssl", []string{"openssl", "openssl"}, append(all, "url"), askOpenSSL},
		{"python", []string{"python3", "python3-cryptography"}, all, askPython},
		{"gnutls", []string{"certtool", "gnutls-bin", "curl", "curl"}, fetched, askGnuTLS},
		{"java", []string{"javac", "default-jdk-headless"}, fetched, askJava},
		{"nginx", []string{"nginx", "nginx-light"}, complete, askNginx},
		{"nss", []string{"vfychain", "libnss3-tools", "crlutil", "libnss3-tools"}, []string{"full"}, askNSS},
	}
}

func TestEveryKindOfListIsUnderstoodAbroad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	public := listenPublic(t)
	s := newShelf(newWorldAt(t, public))
	s.serveLists(public)
	t.Run("judges", func(t *testing.T) {
		for _, j := range judges() {
			t.Run(j.name, func(t *testing.T) {
				t.Parallel()
				for i := 0; i < len(j.programs); i += 2 {
					need(t, j.programs[i], j.programs[i+1])
				}
				if j.name == "python" && exec.CommandContext(t.Context(), "python3", "-c", "import cryptography").Run() != nil {
					t.Skipf("needs %s: apt-get install -y %s", "python3", "python3-cryptography")
				}
				for _, c := range cells() {
					if !slices.Contains(j.kinds, c.kind) {
						continue
					}
					if verdict, output := j.ask(t, s, c); verdict != c.verdict() {
						t.Errorf("%s, %+v: %q, want %q\n%s", j.name, c, verdict, c.verdict(), output)
					}
				}
			})
		}
	})
	t.Run("dirmngr", s.dirmngrTakesNoShard)
	for _, c := range cells() {
		var foreign []string
		for _, j := range judges() {
			if slices.Contains(j.kinds, c.kind) && j.name != "raw" {
				foreign = append(foreign, j.name)
			}
		}
		if len(foreign) == 0 {
			t.Errorf("no foreign client covers %+v", c)
		}
		t.Logf("%-5s %-8s raw %s", c.kind, c.state, strings.Join(foreign, " "))
	}
}

// askRaw is RFC 5280 §6.3 by hand.
func askRaw(t *testing.T, s *shelf, c cell) (verdict, output string) {
	certificate, issuer := s.certificates[c.state], s.hierarchy.Issuers[ca.Authentication].Certificate
	revoked := map[string]int{}
	names := []string{c.listFor()}
	if c.kind == "delta" {
		names = []string{"base", "delta"}
	}
	var base *big.Int
	for _, name := range names {
		der := s.lists[name]
		if c.kind == "url" {
			der = s.fetch(t, c)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil || list.CheckSignatureFrom(issuer) != nil {
			return "", name + " is not a list of the CA"
		}
		point, critical := extension(list, certs.OIDIssuingDistribution)
		if name == c.state+"-shard" && (!critical || !strings.Contains(string(point), certificate.CRLDistributionPoints[0])) || c.kind != "shard" && c.kind != "url" && point != nil {
			return "", name + " is about other certificates"
		}
		if _, indicated := extension(list, certs.OIDDeltaCRLIndicator); indicated != (name == "delta") {
			return "", name + " is no complete list, or no delta"
		}
		if base != nil && list.Number.Cmp(base) <= 0 {
			return "", "the delta is older than its base"
		}
		base = list.Number
		for serial, reason := range reasons(list) {
			if revoked[serial] = reason; reason == int(certs.ReasonRemoveFromCRL) {
				delete(revoked, serial)
			}
		}
	}
	if _, listed := revoked[certificate.SerialNumber.String()]; listed {
		return "revoked", ""
	}
	return "good", ""
}
