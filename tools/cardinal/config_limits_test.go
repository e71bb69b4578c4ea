package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
	"cardinal/directory/ldap"
)

func TestLimitsOfIdentitiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig([]byte(`directory:
  limits:
    - who: ["group:cn=exports,o=nhs", "dn:cn=backup,o=nhs"]
      size: {soft: 1000, hard: unlimited}
      time: {hard: 10m}
      paged: unlimited
    - who: [anonymous]
      size: 20
      time: 2s
      candidates: 500
      filterNodes: 10
      paged: 100
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Directory.allowances(schema)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Who = nil
	}
	want := []ldap.Allowance{
		{Size: 1000, MaxSize: ldap.Unlimited, MaxTime: 10 * time.Minute, Paged: ldap.Unlimited},
		{Size: 20, MaxSize: 20, Time: 2 * time.Second, MaxTime: 2 * time.Second, Candidates: 500, FilterNodes: 10, Paged: 100},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	written, err := c.commented()
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseConfig(written)
	if err != nil || !reflect.DeepEqual(again.Directory.Limits, c.Directory.Limits) {
		t.Errorf("written and read again: %v, %+v", err, again.Directory.Limits)
	}
}

func TestWrongLimitsOfIdentitiesAreRefused(t *testing.T) {
	t.Parallel()
	schema, err := directory.DefaultSchema()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"{who: [anyone], size: 0}":                           "above zero",
		"{who: [anyone], size: -1}":                          "above zero",
		"{who: [anyone], size: many}":                        "above zero",
		"{who: [anyone], size: {soft: 1, firm: 2}}":          "firm",
		"{who: [anyone], size: [1, 2]}":                      "soft and hard",
		"{who: [anyone], size: {soft: 5, hard: 4}}":          "above the hard one",
		"{who: [anyone], time: {soft: unlimited, hard: 1s}}": "above the hard one",
		"{who: [anyone], time: 10}":                          "duration",
		"{who: [anyone], colour: 10}":                        "colour",
		"{size: 10}":                                         "who is missing",
		"{who: [self], size: 10}":                            "no meaning",
		"{who: [\"group:nonsense\"], size: 10}":              "nonsense",
	} {
		c, err := parseConfig([]byte("directory:\n  limits:\n    - " + text + "\n"))
		if err == nil {
			_, err = c.Directory.allowances(schema)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
