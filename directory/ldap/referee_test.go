package ldap_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
)

// quietAddress is free, and below the ports that systems give out by
// themselves: no other test is given it before a program listens there.
func quietAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(10_000)))
		if err == nil {
			must(t, l.Close())
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// startSlapd starts OpenLDAP's server with the same schema, entries and root
// identity as the rig, and returns its address.
func startSlapd(t *testing.T, ldif string) string {
	t.Helper()
	need(t, "/usr/sbin/slapd", "slapd")
	dir := t.TempDir()
	nhs, err := filepath.Abs("../schema/nhs/nhs.schema")
	must(t, err)
	conf := fmt.Sprintf("include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"+
		"include /etc/ldap/schema/inetorgperson.schema\ninclude %s\npidfile %[2]s/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload sssvlv\n"+
		"database mdb\nsuffix \"o=nhs\"\nrootdn \"%[3]s\"\nrootpw \"%[4]s\"\ndirectory %[2]s\n"+
		"index objectClass,uid,cn eq\noverlay sssvlv\n", nhs, dir, rootDN, rootPassword)
	must(t, os.WriteFile(filepath.Join(dir, "slapd.conf"), []byte(conf), 0o600))
	address := quietAddress(t)
	cmd := exec.Command("/usr/sbin/slapd", "-d", "0", "-f", filepath.Join(dir, "slapd.conf"), "-h", "ldap://"+address)
	var log bytes.Buffer
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := client.DialURL("ldap://" + address)
		if err == nil {
			fill(t, c, ldif)
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not answer: %v\n%s", err, log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func fill(t *testing.T, c *client.Conn, ldif string) {
	t.Helper()
	defer c.Close()
	must(t, c.Bind(rootDN, rootPassword))
	reader := directory.NewLDIFReader(strings.NewReader(ldif))
	for {
		record, err := reader.Next()
		if err != nil {
			return
		}
		r := client.NewAddRequest(record.Entry.DN.String(), nil)
		for _, a := range record.Entry.Attributes {
			var values []string
			for _, v := range a.Values {
				values = append(values, string(v))
			}
			r.Attribute(a.Type, values)
		}
		must(t, c.Add(r))
	}
}

// exchange is one conversation of the comparison.
type exchange struct {
	name   string
	plain  bool // not bound as root first
	pdus   [][]byte
	last   int    // id whose answer ends it; 0: until closed or silent
	differ string // why our answer is another one, and how it begins
}

func one(name string, pdu []byte) exchange {
	return exchange{name: name, pdus: [][]byte{pdu}, last: 5}
}

func raw(name, octets string, last int, differ string) exchange {
	b, err := hex.DecodeString(strings.ReplaceAll(octets, " ", ""))
	if err != nil {
		panic(name + ": " + err.Error())
	}
	return exchange{name: name, plain: true, pdus: [][]byte{b}, last: last, differ: differ}
}

// run has the conversation. Where it ends with no answer, silence is what
// lasts as long as quiet.
func (x exchange) run(t *testing.T, address string, schema *directory.Schema, quiet time.Duration) string {
	t.Helper()
	w := openWire(t, address, schema)
	if !x.plain {
		w.send(bind(1, rootDN, rootPassword))
		if got := w.until(1, 20*time.Second); got != "#1 op61 code 0" {
			t.Fatalf("bind: %s", got)
		}
	}
	w.send(x.pdus...)
	if x.last > 0 {
		return w.until(x.last, 20*time.Second)
	}
	var out []string
	for {
		m := w.next(quiet)
		out = append(out, m)
		if m == "closed" || m == "silent" {
			return strings.Join(out, "\n")
		}
	}
}

// TestAnswersAreSlapds holds the same conversations with OpenLDAP's server and
// with ours. Where ours is another answer on purpose, the case says which.
func TestAnswersAreSlapds(t *testing.T) {
	t.Parallel()
	theirs := startSlapd(t, workforce)
	r := newRig(t, nil)
	r.ldif(workforce)
	var cases []exchange
	cases = append(cases, searchCases(t)...)
	cases = append(cases, updateCases(t)...)
	cases = append(cases, rawCases(t)...)
	for _, x := range cases {
		const quiet = 700 * time.Millisecond
		want := x.run(t, theirs, r.schema, quiet)
		got := x.run(t, r.plain, r.schema, quiet)
		if x.last == 0 && got != want && !(x.differ != "" && strings.HasPrefix(got, x.differ)) { // one of them may only have been slow
			want, got = x.run(t, theirs, r.schema, time.Minute), x.run(t, r.plain, r.schema, time.Minute)
		}
		switch {
		case x.differ != "" && strings.HasPrefix(got, x.differ):
		case x.differ != "":
			t.Errorf("%s:\nours   %s\nshould begin %s", x.name, got, x.differ)
		case got != want:
			t.Errorf("%s:\nours   %s\nslapd  %s", x.name, got, want)
		}
	}
	t.Logf("%d conversations", len(cases))
}
