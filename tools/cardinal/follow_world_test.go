package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"
	xocsp "golang.org/x/crypto/ocsp"

	"cardinal/internal/journal/feed"
)

// followWorld is a writer and machines that follow it, as processes.
type followWorld struct {
	t        *testing.T
	dir      string
	pass     string
	feed     string // host:port the writer listens on for nodes
	writer   *served
	services *x509.Certificate
	ahead    time.Duration // what the writer's clock is put forward by
}

// served is one serving process.
type served struct {
	ready
	name    string
	command *exec.Cmd
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const openRules = `rules:
  - name: anyone reads
    who: [anyone]
    attributes: ["entry", "*", "+"]
    rights: [read, search, compare]
`

func newFollowWorld(t *testing.T) *followWorld {
	t.Helper()
	return newFollowWorldIn(t)
}

// newFollowWorldIn makes an installation with further flags of init.
func newFollowWorldIn(t *testing.T, flags ...string) *followWorld {
	t.Helper()
	w := &followWorld{t: t, dir: t.TempDir()}
	w.pass = w.path("pass")
	w.check(os.WriteFile(w.pass, []byte("x\n"), 0o600))
	w.run(append([]string{"init", "--dir", w.path("w"), "--public-url", "http://127.0.0.1:1", "--passphrase-file", w.pass}, flags...)...)
	var err error
	w.feed = testAddress(t)
	w.configure(w.path("w"))
	w.services, err = readCertificate(filepath.Join(folder(w.path("w")).certificates(), "services.cer"))
	w.check(err)
	return w
}

func (w *followWorld) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

func (w *followWorld) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// configure lets an installation be followed, read by anyone and written by a root identity.
func (w *followWorld) configure(dir string) {
	w.t.Helper()
	c, err := readConfig(folder(dir).config())
	w.check(err)
	const free = "127.0.0.1:0"
	c.Listen = Listen{LDAP: free, LDAPS: free, Status: free, Issuance: free, Operations: free}
	c.Feed.Listen, c.Demo.Clock = w.feed, w.ahead
	c.Suffixes = []Suffix{{DN: "o=nhs", RootDN: "cn=root,o=nhs", PasswordFile: "root.password"}}
	c.Directory.AllowPlaintextBind, c.Directory.Rules = true, "rules.yaml"
	text, err := c.commented()
	w.check(err)
	w.check(errors.Join(os.WriteFile(folder(dir).config(), text, 0o600), os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(openRules), 0o600),
		os.WriteFile(filepath.Join(dir, "root.password"), []byte("root\n"), 0o600)))
}

// run runs a command that must succeed and gives the JSON it printed.
func (w *followWorld) run(args ...string) map[string]any {
	w.t.Helper()
	code, out, stderr := program(w.t, args...)
	if code != 0 {
		w.t.Fatalf("%s: code %d: %s", strings.Join(args, " "), code, stderr)
	}
	var v map[string]any
	_ = json.Unmarshal([]byte(out), &v)
	return v
}

// serve starts a process and waits until it can be asked.
func (w *followWorld) serve(name string, args ...string) *served {
	w.t.Helper()
	s, out := w.start(name, args...)
	if err := json.NewDecoder(out).Decode(&s.ready); err != nil {
		s.kill()
		w.t.Fatalf("%s does not come up: %v, %s\n%s", name, err, s.command.ProcessState, s.log)
	}
	return s
}

// start starts a process; what it prints is to be read.
func (w *followWorld) start(name string, args ...string) (*served, io.Reader) {
	w.t.Helper()
	s := &served{name: name, log: &lockedBuffer{}}
	s.command = exec.Command(filepath.Join(shippedProgram(w.t), "cardinal"), append([]string{"serve"}, args...)...)
	s.command.Stderr = s.log
	out, err := s.command.StdoutPipe()
	w.check(err)
	w.check(s.command.Start())
	w.t.Cleanup(func() {
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", name, s.log)
		}
	})
	return s, out
}

// command is one that goes on; what it prints goes to out.
func (w *followWorld) command(out io.Writer, args ...string) *exec.Cmd {
	w.t.Helper()
	c := exec.Command(filepath.Join(shippedProgram(w.t), "cardinal"), args...)
	c.Stdout = out
	return c
}

// configureNode writes what is a node's own before its first start.
func (w *followWorld) configureNode(name, text string) {
	w.t.Helper()
	w.check(errors.Join(os.MkdirAll(w.path(name+"-node"), 0o700), os.WriteFile(w.path(name+"-node", "cardinal.yaml"), []byte(text), 0o600)))
}

