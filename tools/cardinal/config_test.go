package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/directory"
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

func TestAConfigurationIsOneDocument(t *testing.T) {
	t.Parallel()
	_, err := parseConfig([]byte("name: a\nlisten: {ldap: nowhere}\n---\nname: b\n"))
	if err == nil || !strings.Contains(err.Error(), "second document") || !strings.Contains(err.Error(), "listen.ldap") {
		t.Errorf("a second document and a bad address: %v", err)
	}
	if _, err := parseConfig([]byte("---\nname: a\n")); err != nil {
		t.Errorf("one document after a marker: %v", err)
	}
}

func TestTheWrittenConfigurationReadsBackAsItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"the default": Config{}.withDefaults(), "everything set": everythingSet()} {
		data, err := c.commented()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseConfig(data)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, data)
		}
		if !reflect.DeepEqual(c, back) {
			t.Errorf("%s: wrote %+v\n read %+v", name, c, back)
		}
	}
}

// everythingSet gives every key another value than its default.
func everythingSet() Config {
	return Config{
		Name:      `A "quoted" name`,
		Suffixes:  []Suffix{{DN: "o=nhs", RootDN: "cn=root,o=nhs", PasswordFile: "root.pw"}, {DN: "dc=example"}},
		Listen:    Listen{LDAP: "a:1", LDAPS: "b:2", Status: "c:3", Issuance: "[::1]:4", Operations: "d:0"},
		PublicURL: "http://pki.example.org/x",
		Feed:      FeedConfig{Listen: "e:6", Names: []string{"writer.example.org", "192.0.2.9"}, SnapshotFrom: 7},
		Follow:    FollowConfig{URLs: []string{"https://a:1", "https://b:2"}, Certificate: "n.cer", Key: "n.key", Trust: "t.pem"},
		Ledger:    LedgerConfig{URL: "postgres://app@h/d?sslmode=verify-full"},
		Replica:   ReplicaConfig{Sync: syncAlways},
		Keys:      KeysConfig{Authentication: "file:a", Signing: "pkcs11:token=t;object=s", Services: "file:c", Generations: map[string]string{"signing-2": "file:d"}},
		Certificates: CertificatesConfig{Organization: "O", Country: "GB", PolicyOIDs: map[string]string{"authentication": "1.2.3", "signature": "1.2.4"},
			Policies: "p", BlockedKeys: "b.txt"},
		Cards:  CardsConfig{AttestationRoots: []string{"a.pem", "b.pem"}},
		Orders: OrdersConfig{Alone: 7, Expiry: time.Hour, Undo: time.Minute},
		Lists: ListsConfig{Debounce: 5 * time.Second, Interval: 30 * time.Minute, Life: 48 * time.Hour, Full: true, Delta: true, DeltaBase: 12 * time.Hour,
			Archive: []string{"signing", "authentication"}, ArchiveInterval: 12 * time.Hour, ArchiveYears: 30, Directory: []string{"full", "delta"}},
		Directory: DirectoryConfig{Managed: []string{"ou=x,o=nhs"}, Schema: []string{"s"},
			Matching: []Matching{{Attribute: "a", Equality: "b", Ordering: "c", Substrings: "d"}}, Indexes: Indexes{Add: []string{"e"}, Drop: []string{"f", "g"}}, Memory: 5, Rules: "r.yaml", AllowPlaintextBind: true,
			History: HistoryConfig{Changes: 3, Age: time.Hour, Bytes: 4}, Followers: FollowersConfig{Total: 5, PerIdentity: 4, PerConnection: 3}, ChangeLog: true,
			Integrity:          Integrity{Attributes: []string{"member", "manager"}, Subtrees: []string{"ou=a,o=nhs", "ou=b,o=nhs"}, Nothing: "cn=x", Limit: 7},
			Unique:             []Unique{{Attributes: []string{"mail", "uid"}, Base: "ou=y,o=nhs", Filter: "(cn=*)"}, {Attributes: []string{"cn"}}},
			Limits:             []DirectoryLimit{{Who: []string{"anyone"}, Size: SizeBounds{Soft: 1, Hard: 2}, Time: TimeBounds{Soft: Patience(time.Second), Hard: Patience(time.Minute)}, Candidates: 3, FilterNodes: 4, Paged: 5}},
			BindByCertificate:  true,
			ClientCertificates: []ClientCertificate{{From: "attribute", Attribute: "a", Match: "b|\"c\"", To: "d", Find: "e", Base: "f", Issuers: []string{"g"}}, {From: "upn"}},
			Users:              []UserName{{Match: "(.+)@x: y", To: "cn=$1"}}, Scram: ScramConfig{Enabled: true, SeedFile: "s", Iterations: 5000},
			Passwords: []PasswordPolicy{{Name: "p", DN: "cn=p", Subtree: "o=x", Filter: "(cn=*)", MinAge: Age(time.Hour), MaxAge: Age(240 * time.Hour), ExpireWarning: Age(time.Minute),
				GraceLogins: 1, InHistory: 2, MinLength: 3, MaxLength: 4, Quality: 1, Kinds: 2, MustChange: true, NoUserChange: true, SafeModify: true,
				Lockout: true, MaxFailure: 5, LockoutDuration: Age(time.Second), FailureCountInterval: Age(36 * time.Hour)}, {Name: "q"}},
			Referrals: []string{"ldap://a", "ldaps://b"}},
		Status: StatusConfig{ResponderKey: "pkcs11:object=NAME", SigningAtOnce: 1, SigningWait: time.Second, Connections: 2, Stored: 3, EdgeAge: time.Hour, ByName: true,
			UnknownIssuer: "tryLater", UnknownSerial: "revoked", CertHash: true,
			Answers: []AnswerConfig{{Issuer: "signing", NextUpdate: time.Minute, MaxAge: time.Second, Retain: time.Hour}, {Issuer: "services", MaxAge: time.Minute}}},
		TimeStamps: TimeStampsConfig{Off: true, Policy: "1.2.3.4"},
		Limits: Limits{OCSPAge: time.Hour, DirectoryAge: 90 * time.Second, Connections: 1, SearchEntries: 2, SearchTime: time.Second,
			Stalled: time.Second, ClockSkew: time.Minute, Drain: 1500 * time.Millisecond},
		Demo: DemoConfig{Enabled: true, Clock: 26000 * time.Hour},
	}
}

