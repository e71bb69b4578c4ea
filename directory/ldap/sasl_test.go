package ldap_test

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/go-ldap/ldap/v3"
	"github.com/xdg-go/scram"

	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// saslBind is a SASL bind; nil credentials are absent ones.
func saslBind(id int, mechanism string, credentials []byte) []byte {
	b := append(ber.AppendInt(nil, ber.Integer, 3), octets("")...)
	in := octets(mechanism)
	if credentials != nil {
		in = ber.Append(in, ber.OctetString, credentials)
	}
	return envelope(id, 0x60, ber.Append(b, 0xA3, in))
}

const whoAmI = "1.3.6.1.4.1.4203.1.11.3"

func extendedPlain(id int, oid string) []byte {
	return envelope(id, 0x77, ber.AppendString(nil, 0x80, oid))
}

const saslRules = `rules:
  - {name: root, who: [anyone], entry: "", attributes: [entry, "*", "+"], rights: [read, search]}
  - {name: portal, who: ["dn: cn=reader,ou=Services,o=nhs"], subtree: "ou=People,o=nhs", attributes: [entry], rights: [proxy]}
  - {name: card, who: ["dn: uid=900000000017,ou=People,o=nhs"], entry: "uid=900000000041,ou=People,o=nhs", attributes: [entry], rights: [proxy]}
  - {name: rest, who: [authenticated], attributes: [entry, "*", "+"], rights: [read, search, compare, modify]}
`

func saslRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, func(c *ldap.Config) {
		rules, err := c.Tree.Schema().ParseRules([]byte(saslRules))
		must(t, err)
		c.Rules = rules
		c.Scram = &ldap.Scram{Seed: []byte("the same on every node"), Iterations: 4096}
		c.Users = []ldap.UserMapping{{Match: regexp.MustCompile(`(.+)@services`), To: "cn=$1,ou=Services,o=nhs"}}
	})
	r.ldif(workforce)
	return r
}

