package ldap_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// shelves is a CA with two shards, of which the second has not come, and a list
// too long for the directory.
type shelves struct {
	issuer *x509.Certificate
	key    crypto.Signer
	der    []byte // of the first shard
	plain  []byte // about everything
}

const (
	userList     = "certificateRevocationList;binary"
	allLists     = "cn=Revocation Lists"
	signingLists = "cn=signing,cn=Revocation Lists"
	firstShard   = "cn=0," + signingLists
)

func newShelves(t testing.TB) *shelves {
	t.Helper()
	s := &shelves{}
	var err error
	s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: "Signing CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
	must(t, err)
	s.issuer, err = x509.ParseCertificate(der)
	must(t, err)
	s.der, s.plain = s.list(t, "http://pki.example/crl/signing/0.crl", 5_000), s.list(t, "", 3)
	return s
}

func (s *shelves) list(t testing.TB, url string, entries int) []byte {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	list := &x509.RevocationList{Number: big.NewInt(42), ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	for i := range entries {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(int64(1000 + i)), RevocationTime: now, ReasonCode: 1})
	}
	if url != "" {
		value, err := asn1.Marshal(struct {
			Point struct {
				Names []asn1.RawValue `asn1:"tag:0"`
			} `asn1:"tag:0"`
		}{struct {
			Names []asn1.RawValue `asn1:"tag:0"`
		}{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}})
		must(t, err)
		list.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.issuer, s.key)
	must(t, err)
	return der
}

func (s *shelves) Authorities() []ldap.ListAuthority {
	return []ldap.ListAuthority{{Name: "root", Certificates: [][]byte{s.issuer.Raw}}, {Name: "signing", Certificates: [][]byte{s.issuer.Raw}}}
}

func (s *shelves) Points(authority string) ([]ldap.DistributionPoint, error) {
	value := func(attribute string, der []byte) ldap.DistributionValue {
		return ldap.DistributionValue{Attribute: attribute, Size: int64(len(der)), Read: func() ([]byte, error) { return der, nil }}
	}
	made := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	if authority == "root" {
		return []ldap.DistributionPoint{{Name: "0", Made: made, Values: []ldap.DistributionValue{value(userList, s.plain), value("authorityRevocationList;binary", s.plain)}}}, nil
	}
	return []ldap.DistributionPoint{
		{Name: "0", Made: made, Values: []ldap.DistributionValue{value(userList, s.der), value("deltaRevocationList;binary", s.plain)}},
		{Name: "1", Values: []ldap.DistributionValue{{Attribute: userList, Read: func() ([]byte, error) { return nil, ldap.ErrNoList }}}},
		{Name: "full", Values: []ldap.DistributionValue{{Attribute: userList, Size: ldap.MaxList + 1}}},
	}, nil
}

// listRules let anybody read the lists.
const listRules = `rules:
  - {name: lists are public, who: [anyone], subtree: "cn=Revocation Lists", attributes: [entry, "*", "+"], rights: [read, search, compare]}
`

func TestRevocationListsStandInTheDirectory(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	need(t, "ldapcompare", "ldap-utils")
	need(t, "openssl", "openssl")
	need(t, "dirmngr", "dirmngr")
	s := newShelves(t)
	r := newRig(t, func(c *ldap.Config) { c.Lists = s })
	r.ldif(workforce)
	t.Run("to a client", func(t *testing.T) { s.searches(t, r) })
	t.Run("to ldapsearch and openssl", func(t *testing.T) { s.openssl(t, r) })
	t.Run("to ldapcompare", func(t *testing.T) { s.compares(t, r) })
	t.Run("not to whom the rules do not say", func(t *testing.T) {
		if out, code := r.program(nil, "ldapcompare", "-x", "-H", "ldap://"+r.plain, firstShard, "cn:0"); code != 32 || strings.Contains(out, "atched") {
			t.Errorf("anonymous compare: %d, %s", code, out)
		}
		if out, code := r.program(nil, "ldapsearch", "-x", "-H", "ldap://"+r.plain, "-b", firstShard, "-s", "base"); code != 32 || strings.Contains(out, "matchedDN") {
			t.Errorf("anonymous: %d, %s", code, out)
		}
	})
	open := newRig(t, func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(listRules + strings.TrimPrefix(directory.DefaultRules, "rules:\n")))
		must(t, err)
		c.Lists, c.Rules = s, rules
	})
	t.Run("to dirmngr", func(t *testing.T) { s.dirmngr(t, open) })
}

