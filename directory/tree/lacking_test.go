package tree_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

func TestShapesTellNoValue(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := tree.New(schema, tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	many := "(|" + strings.Repeat("(uid=secret)", 1000) + "(UID=secret)(sn=secret))"
	wide := "(&" + strings.Repeat("(sn=secret)(cn=secret)", 500) + ")"
	deep := strings.Repeat("(!(&(sn=secret)", 40) + "(cn=secret)" + strings.Repeat("))", 40)
	for filter, want := range map[string]string{
		"(uid=secret)":                   "(uid=?)",
		"(UserID=secret)":                "(uid=?)",
		"(sn=sec*ret*x)":                 "(sn=?*?*?)",
		"(sn=*secret)":                   "(sn=*?)",
		"(cn=*)":                         "(cn=*)",
		"(secretAttribute=secret)":       "(?=?)",
		"(cn:dn:caseExactMatch:=secret)": "(cn:dn:caseExactMatch:=?)",
		"(:secretRule:=secret)":          "(:=?)",
		"(&(sn>=secret)(!(sn<=secret))(cn~=secret))": "(&(sn>=?)(!(sn<=?))(cn~=?))",
		many:                      "(|(uid=?)×1001(sn=?))",
		"(cn;lang-secret=secret)": "(cn=?)",
	} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := tr.Shape(f); got != want {
			t.Errorf("%.60s: got %s, want %s", filter, got, want)
		}
	}
	for _, filter := range []string{wide, deep} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := tr.Shape(f); len(got) > 260 || strings.Contains(got, "secret") {
			t.Errorf("%d octets: %s", len(got), got)
		}
	}
	if got := tr.Shape(nil); got != "(?)" {
		t.Errorf("no filter: %s", got)
	}
}

func TestLackingNamesTheIndexThatWouldHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	computed, err := tree.SignIn(w.schema, nil, time.Now)
	if err == nil {
		err = w.tree.Compute(computed...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string][]string{
		"(uid=x)":                                                nil, // there is one
		"(description=x)":                                        {"description"},
		"(description=x*)":                                       {"description"},
		"(description=*x)":                                       nil, // no index serves it
		"(&(objectClass=person)(description=x))":                 {"description"},
		"(&(roomNumber=*)(description=x))":                       {"description"},
		"(|(description=x)(roomNumber=y)(uid=z))":                {"description", "roomNumber"},
		"(|(description=x)(!(roomNumber=y)))":                    nil,
		"(!(description=x))":                                     nil,
		"(nhsPersonStatus=1)":                                    nil, // it has no equality rule
		"(cardStatus=active)":                                    nil, // it stands in no entry
		"(&(cardStatus=active)(|(description=x)(carLicense=y)))": {"carLicense", "description"},
		"(unknown=x)":                                            nil,
		"(name=x)":                                               nil, // of too many subtypes
	} {
		f, err := directory.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.tree.Lacking(f); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", filter, got, want)
		}
	}
}
