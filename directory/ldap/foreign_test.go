package ldap_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// foreign is what a client library that is not ours is given to work with.
type foreign struct {
	*rig
	ca, cert, key string // PEM files
	card          *tls.Certificate
}

func newForeign(t *testing.T) *foreign {
	t.Helper()
	r := newRig(t, nil)
	r.ldif(workforce)
	f := &foreign{rig: r, card: r.pki.issue(pkix.Name{CommonName: "900000000017"})}
	r.cards.set(f.card.Certificate[0], true)
	f.cert, f.key = r.pki.files(f.card)
	f.ca = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(f.ca, r.pki.caPEM, 0o600))
	return f
}

// run runs a program to its end, at most five minutes, and returns what it prints.
func (f *foreign) run(name string, args ...string) string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LDAPCONF=/dev/null", "LDAPNOINIT=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// held demands that a script said of so many things that they held: one that
// ends early, or says nothing, is not content.
func (f *foreign) held(out string, want int) {
	f.t.Helper()
	if n := strings.Count(out, "held: "); n != want {
		f.t.Errorf("%d things held, of %d:\n%s", n, want, out)
	}
}

func script(name string) string { return filepath.Join("testdata", "foreign", name) }

func TestPythonLDAPIsServed(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3" // the one Debian's packages belong to
	need(t, python, "python3")
	if exec.Command(python, "-c", "import ldap").Run() != nil {
		t.Skipf("needs %s: apt-get install -y %s", "python-ldap", "python3-ldap")
	}
	f := newForeign(t)
	f.held(f.run(python, script("client.py"), f.plain, f.secure, f.ca, f.cert, f.key), 19)
}

func TestNetLDAPIsServed(t *testing.T) {
	t.Parallel()
	need(t, "perl", "perl")
	if exec.Command("perl", "-MNet::LDAP", "-MAuthen::SASL", "-MIO::Socket::SSL", "-e1").Run() != nil {
		t.Skipf("needs %s: apt-get install -y %s", "Net::LDAP", "libnet-ldap-perl libauthen-sasl-perl libio-socket-ssl-perl")
	}
	f := newForeign(t)
	f.held(f.run("perl", script("client.pl"), f.plain, f.secure, f.ca, f.cert, f.key), 23)
}

func TestPHPIsServed(t *testing.T) {
	t.Parallel()
	need(t, "php", "php-cli")
	if exec.Command("php", "-r", "exit(extension_loaded('ldap') ? 0 : 1);").Run() != nil {
		t.Skipf("needs %s: apt-get install -y %s", "php-ldap", "php-ldap")
	}
	f := newForeign(t)
	f.held(f.run("php", script("client.php"), f.plain, f.secure, f.ca, f.cert, f.key), 19)
}

func TestJNDIIsServed(t *testing.T) {
	t.Parallel()
	need(t, "javac", "default-jdk-headless")
	f := newForeign(t)
	own, ca := filepath.Join(t.TempDir(), "own.p12"), filepath.Join(t.TempDir(), "ca.p12")
	leaf, err := x509.ParseCertificate(f.card.Certificate[0])
	must(t, err)
	b, err := pkcs12.Modern.Encode(f.card.PrivateKey, leaf, nil, "changeit")
	must(t, err)
	must(t, os.WriteFile(own, b, 0o600))
	b, err = pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{f.pki.ca}, "changeit")
	must(t, err)
	must(t, os.WriteFile(ca, b, 0o600))
	f.held(f.run("java", "-XX:TieredStopAtLevel=1", script("Client.java"), f.plain, f.secure, own, ca), 14)
}

// TestLDCLTFindsNoError lets the load client of 389 Directory Server search,
// and bind anew for each operation, on several threads.
func TestLDCLTFindsNoError(t *testing.T) {
	t.Parallel()
	need(t, "ldclt", "389-ds-base")
	f := newForeign(t)
	host, port, err := net.SplitHostPort(f.plain)
	must(t, err)
	for name, way := range map[string][]string{
		"search":               {"-e", "esearch", "-f", "(uid=900000000017)", "-b", "ou=People,o=nhs"},
		"bind before a search": {"-e", "bindeach,esearch", "-f", "(cn=reader)", "-b", "o=nhs"},
	} {
		t.Run(name, func(t *testing.T) { // each takes the ten seconds of one sample, nearly all of them asleep
			t.Parallel()
			args := append([]string{"-h", host, "-p", port, "-D", rootDN, "-w", rootPassword, "-n", "4", "-N", "1", "-T", "100", "-E", "1"}, way...)
			if out := f.run("ldclt", args...); !strings.Contains(out, "no error occurs") || !strings.Contains(out, "total:    400") {
				t.Errorf("ldclt %v:\n%s", way, out)
			}
		})
	}
}

