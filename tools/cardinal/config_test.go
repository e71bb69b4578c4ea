package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestAnEmptyConfigurationIsTheDefault(t *testing.T) {
	t.Parallel()
	c, err := parseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen.Issuance != "127.0.0.1:8443" || c.Suffixes[0].DN != "o=nhs" || c.Directory.Managed[0] != "ou=People,o=nhs" {
		t.Errorf("defaults are %+v", c)
	}
}

func TestEveryProblemOfAConfigurationIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := parseConfig([]byte(`
nmae: typo
suffixes:
  - nonsense
  - {dn: o=x, rootDN: cn=root}
  - {dn: o=y, colour: red}
  - O=X
listen: {ldap: nowhere, status: "h:99999"}
publicURL: https://pki.example.org
ledger: {url: mysql:x}
keys: {signing: here}
limits: {connections: -1, searchTime: soon}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"nmae", "colour", "searchTime", "soon", "suffixes[0]", "suffixes[1]", "twice", "listen.ldap", "listen.status", "publicURL", "ledger.url", "keys.signing", "limits.connections"} {
		if want == "searchTime" {
			continue // the decoder names the line and the value
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestTheWrittenConfigurationReadsBackAsItself(t *testing.T) {
	t.Parallel()
	c := Config{Name: `A "quoted" name`, PublicURL: "http://pki.example.org", Suffixes: []Suffix{{DN: "o=nhs"}, {DN: "dc=example"}}, Cards: CardsConfig{AttestationRoots: []string{"a.pem", "b.pem"}}}.withDefaults()
	data, err := c.commented()
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseConfig(data)
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if !reflect.DeepEqual(c, back) {
		t.Errorf("wrote %+v\n read %+v", c, back)
	}
}

// TestTheWrittenConfigurationNamesEveryKey keeps the commented file complete.
func TestTheWrittenConfigurationNamesEveryKey(t *testing.T) {
	t.Parallel()
	data, err := Config{}.withDefaults().commented()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[Config]()) {
		if !strings.Contains(string(data), key+":") {
			t.Errorf("key %s is not in the written file", key)
		}
	}
}

func keysOf(t reflect.Type) (keys []string) {
	for t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
		keys = append(keys, keysOf(f.Type)...)
	}
	return keys
}

func TestReadConfigNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cardinal.yaml")
	if err := os.WriteFile(path, []byte("a: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := readConfig(path)
	var f *failure
	if !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
