package ocsp_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	p := s.talk(t, "java", "-XX:TieredStopAtLevel=1", script("Revocation.java"), s.dir, s.url(), fmt.Sprint(c.method == "GET"))
	verdict = p.ask(c.state, authorityOf(c), c.nonce)
	return verdict, ""
}

func askPython(t *testing.T, s *stage, c cell) (verdict, output string) {
	return s.talk(t, "python3", script("status.py"), s.dir, s.url()).ask(c.state, authorityOf(c), c.method, c.nonce, c.hash), ""
}

const nginxConf = `daemon off; master_process off; pid nginx.pid; error_log error.log info;
events {}
http {
	access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
	server {
		listen 127.0.0.1:%d ssl;
		ssl_certificate server.pem; ssl_certificate_key server.key;
		ssl_client_certificate ca.pem; ssl_verify_client optional;
		ssl_ocsp leaf; ssl_ocsp_responder %s;
		error_page 495 =200 /refused;
		location / { return 200 $ssl_client_verify; }
	}
}`

// startNginx starts a web server that asks us about client certificates, and returns its address.
func (s *stage) startNginx(t *testing.T) string {
	t.Helper()
	if s.nginx != "" {
		return s.nginx
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	if out, code := run(t, s.dir, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost", "-days", "2"); code != 0 {
		t.Fatal(out)
	}
	conf := fmt.Sprintf(nginxConf, address.Port, s.server.URL+"/ocsp/")
	if err := os.WriteFile(filepath.Join(s.dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), "nginx", "-p", s.dir, "-e", "error.log", "-c", filepath.Join(s.dir, "nginx.conf"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.eventually("nginx listens", func() bool {
		conn, err := net.DialTimeout("tcp", address.String(), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	s.nginx = address.String()
	return s.nginx
}

// askNginx logs in with the certificate. An unknown one is refused in words of their own kind.
func askNginx(t *testing.T, s *stage, c cell) (verdict, output string) {
	mine := tls.Certificate{Certificate: [][]byte{s.certs[c.state].Raw}, PrivateKey: s.keys[s.certs[c.state]]}
	trust := x509.NewCertPool()
	address := s.startNginx(t)
	pem, err := os.ReadFile(filepath.Join(s.dir, "server.pem"))
	if err != nil || !trust.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{mine}, InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("https://" + address + "/")
	if err != nil {
		return "", err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err.Error()
	}
	switch text := string(body); {
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
