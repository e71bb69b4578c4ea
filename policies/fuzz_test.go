package policies

import (
	"testing"
)

// seed gives a data file of the embedded set.
func seed(f *testing.F, names ...string) {
	f.Helper()
	for _, name := range names {
		text, err := embedded.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

func FuzzParseProfile(f *testing.F) {
	seed(f, "authentication.yaml", "root.yaml", "server.yaml")
	f.Add([]byte("profile: client\nlines: [{keys: [RSA], cite: x}, {}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseProfile(text)
		if err == nil && (len(p.Issuers) == 0 && p.Citations["issuers"] == "" || p.Validity.check() != nil) {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzParseMatrix(f *testing.F) {
	seed(f, "matrix.yaml")
	f.Add([]byte("roles: []\nactivities: []\napart: [{activities: [case.approve, card.issue], cite: x}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMatrix(text)
		if err == nil && m.Allows(RoleSecurityAdmin, CardIssue, Situation{}) {
			t.Error("a security administrator may issue")
		}
	})
}

func FuzzParseEvents(f *testing.F) {
	seed(f, "events.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEvents(text)
		if err != nil {
			return
		}
		if _, err := e.Cancel("lost", false); err != nil {
			t.Error(err)
		}
	})
}

func FuzzParseRetention(f *testing.F) {
	seed(f, "retention.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRetention(text)
		if err == nil && len(r.Records) > 0 && r.Records[0].Citation == "" {
			t.Error("a record without its citation")
		}
	})
}
