package main

import (
	"time"
)

// Config is what cardinal.yaml holds. Every key may be left out: withDefaults
// fills in what stands in its comment. Paths are relative to the folder the
// file lies in. The file is decoded strictly: a key that is not here is an
// error, and all problems are reported at once.
type Config struct {
	// Name stands in the subjects of the CAs, as in "CN=<Name> Root". Default "Cardinal".
	Name string `yaml:"name"`
	// Suffixes are the trees the directory serves. Default o=nhs.
	Suffixes []Suffix `yaml:"suffixes"`
	// Listen says where each server listens.
	Listen Listen `yaml:"listen"`
	// PublicURL is what certificates name for status and CA downloads: http,
	// reachable by every relying system, without a path of one host's choosing.
	// It must be given, since it outlives any listener.
	PublicURL string `yaml:"publicURL"`
	// Feed is for read nodes on other machines to follow.
	Feed FeedConfig `yaml:"feed"`
	// Follow makes this a read node of a writer elsewhere.
	Follow FollowConfig `yaml:"follow"`
	// Ledger is the database of record.
	Ledger LedgerConfig `yaml:"ledger"`
	// Replica is the copy that is asked.
	Replica ReplicaConfig `yaml:"replica"`
	// Keys say where the issuing CAs' private keys live.
	Keys KeysConfig `yaml:"keys"`
	// Certificates shape what is issued.
	Certificates CertificatesConfig `yaml:"certificates"`
	// Lists say which revocation lists there are and how often they are made.
	Lists ListsConfig `yaml:"lists"`
	// Cards say which cards are accepted.
	Cards CardsConfig `yaml:"cards"`
	// Orders bound work on many cards.
	Orders OrdersConfig `yaml:"orders"`
	// Directory shapes the tree and who may ask it.
	Directory DirectoryConfig `yaml:"directory"`
	// Status says how the status of certificates is told.
	Status StatusConfig `yaml:"status"`
	// TimeStamps say when something existed.
	TimeStamps TimeStampsConfig `yaml:"timeStamps"`
	// Limits protect the servers; zero means the default.
	Limits Limits `yaml:"limits"`
	// Demo is for installations nobody relies on.
	Demo DemoConfig `yaml:"demo"`
}

// DemoConfig is what cardinal demo needs and nobody else should set.
type DemoConfig struct {
	// Enabled trusts the attestations of simulated cards.
	Enabled bool `yaml:"enabled"`
	// Clock puts the server's clock forward, to show what later years bring.
	Clock time.Duration `yaml:"clock"`
}

// Suffix is one tree: a DN alone, or a DN with a root identity that may do
// anything outside managed subtrees.
type Suffix struct {
	DN           string `yaml:"dn"`
	RootDN       string `yaml:"rootDN"`
	PasswordFile string `yaml:"passwordFile"` // its first line is the root identity's password
}

// Listen holds host:port for each listener; port 0 takes any free one.
type Listen struct {
	LDAP       string `yaml:"ldap"`       // default 127.0.0.1:1389
	LDAPS      string `yaml:"ldaps"`      // default 127.0.0.1:1636
	Status     string `yaml:"status"`     // OCSP, CRLs, CA certificates; default 127.0.0.1:8080
	Issuance   string `yaml:"issuance"`   // HTTPS with client certificates; default 127.0.0.1:8443
	Operations string `yaml:"operations"` // health and metrics; default 127.0.0.1:9090
}

// LedgerConfig names the database.
type LedgerConfig struct {
	// URL is sqlite:PATH or postgres://…; default sqlite:ledger.db.
	URL string `yaml:"url"`
}

// KeysConfig holds a key URI for each issuing CA: file:PATH (an encrypted
// PKCS#8 file) or pkcs11:…. Default file:keys/NAME.key.
type KeysConfig struct {
	Authentication string `yaml:"authentication"`
	Signing        string `yaml:"signing"`
	Services       string `yaml:"services"`
	// Generations are the keys of later generations, by name (authentication-2).
	// Default file:keys/NAME.key.
	Generations map[string]string `yaml:"generations,omitempty"`
}

