package ldap_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"
	"github.com/xdg-go/scram"

	"cardinal/internal/ber"
)

// TestGNUSASLBindsByScram has GNU SASL make and check the messages of
// SCRAM-SHA-256, and of SCRAM-SHA-256-PLUS with the keys of the connection.
func TestGNUSASLBindsByScram(t *testing.T) {
	t.Parallel()
	need(t, "gsasl", "gsasl")
	r := saslRig(t)
	_, err := r.dial(rootDN, rootPassword).PasswordModify(client.NewPasswordModifyRequest(reader, "", "pencil"))
	must(t, err)
	for _, c := range []struct {
		name, mechanism, password string
		spoil, ends               bool
	}{
		{"bound", "SCRAM-SHA-256-PLUS", "pencil", false, true},
		{"bound to another connection", "SCRAM-SHA-256-PLUS", "pencil", true, false},
		{"wrong password", "SCRAM-SHA-256-PLUS", "crayon", false, false},
		{"not bound", "SCRAM-SHA-256", "pencil", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, state := openWireTLS(t, r)
			binding, err := scram.NewTLSExporterBinding(state)
			must(t, err)
			if c.spoil {
				binding.Data[0]++
			}
			g := startGNUSASL(t, c.mechanism, c.password)
			if c.mechanism == "SCRAM-SHA-256-PLUS" {
				g.say(binding.Data)
			} else { // it asks all the same, and is told that there is none
				g.say(nil)
				g.say(nil)
			}
			w.send(saslBind(2, c.mechanism, g.hear()))
			g.say([]byte(w.challenge()))
			w.send(saslBind(3, c.mechanism, g.hear()))
			got := w.next(wireWait)
			if bound := strings.HasSuffix(got, "code 0"); bound != c.ends || !bound && !strings.HasSuffix(got, "code 49") {
				t.Fatalf("the server says %s", got)
			}
			if c.ends { // GNU SASL judges the server's signature
				g.say(serverCredentials(t, w.last))
				g.say(nil)
				must(t, g.in.Close())
				must(t, g.cmd.Wait())
			}
		})
	}
}

// gnuSASL is a gsasl that plays the client: tokens go in and out in Base64.
type gnuSASL struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startGNUSASL(t *testing.T, mechanism, password string) *gnuSASL {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "gsasl", "--client", "--quiet", "--mechanism", mechanism, "-a", "reader@services", "-z", "", "-p", password)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &gnuSASL{t: t, cmd: cmd, out: bufio.NewScanner(out), in: in}
}

func (g *gnuSASL) say(token []byte) {
	g.t.Helper()
	_, err := g.in.Write([]byte(base64.StdEncoding.EncodeToString(token) + "\n"))
	must(g.t, err)
}

// hear returns the next token. The name of the mechanism comes first, and a
// question may stand before a token.
func (g *gnuSASL) hear() []byte {
	g.t.Helper()
	for g.out.Scan() {
		line := g.out.Text()
		token, err := base64.StdEncoding.DecodeString(line[strings.LastIndex(line, " ")+1:])
		if err == nil && len(token) > 0 && !strings.HasPrefix(line, "SCRAM") {
			return token
		}
	}
	g.t.Fatal("gsasl says no more")
	return nil
}

// serverCredentials are those of a bind response.
func serverCredentials(t *testing.T, message []byte) []byte {
	t.Helper()
	in := ber.NewReader(message)
	in, err := in.Enter(ber.Sequence)
	must(t, err)
	_, err = in.Int(ber.Integer)
	must(t, err)
	in, err = in.Enter(0x61)
	must(t, err)
	for range 3 {
		_, _, err = in.Next()
		must(t, err)
	}
	credentials, err := in.Expect(0x87)
	must(t, err)
	return credentials
}