// TestEverythingSetIsEverything keeps the test above honest.
func TestEverythingSetIsEverything(t *testing.T) {
	t.Parallel()
	var walk func(at string, v reflect.Value)
	walk = func(at string, v reflect.Value) {
		if v.Kind() != reflect.Struct {
			if v.IsZero() {
				t.Errorf("%s is not set", at)
			}
			return
		}
		for f, value := range v.Fields() {
			walk(at+"."+f.Name, value)
		}
	}
	walk("Config", reflect.ValueOf(everythingSet()))
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
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		keys = append(keys, key)
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

func TestMatchingRulesAreAddedAndPublished(t *testing.T) {
	t.Parallel()
	c := Config{PublicURL: "http://status.example.org"}.withDefaults()
	c.Directory.Matching = []Matching{{Attribute: "nhsPersonStatus", Equality: "caseIgnoreMatch"}}
	d, err := loadDirectory(folder(t.TempDir()), c)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, part := range d.schema.Published() {
		for _, v := range part.Values {
			found = found || part.Type == "attributeTypes" && strings.Contains(string(v), "'nhsPersonStatus'") && strings.Contains(string(v), "EQUALITY caseIgnoreMatch")
		}
	}
	if !found {
		t.Error("the published schema does not show the rule")
	}
	c.Directory.Matching = append(c.Directory.Matching, Matching{Attribute: "cn", Equality: "caseExactMatch"}, Matching{Attribute: "shoeSize", Equality: "caseExactMatch"})
	if _, err = loadDirectory(folder(t.TempDir()), c); err == nil || !strings.Contains(err.Error(), "cn") || !strings.Contains(err.Error(), "shoeSize") {
		t.Errorf("a rule in place of one that is there, and one for nothing, give %v", err)
	}
}

func TestIndexesAreThoseOfAttributesThereAre(t *testing.T) {
	t.Parallel()
	c := Config{PublicURL: "http://status.example.org"}.withDefaults()
	c.Directory.Indexes = Indexes{Add: []string{"description"}, Drop: []string{"telephoneNumber"}}
	d, err := loadDirectory(folder(t.TempDir()), c)
	if err != nil {
		t.Fatal(err)
	}
	of, err := d.newTree()
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := directory.ParseFilter("(|(description=x)(telephoneNumber=y))"); !slices.Equal(of.Lacking(f), []string{"telephoneNumber"}) {
		t.Errorf("not indexed: %q", of.Lacking(f))
	}
	for _, bad := range []Indexes{{Add: []string{"shoeSize"}}, {Add: []string{"nhsPersonStatus"}}, {Drop: []string{"shoeSize"}}} {
		c.Directory.Indexes = bad
		if _, err := loadDirectory(folder(t.TempDir()), c); err == nil || !strings.Contains(err.Error(), "directory.indexes: ") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
