package ldap_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/internal/ber"
)

// FuzzPlain reads messages of PLAIN: what is taken is written back the same.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"\x00user\x00password", "dn:cn=x\x00user\x00p", "\x00\x00", "", "\x00a\x00b\x00c", "a\x00b", "\x00u\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		authz, authc, password, err := ldap.ParsePlain(message)
		if err != nil {
			return
		}
		if again := []byte(authz + "\x00" + authc + "\x00" + string(password)); !bytes.Equal(again, message) || authc == "" || len(password) == 0 {
			t.Errorf("%q became %q", message, again)
		}
	})
}

// FuzzScramSecret reads stored secrets: what is taken is within its bounds.
func FuzzScramSecret(f *testing.F) {
	for _, seed := range []string{
		"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$1:x$y:z", "SCRAM-SHA-256$$", "{SSHA}x", "", "SCRAM-SHA-256$99999999999999999999:AAAA$AAAA:AAAA",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := ldap.ParseScramSecret(value)
		if err == nil && (c.Iters < 4096 || c.Iters > 1_000_000 || len(c.Salt) < 8 || len(c.Salt) > 64 || len(c.StoredKey) != 32 || len(c.ServerKey) != 32) {
			t.Errorf("%q: %+v", value, c)
		}
	})
}

// FuzzBind sends SASL binds of any content, one after another on one
// connection: none makes the server panic, and none lets anybody in.
func FuzzBind(f *testing.F) {
	for _, seed := range []string{"n,,n=reader,r=abc", "p=tls-exporter,,n=a,r=b", "c=biws,r=abc,p=AAAA", "y,a=dn:cn=x,n=u,r=r", "\x00u\x00p", "", "n,,n==2C=3D,r=\x00"} {
		f.Add("SCRAM-SHA-256", []byte(seed), []byte("c=biws,r=x,p=AAAA"))
		f.Add("PLAIN", []byte(seed), []byte(nil))
	}
	var hours atomic.Int64
	r := newRig(f, func(c *ldap.Config) {
		c.Scram = &ldap.Scram{}
		c.Now = func() time.Time { return time.Now().Add(time.Duration(hours.Add(1)) * time.Hour) } // no attempt waits for the one before
	})
	ldap.CheapRefusals(r.server)
	r.ldif(workforce)
	f.Fuzz(func(t *testing.T, mechanism string, first, second []byte) {
		handle := ldap.Handle(r.server, directory.Identity{})
		for i, message := range [][]byte{first, second} {
			if letIn(handle(saslBind(2+i, mechanism, message))) {
				t.Errorf("%s %q let in", mechanism, message)
			}
		}
		if ldap.Panics(r.server) > 0 {
			t.Fatalf("%s %q %q made the server panic", mechanism, first, second)
		}
	})
}

// letIn reports whether an answer is that of a bind that succeeded.
func letIn(answer []byte) bool {
	in := ber.NewReader(answer)
	seq, err := in.Enter(ber.Sequence)
	if err != nil {
		return false
	}
	_, _ = seq.Int(ber.Integer)
	body, err := seq.Enter(0x61)
	if err != nil {
		return false
	}
	code, err := body.Int(ber.Enumerated)
	return err == nil && code == 0
}

// TestOpenLDAPReadsThePolicyControl has OpenLDAP's own client decode what the
// control's response says.
func TestOpenLDAPReadsThePolicyControl(t *testing.T) {
	t.Parallel()
	need(t, "ldapwhoami", "ldap-utils")
	r, now := policyRig(t, ldap.PasswordPolicy{Name: "all", MaxAge: 10 * 24 * 3600e9, ExpireWarning: 9 * 24 * 3600e9, GraceLogins: 1, MinLength: 8,
		Lockout: true, MaxFailure: 2, LockoutDuration: 3600e9})
	r.ldif(member("aging"))
	r.ldif(member("locked"))
	ask := func(uid, password string, more ...string) (string, int) {
		return r.program(nil, "ldapwhoami", append([]string{"-x", "-H", "ldap://" + r.plain, "-e", "ppolicy", "-D", "uid=" + uid + ",ou=Staff,o=nhs", "-w", password}, more...)...)
	}
	now.pass(2 * 24 * 3600e9)
	shows := func(what, out string, code, want int, text string) {
		if code != want || !strings.Contains(out, text) {
			t.Errorf("%s: exit %d, want %d, showing %q:\n%s", what, code, want, text, out)
		}
	}
	out, code := ask("aging", "reading")
	shows("a warning", out, code, 0, "expire")
	now.pass(9 * 24 * 3600e9)
	out, code = ask("aging", "reading")
	shows("a grace login", out, code, 0, "0 grace logins remain")
	out, code = ask("aging", "reading")
	shows("expired", out, code, 49, "Password expired")
	for range 2 {
		out, code = ask("locked", "wrong")
		shows("wrong", out, code, 49, "Invalid credentials")
	}
	out, code = ask("locked", "reading")
	shows("locked", out, code, 49, "Account locked")
	out, code = r.program(nil, "ldappasswd", "-x", "-H", "ldap://"+r.plain, "-e", "ppolicy", "-D", rootDN, "-w", rootPassword, "-s", "new password", "uid=aging,ou=Staff,o=nhs")
	shows("a new password", out, code, 0, "")
	out, code = r.program(nil, "ldappasswd", "-x", "-H", "ldap://"+r.plain, "-e", "ppolicy", "-D", "uid=aging,ou=Staff,o=nhs", "-w", "new password", "-s", "short")
	shows("too short", out, code, 1, "too short")
}