// client speaks to the writer with the certificate a node was given.
func (w *followWorld) client(name string) *feed.Client {
	w.t.Helper()
	id, err := readNodeIdentity(folder(w.path(name)), FollowConfig{Certificate: w.path(name, "node.cer"), Key: w.path(name, "node.key")})
	w.check(err)
	secure, err := id.tlsConfig(w.path(name, "trust.pem"))
	w.check(err)
	c, err := feed.NewClient(feed.ClientConfig{URLs: []string{"https://" + w.feed}, TLS: secure})
	w.check(err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (w *followWorld) serveWriter(dir string) {
	w.t.Helper()
	w.writer = w.serve("writer", "--dir", dir, "--passphrase-file", w.pass)
}

// enrol adds a node; its files lie in a folder of its name.
func (w *followWorld) enrol(name, scope string) {
	w.t.Helper()
	w.run("node", "add", name, "--dir", w.path("w"), "--scope", scope, "--out", w.path(name), "--passphrase-file", w.pass)
}

const freePorts = "ldap=127.0.0.1:0,ldaps=127.0.0.1:0,status=127.0.0.1:0,operations=127.0.0.1:0"

// follow makes a node's first start: one command on an empty folder.
func (w *followWorld) follow(name, address string) *served {
	w.t.Helper()
	return w.serve(name, w.following(name, address)...)
}

func (w *followWorld) following(name, address string) []string {
	return []string{"--role", "read", "--dir", w.path(name + "-node"), "--follow", "https://" + address, "--cert", w.path(name, "node.cer"),
		"--key", w.path(name, "node.key"), "--listen", freePorts}
}

// kill ends a process with SIGKILL.
func (s *served) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// stop ends a process as its operator would.
func (w *followWorld) stop(s *served) {
	w.t.Helper()
	w.check(s.command.Process.Signal(os.Interrupt))
	_ = s.command.Wait()
}

// add adds an entry at the writer.
func (w *followWorld) add(cn string) {
	w.t.Helper()
	add := ldap.NewAddRequest("cn="+cn+",ou=Services,o=nhs", nil)
	add.Attribute("objectClass", []string{"applicationProcess", "simpleSecurityObject"})
	add.Attribute("userPassword", []string{"secret of " + cn})
	w.until("the writer takes "+cn, func() bool {
		err := w.tryAdd(add)
		if !isNotNow(err) {
			w.check(err)
		}
		return err == nil
	})
}

func (w *followWorld) tryAdd(add *ldap.AddRequest) error {
	c, err := ldap.DialURL(w.writer.LDAP)
	w.check(err)
	defer c.Close()
	c.SetTimeout(time.Minute)
	if err := c.Bind("cn=root,o=nhs", "root"); err != nil {
		return err
	}
	return c.Add(add)
}

// isNotNow reports an LDAP answer of a server whose copy is too old at the moment. It does nothing that it is asked for: a
// machine that stands still for as long as a limit of some seconds makes any copy too old.
func isNotNow(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultUnavailable, ldap.LDAPResultBusy)
}

// addPhotos adds entries whose pictures are noise.
func (w *followWorld) addPhotos(n, size int) {
	w.t.Helper()
	c, err := ldap.DialURL(w.writer.LDAP)
	w.check(err)
	defer c.Close()
	w.check(c.Bind("cn=root,o=nhs", "root"))
	for i := range n {
		noise := make([]byte, size)
		rand.Read(noise)
		add := ldap.NewAddRequest(photoDN(i), nil)
		add.Attribute("objectClass", []string{"inetOrgPerson"})
		add.Attribute("sn", []string{"x"})
		add.Attribute("jpegPhoto", []string{string(noise)})
		w.check(c.Add(add))
	}
}

// entries are all entries a server shows, as text, with everything but pictures; an error ends with its LDAP code.
func entries(s *served) (string, error) {
	c, err := ldap.DialURL(s.LDAP)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetTimeout(time.Minute)
	var b strings.Builder
	for _, ask := range []struct {
		filter     string
		attributes []string
	}{{"(!(jpegPhoto=*))", []string{"*", "+"}}, {"(jpegPhoto=*)", []string{"cn", "sn", "+"}}} {
		found, err := c.Search(ldap.NewSearchRequest("o=nhs", ldap.ScopeWholeSubtree, 0, 0, 0, false, ask.filter, ask.attributes, nil))
		if err != nil {
			return "", err
		}
		for _, e := range found.Entries {
			b.WriteString(e.DN + "\n")
			for _, a := range e.Attributes {
				b.WriteString(" " + a.Name + ": " + strings.Join(a.Values, "|") + "\n")
			}
		}
	}
	return b.String(), nil
}

// photo is the picture of an entry that addPhotos added.
func (w *followWorld) photo(s *served, n int) (picture string) {
	w.t.Helper()
	w.until(s.name+" shows a picture", func() bool {
		c, err := ldap.DialURL(s.LDAP)
		w.check(err)
		defer c.Close()
		found, err := c.Search(ldap.NewSearchRequest(photoDN(n), ldap.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"jpegPhoto"}, nil))
		if !isNotNow(err) {
			w.check(err)
			picture = found.Entries[0].GetAttributeValue("jpegPhoto")
		}
		return err == nil
	})
	return picture
}