// TestForeignProgramsBindBySASL lets Cyrus SASL, in the programs of ldap-utils,
// speak every mechanism.
func TestForeignProgramsBindBySASL(t *testing.T) {
	t.Parallel()
	need(t, "ldapwhoami", "ldap-utils libsasl2-modules")
	r := saslRig(t)
	root := r.dial(rootDN, rootPassword)
	_, err := root.PasswordModify(client.NewPasswordModifyRequest(reader, "", "pencil"))
	must(t, err)
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	r.cards.set(card.Certificate[0], true)
	cert, key := r.pki.files(card)
	plain, secure := []string{"-Q", "-H", "ldap://" + r.plain, "-Y"}, []string{"-Q", "-H", "ldaps://" + r.secure, "-Y"}
	with := func(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
	tls := []string{"LDAPTLS_CERT=" + cert, "LDAPTLS_KEY=" + key}
	for _, c := range []struct {
		name  string
		env   []string
		args  []string
		code  int
		shows string
	}{
		{"PLAIN by user name", nil, with(secure, "PLAIN", "-U", "900000000017", "-w", "alex's password"), 0, "dn:" + alex},
		{"PLAIN by a name that is mapped", nil, with(secure, "PLAIN", "-U", "reader@services", "-w", "pencil"), 0, "dn:" + reader},
		{"PLAIN by DN", nil, with(secure, "PLAIN", "-U", "dn:"+reader, "-w", "pencil"), 0, "dn:" + reader},
		{"PLAIN, wrong", nil, with(secure, "PLAIN", "-U", "900000000017", "-w", "x"), 49, ""},
		{"PLAIN, nobody", nil, with(secure, "PLAIN", "-U", "nobody", "-w", "x"), 49, ""},
		{"PLAIN for another", nil, with(secure, "PLAIN", "-U", "reader@services", "-w", "pencil", "-X", "u:900000000041"), 0, "dn:" + bo},
		{"PLAIN for oneself", nil, with(secure, "PLAIN", "-U", "reader@services", "-w", "pencil", "-X", "dn:"+reader), 0, "dn:" + reader},
		{"PLAIN for another without the right", nil, with(secure, "PLAIN", "-U", "900000000017", "-w", "alex's password", "-X", "dn:"+reader), 123, ""},
		{"SCRAM", nil, with(plain, "SCRAM-SHA-256", "-U", "reader@services", "-w", "pencil"), 0, "dn:" + reader},
		{"SCRAM for another", nil, with(plain, "SCRAM-SHA-256", "-U", "reader@services", "-w", "pencil", "-X", "dn:"+alex), 0, "dn:" + alex},
		{"SCRAM, wrong", nil, with(plain, "SCRAM-SHA-256", "-U", "reader@services", "-w", "x"), 49, ""},
		{"SCRAM without a secret", nil, with(plain, "SCRAM-SHA-256", "-U", "900000000017", "-w", "alex's password"), 49, ""},
		{"SCRAM, nobody", nil, with(plain, "SCRAM-SHA-256", "-U", "nobody", "-w", "x"), 49, ""},
		{"SCRAM over TLS", nil, with(secure, "SCRAM-SHA-256", "-U", "reader@services", "-w", "pencil"), 0, "dn:" + reader},
		{"EXTERNAL", tls, with(secure, "EXTERNAL"), 0, "dn:" + alex},
		{"EXTERNAL for another", tls, with(secure, "EXTERNAL", "-X", "dn:"+bo), 0, "dn:" + bo},
		{"EXTERNAL for oneself", tls, with(secure, "EXTERNAL", "-X", "u:900000000017"), 0, "dn:" + alex},
		{"EXTERNAL for another without the right", tls, with(secure, "EXTERNAL", "-X", "dn:"+reader), 123, ""},
	} {
		out, code := r.program(c.env, "ldapwhoami", c.args...)
		if code != c.code && !strings.Contains(out, fmt.Sprintf("(%d)", c.code)) || !strings.Contains(out, c.shows) {
			t.Errorf("%s: exit %d, want %d, showing %q:\n%s", c.name, code, c.code, c.shows, out)
		}
	}
}

func TestMechanismsOfferedAreThoseThatWork(t *testing.T) {
	t.Parallel()
	r := saslRig(t)
	offered := func(c *client.Conn, err error) string {
		must(t, err)
		defer c.Close()
		got, err := c.Search(client.NewSearchRequest("", client.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"supportedSASLMechanisms"}, nil))
		must(t, err)
		return strings.Join(got.Entries[0].GetAttributeValues("supportedSASLMechanisms"), " ")
	}
	card := r.pki.issue(pkix.Name{CommonName: "900000000017"})
	for want, got := range map[string]string{
		"PLAIN SCRAM-SHA-256":                             offered(client.DialURL("ldap://" + r.plain)),
		"PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS":          offered(client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, nil)))),
		"EXTERNAL PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS": offered(client.DialURL("ldaps://"+r.secure, client.DialWithTLSConfig(tlsConfig(r.pki, card)))),
	} {
		if got != want {
			t.Errorf("offered %q, want %q", got, want)
		}
	}
}

func TestScramExchangesDoNotShowWhoExists(t *testing.T) {
	t.Parallel()
	r := saslRig(t)
	_, err := r.dial(rootDN, rootPassword).PasswordModify(client.NewPasswordModifyRequest(reader, "", "pencil"))
	must(t, err)
	salts := map[string]string{}
	for _, user := range []string{"reader@services", "900000000017", "nobody", "nobody", "NOBODY"} {
		w := openWire(t, r.plain, r.schema)
		first, final := scramMessages(t, w, user, "wrong")
		if !strings.Contains(first, ",i=4096") || final != "#3 op61 code 49" {
			t.Errorf("%s: %q, then %q", user, first, final)
		}
		salt := regexp.MustCompile(`s=([^,]+)`).FindStringSubmatch(first)[1]
		if before, known := salts[strings.ToLower(user)]; known && before != salt {
			t.Errorf("%s: another salt each time shows that there is none", user)
		}
		if raw, _ := base64.StdEncoding.DecodeString(salt); len(raw) != 16 {
			t.Errorf("%s: a salt of %d octets", user, len(raw))
		}
		salts[strings.ToLower(user)] = salt
	}
	w := openWire(t, r.plain, r.schema)
	if _, final := scramMessages(t, w, "reader@services", "pencil"); final != "#3 op61 code 0" {
		t.Errorf("the right password: %q", final)
	}
}

