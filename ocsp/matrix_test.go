package ocsp_test

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cardinal/certs"
)

// cell is one way to ask about one state.
type cell struct{ state, method, nonce, hash string }

// matrix is every state by every way of asking.
func matrix() []cell {
	cells := []cell{{}}
	vary := func(values []string, set func(c *cell, value string)) {
		var next []cell
		for _, c := range cells {
			for _, v := range values {
				set(&c, v)
				next = append(next, c)
			}
		}
		cells = next
	}
	vary([]string{"good", "revoked", "held", "released", "unknown", "foreign"}, func(c *cell, v string) { c.state = v })
	vary([]string{"GET", "POST"}, func(c *cell, v string) { c.method = v })
	vary([]string{"none", "1", "16", "32", "128", "129"}, func(c *cell, v string) { c.nonce = v })
	vary([]string{"SHA-1", "SHA-256"}, func(c *cell, v string) { c.hash = v })
	return cells
}

// verdict is what the answer in a cell must say.
func (c cell) verdict() string {
	switch {
	case c.nonce == "129":
		return "malformed"
	case c.state == "foreign":
		return "unauthorized"
	case c.state == "released":
		return "good"
	case c.state == "held":
		return "revoked"
	}
	return c.state
}

// asker is a client: which cells it can express, and what it makes of the answer ("" for something else).
type asker struct {
	name     string
	programs []string // and the packages they are in, in turn
	covers   func(c cell) bool
	ask      func(t *testing.T, s *stage, c cell) (verdict, output string)
}

func askers() []asker {
	return []asker{
		{name: "raw", covers: func(cell) bool { return true }, ask: askRaw},
		{name: "openssl", programs: []string{"openssl", "openssl"}, ask: askOpenSSL,
			covers: func(c cell) bool { return c.method == "POST" && (c.nonce == "none" || c.nonce == "16") }},
		{name: "gnutls", programs: []string{"ocsptool", "gnutls-bin"}, ask: askGnuTLS, // its nonce has 23 octets
			covers: func(c cell) bool {
				return c.method == "POST" && (c.nonce == "none" || c.nonce == "16") && c.hash == "SHA-1" && c.state != "foreign"
			}},
		{name: "nss", programs: []string{"vfychain", "libnss3-tools", "certutil", "libnss3-tools"}, ask: askNSS,
			covers: func(c cell) bool {
				return c.method == "GET" && c.nonce == "none" && c.hash == "SHA-1" && c.state != "foreign"
			}},
		{name: "java", programs: []string{"javac", "default-jdk-headless"}, ask: askJava, // its CertIDs are by SHA-1
			covers: func(c cell) bool { return c.hash == "SHA-1" }},
		{name: "nginx", programs: []string{"nginx", "nginx-light"}, ask: askNginx,
			covers: func(c cell) bool {
				return c.method == "GET" && c.nonce == "none" && c.hash == "SHA-1" && c.state != "foreign"
			}},
		{name: "python", programs: []string{"python3", "python3-cryptography"}, ask: askPython,
			covers: func(cell) bool { return true }},
	}
}

func TestAcceptanceMatrix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	covered := map[cell][]string{}
	for _, a := range askers() {
		for _, c := range matrix() {
			if a.covers(c) {
				covered[c] = append(covered[c], a.name)
			}
		}
		t.Run(a.name, func(t *testing.T) {
			for i := 0; i < len(a.programs); i += 2 {
				need(t, a.programs[i], a.programs[i+1])
			}
			if a.name == "python" && exec.CommandContext(t.Context(), "python3", "-c", "import cryptography").Run() != nil {
				t.Skipf("needs %s: apt-get install -y %s", "python3", "python3-cryptography")
			}
			s := newStage(t)
			a.all(t, s)
		})
	}
	rows := map[string]int{}
	for _, c := range matrix() {
		if len(covered[c]) == 0 {
			t.Errorf("nobody covers %+v", c)
		}
		rows[fmt.Sprintf("%-4s nonce %-4s %-7s: %s", c.method, c.nonce, c.hash, strings.Join(covered[c], " "))]++
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		t.Logf("%s (%d states)", row, rows[row])
	}
}

// all asks in every cell the client covers.
func (a *asker) all(t *testing.T, s *stage) {
	asked, right := 0, 0
	var plain cell // a way of asking without a nonce, so that the answer may be a stored one
	for _, c := range matrix() {
		if !a.covers(c) {
			continue
		}
		if c.state == "good" && c.nonce == "none" {
			plain = c
		}
		asked++
		if verdict, output := a.ask(t, s, c); verdict != c.verdict() {
			t.Errorf("%s, %+v: %q, want %q\n%s", a.name, c, verdict, c.verdict(), output)
		} else {
			right++
		}
	}
	t.Logf("%s: %d of %d cells right; %s", a.name, right, asked, a.loss(t, s, plain))
	if a.name == "nss" && s.gets.Load() == 0 {
		t.Errorf("vfychain was expected to ask by GET")
	}
}

