package ca_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cardinal/ca"
	"cardinal/internal/nginxtest"
)

// runIn is run for a subtest.
func runIn(t *testing.T, s *shelf, program string, args ...string) (string, bool) {
	t.Helper()
	w := *s.world
	w.TB = t
	return w.run(program, args...)
}

func askOpenSSL(t *testing.T, s *shelf, c cell) (verdict, output string) {
	args := []string{"verify", "-x509_strict", "-crl_check_all", "-CAfile", s.path("root.pem"), "-untrusted", s.path(ca.Authentication + ".pem")}
	switch c.kind {
	case "full":
		args = append(args, "-CRLfile", s.path("full-root.pem"))
	case "shard":
		args = append(args, "-CRLfile", s.path("shards.pem"))
	case "url":
		args = append(args, "-crl_download", "-CRLfile", s.path("root-list.pem")) // the root names no URL
	default:
		args = append(args, "-extended_crl", "-use_deltas", "-CRLfile", s.path("both.pem"))
	}
	out, ok := runIn(t, s, "openssl", append(args, s.path(c.state+".pem"))...)
	switch {
	case ok:
		return "good", out
	case strings.Contains(out, "error 23 at 0 depth"):
		return "revoked", out
	}
	return "", out
}

func askGnuTLS(t *testing.T, s *shelf, c cell) (verdict, output string) {
	list := s.lists[c.listFor()]
	if c.kind == "url" { // certtool fetches nothing itself
		url := s.certificates[c.state].CRLDistributionPoints[0]
		file := s.path("curl-" + c.state + ".crl")
		if out, ok := runIn(t, s, "curl", "--silent", "--show-error", "--fail", "--output", file, url); !ok {
			return "", out
		}
		var err error
		if list, err = os.ReadFile(file); err != nil {
			return "", err.Error()
		}
	}
	lists := s.put("gnutls-"+c.kind+c.state+".pem", "X509 CRL", list, s.listDER(ca.Root, 0))
	chain := s.put("gnutls-chain-"+c.kind+c.state+".pem", "CERTIFICATE", s.certificates[c.state].Raw, s.hierarchy.Issuers[ca.Authentication].Certificate.Raw)
	out, ok := runIn(t, s, "certtool", "--verify", "--load-ca-certificate", s.path("root.pem"), "--load-crl", lists, "--infile", chain)
	switch {
	case strings.Contains(out, "revoked"):
		return "revoked", out
	case ok && strings.Contains(out, "Verified"):
		return "good", out
	}
	return "", out
}

// sayAll has a program judge all cells at once and gives its word on one.
func (s *shelf) sayAll(t *testing.T, c cell, program string, args ...string) (verdict, output string) {
	t.Helper()
	s.once.Lock()
	lines := s.said[program]
	s.once.Unlock()
	if lines == nil {
		out, _ := runIn(t, s, program, append(args, s.dir)...)
		lines = strings.Split(out, "\n")
		s.once.Lock()
		s.said[program] = lines
		s.once.Unlock()
	}
	for _, line := range lines {
		if said, ok := strings.CutPrefix(line, c.kind+" "+c.state+" "); ok {
			return said, ""
		}
	}
	return "", strings.Join(lines, "\n")
}

func askPython(t *testing.T, s *shelf, c cell) (verdict, output string) {
	return s.sayAll(t, c, "python3", filepath.Join("testdata", "clients", "lists.py"))
}

func askJava(t *testing.T, s *shelf, c cell) (verdict, output string) {
	return s.sayAll(t, c, "java", "-XX:TieredStopAtLevel=1", filepath.Join("testdata", "clients", "Lists.java"))
}

// askNSS has a store of its own for each question, since NSS never forgets a list.
func askNSS(t *testing.T, s *shelf, c cell) (verdict, output string) {
	store := "sql:" + t.TempDir()
	for _, args := range [][]string{{"certutil", "-N", "-d", store, "--empty-password"},
		{"certutil", "-A", "-d", store, "-n", "root", "-t", "CT,C,C", "-i", s.path("root.pem")},
		{"certutil", "-A", "-d", store, "-n", "ca", "-t", ",,", "-i", s.path(ca.Authentication + ".pem")},
		{"crlutil", "-I", "-d", store, "-i", s.path("root.crl"), "-t", "1"},
		{"crlutil", "-I", "-d", store, "-i", s.path(c.listFor() + ".crl"), "-t", "1"},
	} {
		if out, ok := runIn(t, s, args[0], args[1:]...); !ok {
			return "", strings.Join(args, " ") + ": " + out
		}
	}
	out, ok := runIn(t, s, "vfychain", "-d", store, "-u", "0", s.path(c.state+".der"))
	switch {
	case ok && strings.Contains(out, "Chain is good!"):
		return "good", out
	case strings.Contains(out, "has been revoked"):
		return "revoked", out
	}
	return "", out
}

// startNginx starts a web server that looks client certificates up in lists.
func (s *shelf) startNginx(t *testing.T, kind string) *nginxtest.Server {
	t.Helper()
	if s.nginx[kind] == nil {
		lists := s.path(map[string]string{"full": "full-root.pem", "shard": "shards.pem"}[kind])
		s.nginx[kind] = nginxtest.Start(t, fmt.Sprintf("ssl_client_certificate %s; ssl_verify_depth 3; ssl_crl %s;", s.path("cas.pem"), lists))
	}
	return s.nginx[kind]
}

// askNginx logs in with the certificate.
func askNginx(t *testing.T, s *shelf, c cell) (verdict, output string) {
	mine := tls.Certificate{Certificate: [][]byte{s.certificates[c.state].Raw}, PrivateKey: s.keys[c.state]}
	switch text, err := s.startNginx(t, c.kind).Login(mine); {
	case err != nil:
		return "", err.Error()
	case text == "SUCCESS":
		return "good", text
	case strings.Contains(text, "certificate revoked"):
		return "revoked", text
	default:
		return "", text
	}
}