const httpd = `ServerName 127.0.0.1
Listen 127.0.0.1:{{.Port}}
PidFile {{.Dir}}/pid
ErrorLog {{.Dir}}/error.log
Mutex file:{{.Dir}}
{{if .Root}}User nobody
Group nogroup
{{end}}{{range .Modules}}LoadModule {{.}}_module /usr/lib/apache2/modules/mod_{{.}}.so
{{end}}LDAPTrustedGlobalCert CA_BASE64 {{.CA}}
DocumentRoot {{.Dir}}/htdocs
<Directory {{.Dir}}/htdocs>
AuthType Basic
AuthName directory
AuthBasicProvider ldap
AuthLDAPURL "ldap://{{.LDAP}}/ou=People,o=nhs?uid?sub?(objectClass=nhsPerson)" STARTTLS
AuthLDAPBindDN cn=admin,o=nhs
AuthLDAPBindPassword "correct horse"
</Directory>
<Location /group>
Require ldap-group cn=staff,ou=Services,o=nhs
</Location>
<Location /attribute>
Require ldap-attribute sn=example
</Location>
<Location /filter>
Require ldap-filter mail=alex*
</Location>
`

// TestApacheAsksTheDirectoryWhoMayPass lets httpd's mod_authnz_ldap find the
// user, bind as him and judge by group (Compare), attribute and filter.
func TestApacheAsksTheDirectoryWhoMayPass(t *testing.T) {
	t.Parallel()
	need(t, "/usr/sbin/apache2", "apache2-bin")
	f := newForeign(t)
	f.ldif("dn: cn=staff,ou=Services,o=nhs\nobjectClass: groupOfNames\ncn: staff\nmember: " + alex + "\n")
	url := f.httpd()
	const word = "alex's password"
	for _, c := range []struct {
		path, user, password string
		code                 int
	}{
		{"/group/", "900000000017", word, 200},
		{"/group/", "900000000017", "wrong", 401},
		{"/group/", "900000000041", "bo", 401}, // right password, not in the group
		{"/attribute/", "900000000017", word, 200},
		{"/filter/", "900000000017", word, 200},
		{"/filter/", "nobody", word, 401},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+c.path, nil)
		must(t, err)
		request.SetBasicAuth(c.user, c.password)
		answer, err := http.DefaultClient.Do(request)
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != c.code {
			t.Errorf("%s as %s with %q gives %d, want %d", c.path, c.user, c.password, answer.StatusCode, c.code)
		}
	}
}

// httpd starts Apache in the foreground and waits until it answers.
func (f *foreign) httpd() string {
	f.t.Helper()
	dir, err := os.MkdirTemp("", "httpd") // not below t.TempDir: nobody must reach it
	must(f.t, err)
	f.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(f.t, os.Chmod(dir, 0o777))
	for _, p := range []string{"group", "attribute", "filter"} {
		must(f.t, os.MkdirAll(filepath.Join(dir, "htdocs", p), 0o755))
		must(f.t, os.WriteFile(filepath.Join(dir, "htdocs", p, "index.html"), []byte("in"), 0o644))
	}
	must(f.t, os.Chmod(filepath.Dir(f.ca), 0o755))
	ca := filepath.Join(dir, "ca.pem")
	must(f.t, os.WriteFile(ca, f.pki.caPEM, 0o644))
	_, port, err := net.SplitHostPort(quietAddress(f.t))
	must(f.t, err)
	var text bytes.Buffer
	must(f.t, template.Must(template.New("").Parse(httpd)).Execute(&text, map[string]any{"Port": port, "Dir": dir, "CA": ca,
		"LDAP": f.plain, "Root": os.Getuid() == 0,
		"Modules": []string{"mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "dir", "ldap", "authnz_ldap"}}))
	file := filepath.Join(dir, "httpd.conf")
	must(f.t, os.WriteFile(file, text.Bytes(), 0o644))
	f.daemon("/usr/sbin/apache2", "-d", dir, "-f", file, "-DFOREGROUND")
	url := "http://127.0.0.1:" + port
	f.until("httpd answers", func() bool {
		answer, err := http.Get(url)
		return err == nil && answer.Body.Close() == nil
	})
	return url
}

// daemon starts a program that is ended with the test.
func (f *foreign) daemon(name string, args ...string) {
	f.t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(f.t, cmd.Start())
	f.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		gone := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		gone.Stop()
		if f.t.Failed() {
			f.t.Logf("%s said:\n%s", name, out.String())
		}
	})
}

func (f *foreign) until(what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("never: %s", what)
		}
	}
}

