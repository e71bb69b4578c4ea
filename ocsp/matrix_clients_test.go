package ocsp_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/internal/nginxtest"
)

// talker is a program that answers each line with a line, started once for many cells.
type talker struct {
	in  io.Writer
	out *bufio.Scanner
}

// talk starts a program that ends when its standard input does.
func (s *stage) talk(t *testing.T, program string, args ...string) *talker {
	t.Helper()
	key := program + " " + strings.Join(args, " ")
	if known := s.talkers[key]; known != nil {
		return known
	}
	cmd := exec.CommandContext(s.t.Context(), program, args...) // of the stage: it outlives a cell
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // killed by the context if it did not end
	})
	talker := &talker{in, bufio.NewScanner(out)}
	s.talkers[key] = talker
	return talker
}

// ask says a line and hears one.
func (p *talker) ask(words ...string) string {
	if _, err := fmt.Fprintln(p.in, strings.Join(words, " ")); err != nil {
		return err.Error()
	}
	if !p.out.Scan() {
		return fmt.Sprintf("it said nothing: %v", p.out.Err())
	}
	return p.out.Text()
}

// authorityOf is the file of the CA that a cell's certificate is asked about.
func authorityOf(c cell) string {
	if c.state == "foreign" {
		return "foreign-ca"
	}
	return "ca"
}

func script(name string) string {
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	if err != nil {
		return name
	}
	return path
}

// askJava: the JDK chooses GET or POST for a whole process.
func askJava(t *testing.T, s *stage, c cell) (verdict, output string) {
	p := s.talk(t, "java", "-XX:TieredStopAtLevel=1", "-Dcom.sun.security.ocsp.timeout=120", script("Revocation.java"), s.dir, s.url(), fmt.Sprint(c.method == "GET"))
	verdict = p.ask(c.state, authorityOf(c), c.nonce)
	return verdict, ""
}

func askPython(t *testing.T, s *stage, c cell) (verdict, output string) {
	return s.talk(t, "python3", script("status.py"), s.dir, s.url()).ask(c.state, authorityOf(c), c.method, c.nonce, c.hash), ""
}

// startNginx starts a web server that asks us about client certificates.
func (s *stage) startNginx(t *testing.T) *nginxtest.Server {
	t.Helper()
	if s.nginx == nil {
		s.nginx = nginxtest.Start(s.t, fmt.Sprintf("ssl_client_certificate %s; ssl_ocsp leaf; ssl_ocsp_responder %s;",
			filepath.Join(s.dir, "ca.pem"), s.server.URL+"/ocsp/"))
	}
	return s.nginx
}

// askNginx logs in with the certificate. An unknown one is refused in words of their own kind.
func askNginx(t *testing.T, s *stage, c cell) (verdict, output string) {
	mine := tls.Certificate{Certificate: [][]byte{s.certs[c.state].Raw}, PrivateKey: s.keys[s.certs[c.state]]}
	switch text, err := s.startNginx(t).Login(mine); {
	case err != nil:
		return "", err.Error()
	case text == "SUCCESS":
		return "good", text
	case strings.Contains(text, "certificate revoked"):
		return "revoked", text
	case strings.HasPrefix(text, "FAILED:"):
		return "unknown", text
	default:
		return "", text
	}
}
