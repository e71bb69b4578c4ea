package directory_test

import (
	"testing"

	"cardinal/directory"
)

func TestSubjectsFitIdentities(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	key := func(dn string) directory.Key {
		k, err := schema.ParseKey(dn)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	who := directory.Identity{Key: key("cn=app,ou=Services,o=nhs"), Groups: []directory.Key{key("cn=apps,o=nhs")}}
	for _, x := range []struct {
		subject        string
		fits, stranger bool
	}{
		{"anyone", true, true}, {"anonymous", false, true}, {"authenticated", true, false}, {"dn: CN=App,ou=services,o=nhs", true, false},
		{"subtree:ou=Services,o=nhs", true, false}, {"subtree:ou=People,o=nhs", false, false}, {"group:cn=apps,o=nhs", true, false}, {"name:app", false, false},
	} {
		s, err := schema.ParseSubjects([]string{x.subject})
		if err != nil {
			t.Errorf("%s: %v", x.subject, err)
			continue
		}
		if got := s.Fit(&who); got != x.fits {
			t.Errorf("%s fits the application: %t", x.subject, got)
		}
		if got := s.Fit(&directory.Identity{}); got != x.stranger {
			t.Errorf("%s fits a stranger: %t", x.subject, got)
		}
	}
	for _, bad := range [][]string{nil, {"self"}, {"selfSubtree"}, {"filter:(cn=a)"}, {"dn:"}, {"dn:nonsense"}, {"everyone"}} {
		if _, err := schema.ParseSubjects(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