func (s *shelves) searches(t *testing.T, r *rig) {
	c, err := client.DialURL("ldap://" + r.plain)
	must(t, err)
	defer c.Close()
	must(t, c.Bind(alex, "alex's password"))
	now := time.Now().UTC().Format("20060102150405Z")
	for _, x := range []struct {
		name, base, filter string
		scope              int
		attributes         []string
		code               uint16
		want               string // names, without what they share
	}{
		{"a list", firstShard, "(objectClass=*)", 0, []string{userList}, 0, "cn=0,cn=signing"},
		{"all lists of a CA, of which one is missing", signingLists, "(objectClass=*)", 1, []string{userList}, 52, "cn=0,cn=signing"},
		{"names alone", allLists, "(objectClass=*)", 2, []string{"cn"}, 0, " cn=root cn=0,cn=root cn=signing cn=0,cn=signing cn=1,cn=signing cn=full,cn=signing"},
		{"the CAs", allLists, "(cACertificate=*)", 1, []string{"cACertificate;binary"}, 0, "cn=root cn=signing"},
		{"one that has not come", "cn=1," + signingLists, "(objectClass=*)", 0, nil, 52, ""},
		{"one that is too long", "cn=full," + signingLists, "(objectClass=*)", 0, []string{"*"}, 11, ""},
		{"one that is not", "cn=2," + signingLists, "(objectClass=*)", 0, nil, 32, ""},
		{"by exact match", "cn=root," + allLists, fmt.Sprintf(`(authorityRevocationList={issuer rdnSequence:"cn=Signing CA,o=Example", thisUpdate utcTime:"%s"})`,
			mustList(t, s.plain).ThisUpdate.UTC().Format("060102150405Z")), 2, []string{"cn"}, 0, "cn=0,cn=root"},
		{"by what it covers", "cn=0,cn=root," + allLists, `(certificateRevocationList:certificateListMatch:={minCRLNumber 42, dateAndTime generalizedTime:"` + now + `"})`, 0, []string{"cn"}, 0, "cn=0,cn=root"},
		{"of a later number", "cn=0,cn=root," + allLists, `(certificateRevocationList:certificateListMatch:={minCRLNumber 43})`, 0, []string{"cn"}, 0, ""},
		{"as of when", firstShard, "(modifyTimestamp=20270102030405Z)", 0, []string{"modifyTimestamp"}, 0, "cn=0,cn=signing"},
	} {
		found, err := c.Search(client.NewSearchRequest(x.base, x.scope, 0, 0, 0, false, x.filter, x.attributes, nil))
		wants(t, x.name, err, x.code)
		var got []string
		for _, e := range found.Entries {
			got = append(got, strings.TrimSuffix(strings.TrimSuffix(e.DN, allLists), ","))
			if der := e.GetRawAttributeValue(userList); len(der) > 0 && !bytes.Equal(der, s.der) && !bytes.Equal(der, s.plain) {
				t.Errorf("%s: %s has another list", x.name, e.DN)
			}
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%s: %q, want %q", x.name, strings.Join(got, " "), x.want)
		}
	}
	_, err = c.Search(client.NewSearchRequest(allLists, 2, 0, 0, 0, false, "(objectClass=*)", nil, []client.Control{client.NewControlString("1.3.6.1.4.1.4203.1.9.1.1", true, "\x30\x03\x0a\x01\x01")}))
	wants(t, "content synchronization", err, 53)
	found, err := c.SearchWithPaging(client.NewSearchRequest(firstShard, 0, 0, 0, 0, false, "(objectClass=*)", []string{"deltaRevocationList"}, nil), 10)
	wants(t, "paged", err, 0)
	if len(found.Entries) != 1 || !bytes.Equal(found.Entries[0].GetRawAttributeValue("deltaRevocationList;binary"), s.plain) || len(found.Entries[0].Attributes) != 1 {
		t.Errorf("paged: %+v", found.Entries)
	}
}