// loss has a certificate called good, revokes it, and asks once more: the first answer must say so.
func (a *asker) loss(t *testing.T, s *stage, c cell) string {
	c.state = "lost"
	for range 2 {
		if verdict, output := a.ask(t, s, c); verdict != "good" {
			t.Errorf("%s, before the loss: %q\n%s", a.name, verdict, output)
		}
	}
	s.set(s.auth, revoked(certs.ReasonKeyCompromise), s.certs["lost"])
	if verdict, output := a.ask(t, s, c); verdict != "revoked" {
		t.Errorf("%s, first question after the loss: %q\n%s", a.name, verdict, output)
		return "a loss was missed"
	}
	return "the first question after a loss was answered revoked"
}

func askRaw(t *testing.T, s *stage, c cell) (verdict, output string) {
	issuer := s.auth
	if c.state == "foreign" {
		issuer = s.foreign
	}
	hash := map[string]crypto.Hash{"SHA-1": crypto.SHA1, "SHA-256": crypto.SHA256}[c.hash]
	request := requestFor(idOf(issuer, hash, s.certs[c.state].SerialNumber))
	var nonce []byte
	if n, err := strconv.Atoi(c.nonce); err == nil {
		nonce, _ = asn1.Marshal(bytes.Repeat([]byte{0xa5}, n))
		request.nonce(nonce)
	}
	der := request.der(t)
	var body []byte
	if c.method == "GET" {
		body = bodyOf(t, s.call("GET", getPath(der), nil))
	} else {
		body = s.ask(der)
	}
	if len(body) == 5 {
		return map[byte]string{1: "malformed", 6: "unauthorized"}[body[4]], fmt.Sprintf("%x", body)
	}
	d := parseAnswer(t, body, issuer)
	if echoed := len(d.Extensions) == 1 && bytes.Equal(d.Extensions[0].Value, nonce); echoed != (nonce != nil) {
		return "nonce not echoed", fmt.Sprintf("%x", body)
	}
	return []string{"good", "revoked", "unknown"}[d.Responses[0].Status.Tag], fmt.Sprintf("%x", body)
}

// said is the one verdict whose text is in the output of a program.
func said(output string, texts map[string]string) string {
	verdict := ""
	for v, text := range texts {
		if strings.Contains(output, text) {
			verdict += v
		}
	}
	return verdict
}

func askOpenSSL(t *testing.T, s *stage, c cell) (verdict, output string) {
	ca, nonce, hash := "ca.pem", "-nonce", "-sha1"
	if c.state == "foreign" {
		ca = "foreign-ca.pem"
	}
	if c.nonce == "none" {
		nonce = "-no_nonce"
	}
	if c.hash == "SHA-256" {
		hash = "-sha256"
	}
	out, code := run(t, s.dir, "openssl", "ocsp", "-issuer", ca, hash, "-cert", c.state+".pem", "-url", s.url(), "-CAfile", ca, nonce)
	name := c.state + ".pem: "
	verdict = said(out, map[string]string{"good": name + "good", "revoked": name + "revoked", "unknown": name + "unknown",
		"unauthorized": "Responder Error: unauthorized"})
	if verdict != "unauthorized" && (code != 0 || !strings.Contains(out, "Response verify OK") || strings.Contains(out, "WARNING")) {
		return "not verified", out
	}
	return verdict, out
}

func askGnuTLS(t *testing.T, s *stage, c cell) (verdict, output string) {
	nonce := "--nonce"
	if c.nonce == "none" {
		nonce = "--no-nonce"
	}
	out, _ := run(t, s.dir, "ocsptool", "--ask="+s.url(), nonce, "--load-issuer=ca.pem", "--load-cert="+c.state+".pem", "--load-trust=ca.pem")
	if !strings.Contains(out, "Verifying OCSP Response: Success") {
		return "not verified", out
	}
	const status = "Certificate Status: "
	return said(out, map[string]string{"good": status + "good", "revoked": status + "revoked", "unknown": status + "unknown"}), out
}

// askNSS: NSS refuses an unknown certificate in the words for a revoked one.
func askNSS(t *testing.T, s *stage, c cell) (verdict, output string) {
	out, code := run(t, s.dir, "vfychain", "-d", s.nssStore(t), "-pp", "-u", "0", "-g", "leaf", "-m", "ocsp",
		"-s", "requireInfo,failIfNoInfo", c.state+".der")
	switch {
	case code == 0 && strings.Contains(out, "Chain is good!"):
		return "good", out
	case strings.Contains(out, "has been revoked") && c.state == "unknown":
		return "unknown", out
	case strings.Contains(out, "has been revoked"):
		return "revoked", out
	}
	return "", out
}