// scramMessages goes through an exchange; it returns the server's challenge and
// its final answer.
func scramMessages(t *testing.T, w *wire, user, password string) (first, final string) {
	t.Helper()
	c, err := scram.HashGeneratorFcn(sha256.New).NewClient(user, password, "")
	must(t, err)
	conversation := c.NewConversation()
	message, err := conversation.Step("")
	must(t, err)
	w.send(saslBind(2, "SCRAM-SHA-256", []byte(message)))
	first = w.challenge()
	message, err = conversation.Step(first)
	must(t, err)
	w.send(saslBind(3, "SCRAM-SHA-256", []byte(message)))
	return first, w.next(10 * time.Second)
}

// challenge reads a bind response in progress and returns its challenge.
func (w *wire) challenge() string {
	w.t.Helper()
	if got := w.next(10 * time.Second); !strings.HasSuffix(got, "op61 code 14") {
		w.t.Fatalf("no challenge: %s", got)
	}
	in := ber.NewReader(w.last)
	message, err := in.Enter(ber.Sequence)
	must(w.t, err)
	_, err = message.Int(ber.Integer)
	must(w.t, err)
	response, err := message.Enter(0x61)
	must(w.t, err)
	for range 3 {
		_, _, err = response.Next()
		must(w.t, err)
	}
	creds, err := response.Expect(0x87)
	must(w.t, err)
	return string(creds)
}

