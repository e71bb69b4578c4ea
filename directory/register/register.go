// Package register owns the entries of record: the tables that say which
// entries the directory holds, and the changes that tell every replica.
//
// It promises:
//
//   - A write is checked against the schema and the entries there are, gets
//     its operational attributes here (so all replicas are equal), and appends
//     its changes in the same transaction.
//   - Entries stand in two layers. A load of an empty suffix is kept as the
//     compressed blocks its change names, once; single writes stand as rows
//     over them, and a row without data hides a loaded entry.
//   - In a managed subtree only an Author with Issuance writes; every other,
//     however privileged, gets unwillingToPerform (53), because whoever can
//     write a role profile makes himself RA manager.
//   - Password values never reach an entry, a public change, an error or a
//     log: they are hashed, kept apart and travel as SecretsChanged.
//
// Codes are those of slapd 2.5 (RFC 4511 §4.6 to §4.9).
package register

import (
	"cmp"
	"fmt"
	"slices"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// Room returns the tables, for ledger.Options.
func Room() ledger.Room {
	return ledger.Room{Name: "directory", Migrations: []string{tables, references}}
}

// In directory_entry a row without data hides a loaded entry of that key.
// directory_value holds the values of attributes that have very many of them.
const tables = `
CREATE TABLE directory_entry (
	key BYTEA PRIMARY KEY,
	uuid BYTEA NOT NULL,
	data BYTEA
);
CREATE TABLE directory_load (
	suffix BYTEA PRIMARY KEY,
	load BYTEA NOT NULL,
	manifest BYTEA NOT NULL,
	defaults BYTEA NOT NULL,
	entries BIGINT NOT NULL
);
CREATE TABLE directory_block (
	load BYTEA NOT NULL,
	first BYTEA NOT NULL,
	content BYTEA NOT NULL,
	PRIMARY KEY (load, first)
);
CREATE TABLE directory_value (
	uuid BYTEA NOT NULL,
	attribute TEXT NOT NULL,
	form BYTEA NOT NULL,
	value BYTEA NOT NULL,
	PRIMARY KEY (uuid, attribute, form)
);
CREATE TABLE directory_outline (
	uuid BYTEA NOT NULL,
	attribute TEXT NOT NULL,
	number BIGINT NOT NULL,
	PRIMARY KEY (uuid, attribute)
);
CREATE TABLE directory_secret (
	uuid BYTEA NOT NULL,
	attribute TEXT NOT NULL,
	data BYTEA NOT NULL,
	PRIMARY KEY (uuid, attribute)
);
`

// Config says which entries the register keeps.
type Config struct {
	Suffixes []directory.DN // each at least one RDN, none below another
	Managed  []directory.DN // subtrees only issuance writes
	// Secrets are attributes kept out of entries; nil means userPassword,
	// authPassword and pwdHistory.
	Secrets []string
	// MoveLimit is how many entries one move may rename; 0 means 1000, which
	// a transaction can do without holding the head for long.
	MoveLimit int
	// TreeLimit is how many entries one deletion of a subtree may remove; 0
	// means 500, for the same reason.
	TreeLimit int
	// Integrity and Unique watch over values of several entries; what they need
	// to know of entries that are there already, Fill finds out.
	Integrity Integrity
	Unique    []Unique
	// TempDir holds a load's sorted runs; "" is the system's.
	TempDir string
	// SortMemory is how many bytes of entries a load holds before it writes a
	// run; 0 means 96 MiB.
	SortMemory int
}

// Author is who writes.
type Author struct {
	DN string // for creatorsName and modifiersName
	// Issuance may write managed subtrees: set by the issuance room alone.
	Issuance bool
	// State may write what the server keeps of passwords besides, which no
	// client may: set by the directory server for its own modifications. Alone
	// they are let into managed subtrees too, since they say nothing of who
	// someone is.
	State bool
}

// Register writes and reads the entries of record. It keeps no entry but a
// small cache of immutable blocks; any number of goroutines may use it.
type Register struct {
	schema   *directory.Schema
	suffixes []suffix
	managed  []directory.Key
	secrets  []string
	config   Config
	blocks   *blockCache

	tracked   map[string]bool // attributes by name, see references.go
	single    map[string]bool // those that uniqueness asks for
	integrity integrity
	uniques   []uniqueness
}

type suffix struct {
	dn  directory.DN
	key directory.Key
}

// Limits of an entry.
const (
	maxKey       = 2000 // bytes of a key: an index row of PostgreSQL holds 2700
	defaultMoves = 1000
	defaultTree  = 500
	runBytes     = 96 << 20 // sorted in memory
)

// New checks the configuration against the schema.
func New(schema *directory.Schema, config Config) (*Register, error) {
	r := &Register{schema: schema, config: config, blocks: newBlockCache(), tracked: map[string]bool{}, single: map[string]bool{}}
	for _, dn := range config.Suffixes {
		k, err := schema.Key(dn)
		if err != nil || k == "" {
			return nil, fmt.Errorf("suffix %q: %w", dn, orEmpty(err))
		}
		for _, o := range r.suffixes {
			if o.key.Contains(k) || k.Contains(o.key) {
				return nil, fmt.Errorf("suffix %q overlaps %q", dn, o.dn)
			}
		}
		r.suffixes = append(r.suffixes, suffix{dn, k})
	}
	for _, dn := range config.Managed {
		k, err := schema.Key(dn)
		if err != nil || k == "" {
			return nil, fmt.Errorf("managed subtree %q: %w", dn, orEmpty(err))
		}
		r.managed = append(r.managed, k)
	}
	if config.Secrets == nil {
		config.Secrets = []string{"userPassword", "authPassword", "pwdHistory"}
	}
	for _, name := range config.Secrets {
		t := schema.Attribute(name)
		if t == nil {
			return nil, fmt.Errorf("secret attribute %q: unknown to the schema", name)
		}
		r.secrets = append(r.secrets, t.Name())
	}
	if err := r.setIntegrity(config.Integrity); err != nil {
		return nil, err
	}
	for _, u := range config.Unique {
		if err := r.addUnique(u); err != nil {
			return nil, err
		}
	}
	r.config.MoveLimit = cmp.Or(r.config.MoveLimit, defaultMoves)
	r.config.TreeLimit = cmp.Or(r.config.TreeLimit, defaultTree)
	r.config.SortMemory = cmp.Or(r.config.SortMemory, runBytes)
	return r, nil
}

func orEmpty(err error) error {
	if err == nil {
		return fmt.Errorf("an empty name")
	}
	return err
}

// Schema returns the schema entries are checked against.
func (r *Register) Schema() *directory.Schema { return r.schema }

func refuse(code directory.Code, format string, args ...any) *directory.Error {
	return &directory.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// place is a name and where it belongs.
type place struct {
	dn     directory.DN
	key    directory.Key
	suffix *suffix
}

// locate finds the suffix a name belongs to; NoSuchObject if none is ours.
func (r *Register) locate(dn directory.DN) (place, error) {
	k, err := r.schema.Key(dn)
	if err != nil {
		return place{}, err
	}
	if len(k) > maxKey {
		return place{}, refuse(directory.AdminLimitExceeded, "a name of more than %d bytes", maxKey)
	}
	if s := r.suffixOf(k); s != nil {
		return place{dn: dn, key: k, suffix: s}, nil
	}
	return place{}, refuse(directory.NoSuchObject, "no suffix of this directory holds %q", dn)
}

// suffixOf is the suffix a key belongs to, which one of ours does.
func (r *Register) suffixOf(k directory.Key) *suffix {
	for i := range r.suffixes {
		if r.suffixes[i].key.Contains(k) {
			return &r.suffixes[i]
		}
	}
	return nil
}

// permit refuses other authors than issuance in managed subtrees, and changes
// to what stands above one that would carry it along.
func (r *Register) permit(by Author, p place, withSubtree bool) error {
	if by.Issuance {
		return nil
	}
	for _, m := range r.managed {
		if m.Contains(p.key) || withSubtree && p.key.Contains(m) {
			return refuse(directory.UnwillingToPerform, "%q is in a managed subtree: only issuance writes there", p.dn)
		}
	}
	return nil
}

func (r *Register) isSecret(t *directory.AttributeType) bool {
	return t != nil && slices.Contains(r.secrets, t.Name())
}