// CertificatesConfig shapes the subjects and rules of what is issued.
type CertificatesConfig struct {
	// Organization and Country are O= and C= of every subject. Default O=nhs, no country.
	Organization string `yaml:"organization"`
	Country      string `yaml:"country"`
	// PolicyOIDs replace the certificate policy OID of a profile, by its name.
	PolicyOIDs map[string]string `yaml:"policyOIDs"`
	// Policies is a folder with profiles that replace the built-in ones. Default none.
	Policies string `yaml:"policies"`
	// BlockedKeys is a file of SHA-256 hashes (hex, one a line) of public keys never to certify.
	BlockedKeys string `yaml:"blockedKeys"`
}

// CardsConfig says which cards' attestations are trusted.
type CardsConfig struct {
	// AttestationRoots are PEM files of card makers' roots. Without any, keys
	// need no attestation.
	AttestationRoots []string `yaml:"attestationRoots"`
}

// OrdersConfig bounds work on many cards at once.
type OrdersConfig struct {
	// Alone is how many cards one administrator stops without a second. Default, and at most, 100.
	Alone int `yaml:"alone"`
	// Expiry is how long an order waits for the second administrator. Default 24h.
	Expiry time.Duration `yaml:"expiry"`
	// Undo is how long after its end a suspension of many cards can be undone as a whole. Default 1h.
	Undo time.Duration `yaml:"undo"`
}

func (o OrdersConfig) check(bad func(key, format string, args ...any)) {
	if o.Alone < 1 || o.Alone > 100 {
		bad("orders.alone", "%d is not between 1 and 100", o.Alone)
	}
	if o.Expiry < 0 {
		bad("orders.expiry", "is negative")
	}
	if o.Undo < 0 {
		bad("orders.undo", "is negative")
	}
}

// DirectoryConfig shapes the directory.
type DirectoryConfig struct {
	// Managed are the subtrees that issuance alone writes. Default ou=People below each suffix; below the first it must stay.
	Managed []string `yaml:"managed"`
	// Schema are folders of further *.schema files: attributetype or objectclass before each RFC 4512 description.
	Schema []string `yaml:"schema"`
	// Matching gives attributes whose definition has no matching rule one, so that clients can filter on them.
	Matching []Matching `yaml:"matching"`
	// Indexes are what is found by value. A change of it has serve build its replica anew.
	Indexes Indexes `yaml:"indexes"`
	// Memory is how many bytes a node may keep beside its replica so that sign-ins are quick, about 170 for each entry. Default 1073741824
	// (1 GiB), enough for 6 million entries; what is beyond is read from the file. -1: none.
	Memory int64 `yaml:"memory"`
	// Rules is a file of access rules in place of the built-in ones.
	Rules string `yaml:"rules"`
	// Integrity keeps references to entries right when these go or are renamed.
	Integrity Integrity `yaml:"integrity"`
	// Unique are attributes of which no two entries share a value.
	Unique []Unique `yaml:"unique"`
	// AllowPlaintextBind lets passwords cross an unencrypted connection: for loopback and tests.
	AllowPlaintextBind bool `yaml:"allowPlaintextBind"`
	// BindByCertificate gives whoever presents a client certificate and then binds anonymously, or not at all, the certificate's identity.
	BindByCertificate bool `yaml:"bindByCertificate"`
	// ClientCertificates lead client certificates to entries, the first that fits. Default: a card to its person, any other of ours to its subject.
	ClientCertificates []ClientCertificate `yaml:"clientCertificates"`
	// Users lead the user names of SASL PLAIN and SCRAM to entries. What none leads to an entry means the entry named uid=USER.
	Users []UserName `yaml:"users"`
	// Scram offers SCRAM-SHA-256.
	Scram ScramConfig `yaml:"scram"`
	// Passwords are the policies for passwords; the first that fits an entry holds. Default: people are locked out, services slowed down.
	Passwords []PasswordPolicy `yaml:"passwords"`
	// Referrals are LDAP URIs of nodes that take updates: where a node that only reads sends them.
	Referrals []string `yaml:"referrals"`
	// History bounds what is kept of what changed.
	History HistoryConfig `yaml:"history"`
	// Followers bounds those who follow what changes.
	Followers FollowersConfig `yaml:"followers"`
	// ChangeLog shows the changes as entries at cn=Changelog of each suffix. Default false.
	ChangeLog bool `yaml:"changelog"`
	// Limits are what searches of some identities may cost, in place of limits.searchEntries and limits.searchTime.
	Limits []DirectoryLimit `yaml:"limits"`
}