// TestExchangesOfSeveralSteps: state lives from one bind to the next, no
// longer, and nothing else is answered meanwhile.
func TestExchangesOfSeveralSteps(t *testing.T) {
	t.Parallel()
	r := saslRig(t)
	scramFirst := []byte("n,,n=reader@services,r=abc")
	plainRight := []byte("\x00900000000041\x00bo")
	for _, c := range []struct {
		name string
		pdus [][]byte
		last int
		want string
	}{
		{"the server speaks first, then PLAIN", [][]byte{saslBind(2, "PLAIN", nil), saslBind(3, "PLAIN", plainRight)}, 3, "#2 op61 code 14\n#3 op61 code 49"},
		{"a search meanwhile", [][]byte{saslBind(2, "SCRAM-SHA-256", scramFirst), ask{filter: "(objectClass=*)"}.pdu(t, 3)}, 3, "#2 op61 code 14\n#3 op65 code 1"},
		{"whoami meanwhile", [][]byte{saslBind(2, "SCRAM-SHA-256", nil), extendedPlain(3, whoAmI)}, 3, "#2 op61 code 14\n#3 op78 code 1"},
		{"another mechanism begins anew", [][]byte{saslBind(2, "SCRAM-SHA-256", scramFirst), saslBind(3, "PLAIN", nil)}, 3, "#2 op61 code 14\n#3 op61 code 14"},
		{"a simple bind ends it", [][]byte{saslBind(2, "SCRAM-SHA-256", scramFirst), bind(3, "", ""), extendedPlain(4, whoAmI)}, 4, "#2 op61 code 14\n#3 op61 code 0\n#4 op78 code 0"},
		{"an empty mechanism ends it", [][]byte{saslBind(2, "SCRAM-SHA-256", scramFirst), saslBind(3, "", nil), extendedPlain(4, whoAmI)}, 4, "#2 op61 code 14\n#3 op61 code 7\n#4 op78 code 0"},
		{"a proof out of nowhere", [][]byte{saslBind(2, "SCRAM-SHA-256", []byte("c=biws,r=abc,p=AAAA"))}, 2, "#2 op61 code 49"},
		{"nonsense in the middle", [][]byte{saslBind(2, "SCRAM-SHA-256", scramFirst), saslBind(3, "SCRAM-SHA-256", []byte("\x00\xff"))}, 3, "#2 op61 code 14\n#3 op61 code 49"},
		{"binding asked where there is none", [][]byte{saslBind(2, "SCRAM-SHA-256-PLUS", []byte("p=tls-exporter,,n=x,r=y"))}, 2, "#2 op61 code 7"},
		{"EXTERNAL without a certificate", [][]byte{saslBind(2, "EXTERNAL", nil)}, 2, "#2 op61 code 7"},
		{"PLAIN of two parts", [][]byte{saslBind(2, "PLAIN", []byte("a\x00b"))}, 2, "#2 op61 code 2"},
		{"PLAIN without a password", [][]byte{saslBind(2, "PLAIN", []byte("\x00a\x00"))}, 2, "#2 op61 code 2"},
		{"PLAIN of four parts", [][]byte{saslBind(2, "PLAIN", []byte("a\x00b\x00c\x00d"))}, 2, "#2 op61 code 2"},
		{"credentials without end", [][]byte{saslBind(2, "PLAIN", make([]byte, 20_000))}, 2, "#2 op61 code 2"},
		{"a mechanism nobody knows", [][]byte{saslBind(2, "GSSAPI", nil)}, 2, "#2 op61 code 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := openWire(t, r.plain, r.schema)
			var got []string
			for i, pdu := range c.pdus {
				w.send(pdu)
				got = append(got, w.until(2+i, 20*time.Second))
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func TestPlainIsRefusedInClear(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *ldap.Config) { c.AllowPlaintextBind = false })
	r.ldif(workforce)
	w := openWire(t, r.plain, r.schema)
	w.send(saslBind(2, "PLAIN", []byte("\x00reader\x00reading")))
	if got := w.next(10 * time.Second); got != "#2 op61 code 13" {
		t.Error(got)
	}
}

// TestScramPlusIsBoundToTheConnection goes through SCRAM-SHA-256-PLUS with the
// keys of the connection, and with others.
func TestScramPlusIsBoundToTheConnection(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	r := saslRig(t)
	_, err := r.dial(rootDN, rootPassword).PasswordModify(client.NewPasswordModifyRequest(reader, "", "pencil"))
	must(t, err)
	for _, c := range []struct {
		name, mechanism string
		binding         func(*scram.Client, scram.ChannelBinding) *scram.ClientConversation
		spoil           bool
		first, final    string
	}{
		{"bound", "SCRAM-SHA-256-PLUS", (*scram.Client).NewConversationWithChannelBinding, false, "code 14", "code 0"},
		{"bound to another connection", "SCRAM-SHA-256-PLUS", (*scram.Client).NewConversationWithChannelBinding, true, "code 14", "code 49"},
		{"told that there is no binding", "SCRAM-SHA-256", func(c *scram.Client, _ scram.ChannelBinding) *scram.ClientConversation {
			return c.NewConversationAdvertisingChannelBinding()
		}, false, "code 49", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, state := openWireTLS(t, r)
			binding, err := scram.NewTLSExporterBinding(state)
			must(t, err)
			if c.spoil {
				binding.Data[0]++
			}
			who, err := scram.SHA256.NewClient("reader@services", "pencil", "")
			must(t, err)
			conversation := c.binding(who, binding)
			message, err := conversation.Step("")
			must(t, err)
			w.send(saslBind(2, c.mechanism, []byte(message)))
			if c.final == "" {
				if got := w.next(10 * time.Second); !strings.HasSuffix(got, c.first) {
					t.Error(got)
				}
				return
			}
			message, err = conversation.Step(w.challenge())
			must(t, err)
			w.send(saslBind(3, c.mechanism, []byte(message)))
			if got := w.next(10 * time.Second); !strings.HasSuffix(got, c.final) {
				t.Error(got)
			}
		})
	}
}
