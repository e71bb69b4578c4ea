package directory_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"cardinal/directory"
)

func TestDefaultSchemaIsTheNHSSchema(t *testing.T) {
	t.Parallel()
	s := schema(t)
	nhs, noEquality, exact, ignore, single := 0, 0, 0, 0, 0
	for _, a := range s.Attributes() {
		if !strings.HasPrefix(a.OID, "1.2.826.0.1285.") {
			continue
		}
		nhs++
		switch {
		case a.Equality == nil:
			noEquality++
		case a.Equality.Name == "caseExactMatch":
			exact++
		case a.Equality.Name == "caseIgnoreMatch":
			ignore++
		}
		if a.SingleValue {
			single++
		}
		if a.Substrings != nil || a.Ordering != nil || a.Syntax.Description != "Directory String" {
			t.Errorf("%s has other rules or another syntax", a.Name())
		}
	}
	if nhs != 130 || noEquality != 83 || exact != 33 || ignore != 14 || single != 93 {
		t.Errorf("%d attributes, %d without equality, %d exact, %d ignoring case, %d single", nhs, noEquality, exact, ignore, single)
	}
	classes := 0
	for _, c := range s.Classes() {
		if strings.HasPrefix(c.OID, "1.2.826.0.1285.") {
			classes++
		}
	}
	if classes != 22 {
		t.Errorf("%d NHS classes", classes)
	}
	if !s.Class("NHSPERSON").Is(s.Class("inetOrgPerson")) || s.Class("nhsOrgPersonRole").Is(s.Class("person")) {
		t.Error("wrong superclasses")
	}
	if a := s.Attribute("commonname;lang-en"); a == nil || a.Name() != "cn" || !a.Is(s.Attribute("name")) || a.Equality.Name != "caseIgnoreMatch" {
		t.Error("cn is not what it should be")
	}
	for _, r := range []string{"2.5.13.2", "CASEIGNOREMATCH", "certificateExactMatch", "uuidmatch", "wordMatch"} {
		if s.Rule(r) == nil {
			t.Errorf("no rule %s", r)
		}
	}
}