// Indexes change the list of attributes that are indexed. One index serves
// equality, presence, prefixes and order.
type Indexes struct {
	Add  []string `yaml:"add"`  // attributes besides those indexed by default
	Drop []string `yaml:"drop"` // attributes not to index
}

// Matching names the rules (RFC 4517 §4.2) an attribute is compared by. Only
// one its definition lacks can be given; the published schema shows it.
type Matching struct {
	Attribute  string `yaml:"attribute"`
	Equality   string `yaml:"equality"`
	Ordering   string `yaml:"ordering"`
	Substrings string `yaml:"substrings"`
}

// Limits protect the servers. Each zero value takes the default named.
type Limits struct {
	// OCSPAge is how old the replica may be before OCSP says tryLater. Default 60s; up to 4h at the edge of a network, by choice.
	OCSPAge time.Duration `yaml:"ocspAge"`
	// DirectoryAge is the same for LDAP, which then says unavailable. Default 5m.
	DirectoryAge time.Duration `yaml:"directoryAge"`
	// Connections is the most LDAP connections at once. Default 4096.
	Connections int `yaml:"connections"`
	// SearchEntries is the most entries one search returns without a right to more. Default 1000.
	SearchEntries int `yaml:"searchEntries"`
	// SearchTime is the longest one search runs. Default 10s.
	SearchTime time.Duration `yaml:"searchTime"`
	// Stalled is how long a client may take to accept a piece of an answer before its connection is cut. Default 30s.
	Stalled time.Duration `yaml:"stalled"`
	// ClockSkew is how far the host's and the database's clock may differ before issuing stops. Default 2s.
	ClockSkew time.Duration `yaml:"clockSkew"`
	// Drain is how long a server that was told to end waits for work in hand. Default 8s, so that it has ended after 10.
	Drain time.Duration `yaml:"drain"`
}

// withDefaults gives the configuration with every zero value filled in.
func (c Config) withDefaults() Config {
	fill(&c.Name, "Cardinal")
	if len(c.Suffixes) == 0 {
		c.Suffixes = []Suffix{{DN: "o=nhs"}}
	}
	fill(&c.Listen.LDAP, "127.0.0.1:1389")
	fill(&c.Listen.LDAPS, "127.0.0.1:1636")
	fill(&c.Listen.Status, "127.0.0.1:8080")
	fill(&c.Listen.Issuance, "127.0.0.1:8443")
	fill(&c.Listen.Operations, "127.0.0.1:9090")
	fill(&c.Feed.SnapshotFrom, 5000)
	fill(&c.Ledger.URL, "sqlite:ledger.db")
	fill(&c.Replica.Sync, SyncLag(time.Second))
	fill(&c.Keys.Authentication, "file:keys/authentication.key")
	fill(&c.Keys.Signing, "file:keys/signing.key")
	fill(&c.Keys.Services, "file:keys/services.key")
	fill(&c.Certificates.Organization, "nhs")
	fill(&c.Orders.Alone, 100)
	fill(&c.Orders.Expiry, 24*time.Hour)
	fill(&c.Orders.Undo, time.Hour)
	if len(c.Directory.Managed) == 0 {
		for _, s := range c.Suffixes {
			c.Directory.Managed = append(c.Directory.Managed, "ou=People,"+s.DN)
		}
	}
	c.Status.fill()
	fill(&c.Limits.OCSPAge, 60*time.Second)
	fill(&c.Limits.DirectoryAge, 5*time.Minute)
	fill(&c.Limits.Connections, 4096)
	fill(&c.Limits.SearchEntries, 1000)
	fill(&c.Limits.SearchTime, 10*time.Second)
	fill(&c.Limits.Stalled, 30*time.Second)
	fill(&c.Limits.ClockSkew, 2*time.Second)
	fill(&c.Limits.Drain, 8*time.Second)
	return c
}

func fill[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}