func photoDN(n int) string { return fmt.Sprintf("cn=photo-%d,ou=Services,o=nhs", n) }

// ask asks a server about a certificate of the Services CA.
func (w *followWorld) ask(s *served, path string) (*xocsp.Response, error) {
	w.t.Helper()
	return w.askOf(s, path, w.services)
}

// askOf asks a server about a certificate of an authority.
func (w *followWorld) askOf(s *served, path string, authority *x509.Certificate) (*xocsp.Response, error) {
	w.t.Helper()
	found, err := readCertificates(path)
	w.check(err)
	request, err := xocsp.CreateRequest(found[0], authority, nil)
	w.check(err)
	return w.askIn(s, request, authority)
}

// askIn asks a server in a request that was made before.
func (w *followWorld) askIn(s *served, request []byte, authority *x509.Certificate) (*xocsp.Response, error) {
	answer, err := http.Post(s.Status+"/ocsp", "application/ocsp-request", bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	return xocsp.ParseResponse(body, authority)
}

// answer is the first that is not to try later, which a copy that is too old at the moment says whatever it is asked.
func (w *followWorld) answer(s *served, path string) *xocsp.Response {
	w.t.Helper()
	return w.answerOf(s, path, w.services)
}

func (w *followWorld) answerOf(s *served, path string, authority *x509.Certificate) (answer *xocsp.Response) {
	w.t.Helper()
	w.until(s.name+" answers", func() bool {
		r, err := w.askOf(s, path, authority)
		if !isLater(err) {
			w.check(err)
		}
		answer = r
		return err == nil
	})
	return answer
}

// isLater reports an OCSP answer that says tryLater.
func isLater(err error) bool {
	var told xocsp.ResponseError
	return errors.As(err, &told) && told.Status == xocsp.TryLater
}

func (w *followWorld) list(s *served) []byte {
	w.t.Helper()
	body, status := w.listNow(s)
	if status != http.StatusOK || len(body) == 0 {
		w.t.Errorf("%s: list: %d", s.name, status)
	}
	return body
}

// listNow is what a node answers for a list, which may not have come yet (503).
func (w *followWorld) listNow(s *served) (body []byte, status int) {
	w.t.Helper()
	answer, err := http.Get(s.Status + "/crl/services/3.crl")
	w.check(err)
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	w.check(err)
	return body, answer.StatusCode
}

// until waits for what must come true before long.
func (w *followWorld) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("after three minutes it is not so: %s", what)
		}
	}
}

// same waits until servers show the same entries as the writer.
func (w *followWorld) same(readers ...*served) {
	w.t.Helper()
	for _, s := range readers {
		w.until(s.name+" shows what the writer shows", func() bool {
			here, err := entries(s)
			there, err2 := entries(w.writer)
			return err == nil && err2 == nil && here == there && here != ""
		})
	}
}

// link is a wire between a node and the writer that can be cut or held up.
type link struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	conns    []net.Conn
	passing  chan struct{} // closed while bytes pass
	passed   int64
	most     int64 // bytes that pass before everything is cut, again and again; 0: any number
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &link{listener: l, to: to, passing: make(chan struct{})}
	close(x.passing)
	t.Cleanup(func() { _ = l.Close(); x.cut(); x.let() })
	go x.accept()
	return x
}

func (x *link) accept() {
	for {
		near, err := x.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", x.to)
		if err != nil {
			near.Close()
			continue
		}
		x.mu.Lock()
		x.conns = append(x.conns, near, far)
		x.mu.Unlock()
		go x.pass(near, far)
		go x.pass(far, near)
	}
}

func (x *link) pass(to, from net.Conn) {
	defer to.Close()
	room := make([]byte, 16<<10)
	for {
		n, err := from.Read(room)
		x.mu.Lock()
		passing := x.passing
		x.passed += int64(n)
		spent := x.most > 0 && x.passed >= x.most
		x.mu.Unlock()
		if spent {
			x.cut()
			return
		}
		<-passing
		if _, broken := to.Write(room[:n]); broken != nil || err != nil {
			return
		}
	}
}

// cut ends every connection.
func (x *link) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.Close()
	}
	x.conns = nil
}

// allow sets how many bytes may pass in all, and gives how many have passed so far.
func (x *link) allow(most int64) (passed int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	passed, x.passed, x.most = x.passed, 0, most
	return passed
}

// hold keeps what is sent, and lets connections stand.
func (x *link) hold() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.passing = make(chan struct{})
}

// let sends on what was held.
func (x *link) let() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.passing:
	default:
		close(x.passing)
	}
}

// readyz is what a server says of itself.
func readyz(s *served) (r readiness) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Operations+"/readyz", nil)
	if err != nil {
		return r
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return r
	}
	defer answer.Body.Close()
	_ = json.NewDecoder(answer.Body).Decode(&r)
	return r
}