func TestSchemaFilesAreStrict(t *testing.T) {
	t.Parallel()
	base := fstest.MapFS{}
	for _, name := range []string{"system.schema", "core.schema"} {
		data, err := fs.ReadFile(directory.StandardFiles(), name)
		if err != nil {
			t.Fatal(err)
		}
		base[name] = &fstest.MapFile{Data: data}
	}
	for _, c := range []struct{ what, text, want string }{
		{"unknown syntax", "\n\nattributetype ( 1.3.9.1 NAME 'a' SYNTAX 1.2.3 )", `x.schema:3: a: unknown syntax "1.2.3"`},
		{"unknown rule", "attributetype ( 1.3.9.1 NAME 'a'\n EQUALITY fooMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )", `x.schema:1: a: unknown matching rule "fooMatch"`},
		{"unknown keyword", "attributetype ( 1.3.9.1 NAME 'a' COLOUR 'red' )", `x.schema:1: 1.3.9.1: unexpected "COLOUR"`},
		{"unended", "attributetype ( 1.3.9.1 NAME 'a'", "unended definition"},
		{"unended quote", "attributetype ( 1.3.9.1 NAME 'a )", "unended quote"},
		{"text behind", "attributetype ( 1.3.9.1 NAME 'a' SUP name ) x", "text after the definition"},
		{"bad OID", "attributetype ( 1..2 NAME 'a' SUP name )", `bad object identifier "1..2"`},
		{"no syntax", "attributetype ( 1.3.9.1 NAME 'a' )", "a: neither SYNTAX nor SUP"},
		{"itself", "attributetype ( 1.3.9.1 NAME 'a' SUP b )\nattributetype ( 1.3.9.2 NAME 'b' SUP a )", "is its own supertype"},
		{"class itself", "objectclass ( 1.3.9.1 NAME 'a' SUP a )", "is its own superclass"},
		{"unknown must", "objectclass ( 1.3.9.1 NAME 'a' SUP top MUST ( cn $ nosuch ) )", `x.schema:1: a: unknown attribute type "nosuch" in MUST`},
		{"taken", "attributetype ( 1.3.9.1 NAME 'CN' SUP name )", "attribute type CN is defined otherwise at core.schema:"},
		{"directive", "attributtype ( 1.3.9.1 )", `unknown directive "attributtype"`},
		{"kind", "objectclass ( 1.3.9.1 NAME 'a' SUP person AUXILIARY )", "superclass person is of another kind"},
		{"user modification", "attributetype ( 1.3.9.1 NAME 'a' SUP name NO-USER-MODIFICATION )", "needs an operational USAGE"},
	} {
		_, err := directory.LoadSchema(base, fstest.MapFS{"x.schema": {Data: []byte(c.text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
		var p *directory.Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: not a Problem", c.what)
		}
	}
}

func TestSchemaTakesOperatorsFiles(t *testing.T) {
	t.Parallel()
	own := fstest.MapFS{
		"b.schema": {Data: []byte("# ours\nobjectidentifier our 1.3.6.1.4.1.99999\nattributetype ( our:1\n\tNAME ( 'badge' 'badgeNumber' ) DESC 'a \\27quoted\\27 word'\n\tEQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 X-ORIGIN 'us' )\nobjectclass ( our:2 NAME 'badged' AUXILIARY MAY badge )\n")},
		"a.ldif":   {Data: []byte("dn: cn=x,cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: x\nolcAttributeTypes: {0}( 1.3.9.7 NAME 'early' SUP badge\n  SINGLE-VALUE )\n")},
	}
	s, err := directory.LoadSchema(directory.StandardFiles(), own)
	if err != nil {
		t.Fatal(err)
	}
	a := s.Attribute("BADGEnumber")
	if a == nil || a.OID != "1.3.6.1.4.1.99999.1" || a.Description != "a 'quoted' word" || !s.Attribute("early").SingleValue {
		t.Errorf("%+v", a)
	}
}

func TestLoaderAddsRules(t *testing.T) {
	t.Parallel()
	l := directory.Loader{Files: []fs.FS{directory.StandardFiles()},
		Rules: []directory.ExtraRules{{Attribute: "nhsOrgOpenDate", Equality: "caseIgnoreMatch", Substrings: "caseIgnoreSubstringsMatch"}}}
	s, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	e := entry(t, "dn: cn=a\nobjectClass: device\nnhsOrgOpenDate: 20240101\n")
	f, _ := directory.ParseFilter("(&(nhsOrgOpenDate=20240101)(nhsOrgOpenDate=2024*))")
	if s.Match(f, e) != directory.True || schema(t).Match(f, e) != directory.Undefined {
		t.Error("the rules were not added")
	}
	for _, r := range []directory.ExtraRules{{Attribute: "cn", Equality: "caseExactMatch"}, {Attribute: "x"}, {Attribute: "cn", Ordering: "x"}} {
		l.Rules = []directory.ExtraRules{r}
		if _, err := l.Load(); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

func FuzzSchemaDefinition(f *testing.F) {
	f.Add("( 1.3.9.1 NAME ( 'a' 'b' ) DESC 'x' SUP name EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32} SINGLE-VALUE X-A ( 'b' 'c' ) )")
	f.Add("( 1.3.9.1 NAME 'a' SUP top MUST ( cn $ sn ) MAY description )")
	f.Add("( 1.3 '")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "\n", " ")
		data := "attributetype " + text + "\nobjectclass " + text + "\n"
		_, err := directory.LoadSchema(fstest.MapFS{"x.schema": {Data: []byte(data)}})
		if err == nil {
			t.Fatal("a schema without objectClass was taken")
		}
	})
}