// compares: OpenLDAP's ldapcompare is told by its exit code what a search for the same would find.
func (s *shelves) compares(t *testing.T, r *rig) {
	exact := func(list []byte) string {
		return fmt.Sprintf(`{issuer rdnSequence:"cn=Signing CA,o=Example", thisUpdate utcTime:"%s"}`, mustList(t, list).ThisUpdate.UTC().Format("060102150405Z"))
	}
	octets := func(list []byte) string { return ":" + base64.StdEncoding.EncodeToString(list) }
	const rootList, never = "cn=0,cn=root," + allLists, `{issuer rdnSequence:"cn=Signing CA,o=Example", thisUpdate utcTime:"200102030405Z"}`
	for _, x := range []struct {
		entry, assertion string
		code             int
	}{
		{rootList, "authorityRevocationList:" + exact(s.plain), 6},
		{rootList, "certificateRevocationList;binary:" + exact(s.plain), 6},
		{rootList, "certificateRevocationList;binary:" + octets(s.plain), 6},
		{rootList, "certificateRevocationList:" + never, 5},
		{rootList, "deltaRevocationList:" + exact(s.plain), 16},
		{rootList, "certificateRevocationList:no list", 21},
		{rootList, "certificateRevocationLost:no list", 17},
		{rootList, "cn:0", 6},
		{firstShard, "certificateRevocationList:" + exact(s.der), 6},
		{firstShard, "modifyTimestamp:20270102030405Z", 6},
		{signingLists, "objectClass:pkiCA", 6},
		{signingLists, "certificateRevocationList:" + exact(s.der), 16},
		{allLists, "cn:Revocation Lists", 6},
		{"cn=1," + signingLists, "certificateRevocationList:" + exact(s.der), 52},
		{"cn=1," + signingLists, "cn:1", 6}, // which needs no list
		{"cn=full," + signingLists, "certificateRevocationList:" + exact(s.der), 11},
		{"cn=2," + signingLists, "cn:2", 32},
	} {
		out, code := r.program(nil, "ldapcompare", "-x", "-H", "ldap://"+r.plain, "-D", alex, "-w", "alex's password", x.entry, x.assertion)
		if code != x.code {
			t.Errorf("%s %.80s: %d, want %d: %s", x.entry, x.assertion, code, x.code, out)
		}
	}
	if out, _ := r.program(nil, "ldapcompare", "-x", "-H", "ldap://"+r.plain, "-D", alex, "-w", "alex's password", "cn=2,"+signingLists, "cn:2"); !strings.Contains(out, "atched DN: "+signingLists) {
		t.Errorf("one that is not: %s", out)
	}
}

func mustList(t testing.TB, der []byte) *x509.RevocationList {
	t.Helper()
	list, err := x509.ParseRevocationList(der)
	must(t, err)
	return list
}

// openssl has ldapsearch write the list to a file and openssl verify that.
func (s *shelves) openssl(t *testing.T, r *rig) {
	dir := t.TempDir()
	out, code := r.program(nil, "ldapsearch", "-x", "-H", "ldap://"+r.plain, "-D", alex, "-w", "alex's password", "-LLL", "-t", "-T", dir,
		"-b", firstShard, "-s", "base", userList)
	files, err := filepath.Glob(filepath.Join(dir, "ldapsearch-certificateRevocationList*"))
	if code != 0 || err != nil || len(files) != 1 {
		t.Fatalf("%d, %v, %v: %s", code, files, err, out)
	}
	certificate := filepath.Join(dir, "ca.der")
	must(t, os.WriteFile(certificate, s.issuer.Raw, 0o600))
	text, code := r.program(nil, "openssl", "x509", "-inform", "der", "-in", certificate, "-out", certificate+".pem")
	if code != 0 {
		t.Fatal(text)
	}
	out, code = r.program(nil, "openssl", "crl", "-inform", "der", "-in", files[0], "-CAfile", certificate+".pem", "-noout", "-crlnumber", "-text")
	if code != 0 || !strings.Contains(out, "verify OK") || !strings.Contains(out, "crlNumber=0x2A") || strings.Count(out, "Serial Number:") != 5_000 {
		t.Errorf("%d: %.600s", code, out)
	}
}

// dirmngr fetches lists over LDAP as GnuPG does, verifies them and keeps them.
// That of GnuPG 2.2 cannot verify ECDSA signatures on lists and refuses every
// critical extension it does not know, so it is shown an RSA issuer's complete
// list.
func (s *shelves) dirmngr(t *testing.T, r *rig) {
	home := t.TempDir()
	pemFile := filepath.Join(home, "ca.pem")
	must(t, os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.issuer.Raw}), 0o600))
	for _, x := range []struct{ path, want string }{
		{"cn=0,cn=root,cn=Revocation%20Lists?authorityRevocationList;binary?base", "OK"},
		{"cn=0,cn=root,cn=Revocation%20Lists?certificateRevocationList", "OK"},
		{"cn=0,cn=signing,cn=Revocation%20Lists?certificateRevocationList;binary?base?(objectClass=cRLDistributionPoint)", "ERR"}, // the critical extension
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "dirmngr", "--server", "--homedir", home, "--hkp-cacert", pemFile)
		cmd.Stdin = strings.NewReader("LOADCRL --url ldap://" + r.plain + "/" + x.path + "\nBYE\n")
		var out, log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &log
		err := cmd.Run()
		if last := strings.Split(strings.TrimSpace(out.String()), "\n"); len(last) < 3 || !strings.HasPrefix(last[len(last)-2], x.want) {
			t.Errorf("%s: %v, %s\n%s", x.path, err, out.String(), log.String())
		}
	}
	out, code := r.program(nil, "dirmngr", "--homedir", home, "--list-crls")
	if code != 0 || !strings.Contains(out, "Signing CA") || !strings.Contains(out, "42") && !strings.Contains(out, "2A") {
		t.Errorf("kept: %d, %s", code, out)
	}
}
