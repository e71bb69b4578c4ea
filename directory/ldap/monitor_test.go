package ldap_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

// monitoredBy reads all of cn=Monitor as root, by name in lower case.
func monitoredBy(t *testing.T, address string) map[string]*client.Entry {
	t.Helper()
	c, err := client.DialURL("ldap://" + address)
	must(t, err)
	defer c.Close()
	must(t, c.Bind(rootDN, rootPassword))
	entries, err := search(c, "cn=Monitor", "(objectClass=*)", "*", "+")
	must(t, err)
	out := map[string]*client.Entry{}
	for _, e := range entries {
		out[strings.ToLower(e.DN)] = e
	}
	return out
}

// startMonitor starts an OpenLDAP server with nothing but its monitor.
func startMonitor(t *testing.T) (address string) {
	t.Helper()
	need(t, "/usr/sbin/slapd", "slapd")
	dir := t.TempDir()
	conf := fmt.Sprintf("include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_monitor\ndatabase monitor\nrootdn \"%s\"\nrootpw \"%s\"\n", "cn=Monitor", rootPassword)
	must(t, os.WriteFile(filepath.Join(dir, "slapd.conf"), []byte(conf), 0o600))
	address = quietAddress(t)
	cmd := exec.Command("/usr/sbin/slapd", "-d", "0", "-f", filepath.Join(dir, "slapd.conf"), "-h", "ldap://"+address)
	var log bytes.Buffer
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := client.DialURL("ldap://" + address)
		if err == nil {
			_ = c.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not answer: %v\n%s", err, log.String())
		}
	}
}

func TestMonitorHasTheFormOfSlapds(t *testing.T) {
	t.Parallel()
	theirs := startMonitor(t)
	r := newRig(t, nil)
	r.ldif(workforce)
	c, err := client.DialURL("ldap://" + theirs)
	must(t, err)
	defer c.Close()
	must(t, c.Bind("cn=Monitor", rootPassword))
	entries, err := search(c, "cn=Monitor", "(objectClass=*)", "*", "+")
	must(t, err)
	ours := monitoredBy(t, r.plain)
	compared := 0
	for _, e := range entries {
		low := strings.ToLower(e.DN)
		part := strings.Split(low, ",")
		switch container := part[max(0, len(part)-2)]; {
		case !slices.Contains([]string{"cn=connections", "cn=operations", "cn=statistics", "cn=threads", "cn=time"}, container) && len(part) > 1,
			strings.HasPrefix(low, "cn=connection "), strings.HasPrefix(low, "cn=max "),
			container == "cn=threads" && part[0] != "cn=max" && part[0] != "cn=active": // what ours has not
			continue
		}
		compared++
		own := ours[low]
		if own == nil {
			t.Errorf("%s is missing", e.DN)
			continue
		}
		for _, a := range e.Attributes {
			values := own.GetAttributeValues(a.Name)
			switch {
			case slices.Contains([]string{"creatorsName", "modifiersName", "description"}, a.Name):
			case len(values) == 0:
				t.Errorf("%s has no %s", e.DN, a.Name)
			case slices.Contains([]string{"objectClass", "structuralObjectClass", "cn", "entryDN", "hasSubordinates", "subschemaSubentry"}, a.Name) && !slices.Equal(values, a.Values):
				t.Errorf("%s: %s is %q, slapd has %q", e.DN, a.Name, values, a.Values)
			}
		}
	}
	if compared < 25 {
		t.Errorf("only %d entries compared", compared)
	}
	own, err := client.DialURL("ldap://" + r.plain)
	must(t, err)
	defer own.Close()
	must(t, own.Bind(rootDN, rootPassword))
	for _, x := range [][3]string{{"cn=Monitor", "objectClass", "monitorServer"}, {"cn=Search,cn=Operations,cn=Monitor", "cn", "search"},
		{"cn=Search,cn=Operations,cn=Monitor", "monitorOpCompleted", "77777777"}, {"cn=Search,cn=Operations,cn=Monitor", "description", "x"},
		{"cn=Search,cn=Operations,cn=Monitor", "nonsense", "x"}, {"cn=Nothing,cn=Operations,cn=Monitor", "cn", "x"}} {
		want, wantErr := c.Compare(x[0], x[1], x[2])
		got, gotErr := own.Compare(x[0], x[1], x[2])
		if got != want || codeOf(t, gotErr) != codeOf(t, wantErr) {
			t.Errorf("comparing %q: %v, %v; slapd has %v, %v", x, got, gotErr, want, wantErr)
		}
	}
}

const monitorRules = `rules:
  - name: nagios watches
    who: ["dn: cn=reader,ou=Services,o=nhs"]
    subtree: "cn=Monitor"
    attributes: [entry, "*", "+", "!monitorCandidates"]
    rights: [read, search]
`

func TestMonitorTellsThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	need(t, "ldapsearch", "ldap-utils")
	r := newRig(t, func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(monitorRules + strings.TrimPrefix(directory.DefaultRules, "rules:\n")))
		must(t, err)
		c.Rules = rules
	})
	r.many(300)
	ask := func(who, password string, args ...string) (string, int) {
		t.Helper()
		login := []string{"-x", "-H", "ldap://" + r.plain, "-LLL", "-o", "ldif-wrap=no"}
		if who != "" {
			login = append(login, "-D", who, "-w", password)
		}
		return r.program(nil, "ldapsearch", append(login, args...)...)
	}
	for _, who := range [][2]string{{"", ""}, {alex, "alex's password"}} {
		if out, code := ask(who[0], who[1], "-b", "cn=Monitor"); code != 32 || strings.Contains(out, "Monitor") {
			t.Errorf("%q sees it: %d, %s", who[0], code, out)
		}
	}
	if out, _ := ask("", "", "-b", "", "-s", "base", "monitorContext"); !strings.Contains(out, "monitorContext: cn=Monitor") {
		t.Errorf("the root DSE does not tell of it: %s", out)
	}
	if _, code := ask(reader, "reading", "-b", "o=nhs", "(description=nosecret)", "1.1"); code != 0 {
		t.Fatal("the costly search failed")
	}
	await(t, "it is counted, which comes after its answer", func() bool { return ldap.Idle(r.server) })
	for _, x := range []struct {
		args []string
		want []string
		not  string
		code int
	}{
		{[]string{"-b", "cn=Search,cn=Operations,cn=Monitor", "-s", "base", "monitorOpCompleted", "monitorMicroseconds99"}, []string{"dn: cn=Search,cn=Operations,cn=Monitor", "monitorOpCompleted: 4", "monitorMicroseconds99: "}, "cn:", 0},
		{[]string{"-b", "cn=operations,CN=monitor", "-s", "one", "(&(objectClass=monitorOperation)(monitorOpCompleted>=1))", "1.1"}, []string{"cn=Search,", "cn=Bind,", "cn=Unbind,"}, "cn=Add,", 0},
		{[]string{"-b", "cn=Monitor", "(monitorFilter=*)", "+"}, []string{"monitorFilter: (description=?)", "monitorIndex: description", "monitorCounter: 1"}, "monitorCandidates", 0},
		{[]string{"-b", "cn=Monitor", "(monitorCandidates>=1)", "1.1"}, nil, "dn:", 0},
		{[]string{"-b", "cn=Replica,cn=Monitor", "-s", "children", "(cn=Position)", "monitorCounter"}, []string{"cn=Position,cn=Replica,cn=Monitor"}, "cn=Epoch", 0},
		{[]string{"-b", "cn=Time,cn=Monitor", "-s", "one", "-E", "pr=2/noprompt", "monitorTimestamp"}, []string{"cn=Start,", "cn=Current,", "monitorTimestamp: "}, "", 0},
		{[]string{"-b", "cn=Monitor", "-z", "2"}, nil, "", 4},
		{[]string{"-b", "cn=Nothing,cn=Operations,cn=Monitor"}, []string{"Matched DN: cn=Operations,cn=Monitor"}, "", 32},
		{[]string{"-b", "cn=Monitor", "-E", "!sss=cn"}, nil, "dn:", 12},
	} {
		out, code := ask(reader, "reading", x.args...)
		if code != x.code || x.not != "" && strings.Contains(out, x.not) {
			t.Errorf("%q: code %d, want %d\n%s", x.args, code, x.code, out)
		}
		for _, want := range x.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q does not say %q:\n%s", x.args, want, out)
			}
		}
	}
	counted(t, r)
}

// counted compares what cn=Monitor counts before and after some work.
func counted(t *testing.T, r *rig) {
	t.Helper()
	value := func(dn, attribute string) int {
		t.Helper()
		n, err := strconv.Atoi(monitoredBy(t, r.plain)[strings.ToLower(dn)].GetAttributeValue(attribute))
		must(t, err)
		return n
	}
	const compares, entries, bytes = "cn=Compare,cn=Operations,cn=Monitor", "cn=Entries,cn=Statistics,cn=Monitor", "cn=Bytes,cn=Statistics,cn=Monitor"
	before := []int{value(compares, "monitorOpCompleted"), value(compares, "monitorOpFailed"), value(entries, "monitorCounter"), value(bytes, "monitorCounter")}
	c := r.dial(reader, "reading")
	_, _ = c.Compare(alex, "sn", "Example")
	_, _ = c.Compare(alex, "sn", "Exempel")
	_, _ = c.Compare("uid=1,ou=People,o=nhs", "sn", "Example")
	got, err := search(c, alex, "(objectClass=*)", "1.1")
	must(t, err)
	if n := value(compares, "monitorOpCompleted"); n != before[0]+3 {
		t.Errorf("%d comparisons, before %d", n, before[0])
	}
	if n := value(compares, "monitorOpFailed"); n != before[1]+1 {
		t.Errorf("%d failed, before %d", n, before[1])
	}
	if n := value(entries, "monitorCounter"); n < before[2]+len(got) {
		t.Errorf("%d entries, before %d", n, before[2])
	}
	if n := value(bytes, "monitorCounter"); n < before[3]+500 {
		t.Errorf("%d octets, before %d", n, before[3])
	}
}