const sssd = `[sssd]
config_file_version = 2
services = nss
domains = {{.Domain}}
[nss]
entry_negative_timeout = 1
[domain/{{.Domain}}]
id_provider = ldap
ldap_uri = ldap://{{.LDAP}}
ldap_id_use_start_tls = true
ldap_tls_cacert = {{.CA}}
ldap_tls_reqcert = demand
ldap_search_base = o=nhs
ldap_schema = rfc2307bis
ldap_group_object_class = groupOfNames
ldap_default_bind_dn = cn=admin,o=nhs
ldap_default_authtok = correct horse
ldap_network_timeout = 60
ldap_opt_timeout = 60
ldap_search_timeout = 60
offline_timeout = 1
offline_timeout_random_offset = 0
`

const posix = `dn: uid=carer,ou=Services,o=nhs
objectClass: account
objectClass: posixAccount
uid: carer
cn: Care Home
uidNumber: 64017
gidNumber: 64018
homeDirectory: /srv/carer
loginShell: /bin/sh

dn: cn=wards,ou=Services,o=nhs
objectClass: groupOfNames
objectClass: extensibleObject
cn: wards
gidNumber: 64018
member: uid=carer,ou=Services,o=nhs
`

// TestSSSDKnowsTheUsersAndGroupsOfTheDirectory runs the daemon that gives a
// Linux host its users, and asks it through the C library.
func TestSSSDKnowsTheUsersAndGroupsOfTheDirectory(t *testing.T) {
	need(t, "/usr/sbin/sssd", "sssd-ldap")
	if os.Getuid() != 0 {
		t.Skipf("needs %s: %s", "root", "sssd runs as root alone")
	}
	if matches, _ := filepath.Glob("/lib/*/libnss_sss.so.2"); len(matches) == 0 {
		t.Skipf("needs %s: apt-get install -y %s", "libnss_sss", "libnss-sss")
	}
	f := newForeign(t)
	f.ldif(posix)
	// What sssd remembers goes by the name of the domain: this one is new.
	domain := "test" + strings.TrimPrefix(f.plain, "127.0.0.1:")
	t.Cleanup(func() {
		for _, name := range []string{"cache_", "timestamps_"} {
			_ = os.Remove("/var/lib/sss/db/" + name + domain + ".ldb")
		}
	})
	var text bytes.Buffer
	must(t, template.Must(template.New("").Parse(sssd)).Execute(&text, map[string]any{"LDAP": f.plain, "CA": f.ca, "Domain": domain}))
	file := filepath.Join(t.TempDir(), "sssd.conf")
	must(t, os.WriteFile(file, text.Bytes(), 0o600))
	f.daemon("/usr/sbin/sssd", "--interactive", "--config", file)
	getent := func(database, name string) string {
		cmd := exec.Command("getent", "-s", "sss", database, name)
		cmd.Env = append(os.Environ(), "SSS_NSS_USE_MEMCACHE=NO") // what an earlier daemon left is no answer
		out, _ := cmd.Output()                                    // not found is an exit code: the line is what counts
		return strings.TrimSpace(string(out))
	}
	var user string
	f.until("sssd knows the user", func() bool { user = getent("passwd", "carer"); return user != "" })
	if got := user; got != "carer:*:64017:64018:Care Home:/srv/carer:/bin/sh" {
		t.Errorf("the user is %q", got)
	}
	var group string
	f.until("sssd knows the group", func() bool { group = getent("group", "wards"); return group != "" })
	if group != "wards:*:64018:carer" {
		t.Errorf("the group is %q", group)
	}
}
