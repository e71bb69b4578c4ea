package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"cardinal/directory"
	"cardinal/directory/ldap"
	"cardinal/directory/register"
	"cardinal/directory/tree"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// directoryOf is the directory as an installation configures it: what both
// sides judge names and entries by.
type directoryOf struct {
	schema   *directory.Schema
	suffixes []directory.DN
	roots    []ldap.Suffix
	managed  []directory.DN
	rules    *directory.Rules
	binding  binding

	integrity register.Integrity
	unique    []register.Unique
	limits    []ldap.Allowance
	indexes   Indexes
	history   tree.History
	memory    int64
}

// loadDirectory reads schema, names, root passwords and rules, and reports
// every problem.
func loadDirectory(f folder, c Config) (*directoryOf, error) {
	files := []fs.FS{directory.StandardFiles()}
	var problems []error
	for _, dir := range c.Directory.Schema {
		if _, err := os.ReadDir(f.path(dir)); err != nil {
			problems = append(problems, fmt.Errorf("directory.schema: %w", err))
			continue
		}
		files = append(files, os.DirFS(f.path(dir)))
	}
	schema, err := directory.Loader{Files: files, Rules: c.Directory.extraRules()}.Load()
	if err != nil {
		return nil, usage("reading the schema", err)
	}
	d := &directoryOf{schema: schema, indexes: c.Directory.Indexes, history: c.Directory.History.bounds(), memory: cmp.Or(c.Directory.Memory, usualMemory)}
	if _, err := d.newTree(); err != nil {
		problems = append(problems, fmt.Errorf("directory.indexes: %w", err))
	}
	for _, s := range c.Suffixes {
		problems = append(problems, d.addSuffix(f, s))
	}
	for _, text := range c.Directory.Managed {
		dn, err := directory.ParseDN(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("directory.managed: %q: %w", text, err))
			continue
		}
		d.managed = append(d.managed, dn)
	}
	problems = append(problems, d.managesPeople(), d.watching(c.Directory))
	d.rules, d.limits, err = c.Directory.terms(f, schema)
	problems = append(problems, err)
	d.binding, err = c.Directory.binding(f)
	if problems = append(problems, err); errors.Join(problems...) != nil {
		return nil, usage("configuring the directory", errors.Join(problems...))
	}
	return d, nil
}

// usualMemory holds 6 million entries, more than a national workforce has.
const usualMemory = 1 << 30

// newTree makes the arrangement for searching, in no replica yet.
func (d *directoryOf) newTree() (*tree.Tree, error) {
	return tree.New(d.schema, tree.Options{IndexedToo: d.indexes.Add, NotIndexed: d.indexes.Drop, History: d.history, Memory: d.memory})
}

func (c DirectoryConfig) extraRules() (out []directory.ExtraRules) {
	for _, m := range c.Matching {
		out = append(out, directory.ExtraRules(m))
	}
	return out
}

// managesPeople demands that issuance alone writes the people it works with: an
// operator's rights are read from their role profiles.
func (d *directoryOf) managesPeople() error {
	if len(d.suffixes) == 0 {
		return nil // a problem of its own
	}
	people := d.suffixes[0].Child(directory.RDN{{Type: "ou", Value: []byte("People")}})
	key, err := d.schema.Key(people)
	if err != nil {
		return err
	}
	for _, dn := range d.managed {
		if managed, err := d.schema.Key(dn); err == nil && managed.Contains(key) {
			return nil
		}
	}
	return fmt.Errorf("directory.managed: must hold %q: whoever writes role profiles makes himself an operator", people)
}

func (d *directoryOf) addSuffix(f folder, s Suffix) (err error) {
	at := ldap.Suffix{}
	if at.DN, err = directory.ParseDN(s.DN); err != nil {
		return fmt.Errorf("suffix %q: %w", s.DN, err)
	}
	if s.RootDN != "" {
		if at.RootDN, err = directory.ParseDN(s.RootDN); err != nil {
			return fmt.Errorf("rootDN %q: %w", s.RootDN, err)
		}
		password, err := os.ReadFile(f.path(s.PasswordFile))
		if err != nil {
			return fmt.Errorf("reading the password of %s: %w", s.RootDN, err)
		}
		line, _, _ := bytes.Cut(password, []byte("\n"))
		at.RootPassword = directory.SealPassword(bytes.TrimSuffix(line, []byte("\r")))
	}
	d.suffixes, d.roots = append(d.suffixes, at.DN), append(d.roots, at)
	return nil
}

// register gives the entries of record.
func (d *directoryOf) register() (*register.Register, error) {
	r, err := register.New(d.schema, register.Config{Suffixes: d.suffixes, Managed: d.managed, Integrity: d.integrity, Unique: d.unique})
	if err != nil {
		return nil, usage("configuring the directory", err)
	}
	return r, nil
}

// ldapWriter hands updates that came by LDAP to the entries of record, in the
// name of whoever asked. It never writes managed subtrees.
type ldapWriter struct{ updates register.Updates }

var _ ldap.Writer = ldapWriter{}

func author(who ldap.Identity) register.Author {
	if len(who.DN) > 0 {
		return register.Author{DN: who.DN.String(), State: who.State}
	}
	return register.Author{DN: who.Name}
}

// Apply tells the Writer's author of each update from its identity.
func (w ldapWriter) Apply(ctx context.Context, updates []ldap.Update) (journal.Position, error) {
	list := make([]register.Update, len(updates))
	for i := range updates {
		list[i] = register.Update{By: author(updates[i].Who), Update: updates[i].Update}
	}
	position, err := w.updates.Apply(ctx, list)
	var nth *register.UpdateError
	if errors.As(err, &nth) {
		return 0, &ldap.UpdateError{Nth: nth.Nth, Err: nth.Err}
	}
	if errors.Is(err, ledger.ErrFull) {
		return 0, fullLedger
	}
	return position, err
}

// fullLedger is unavailable (RFC 4511 §A.2: a subsystem that is needed is not
// there), as issuance answers 503, so that a client tries again later or tells
// somebody; slapd answers other (80). The heartbeat logs it each second.
var fullLedger = &directory.Error{Code: directory.Unavailable, Message: "the disk of the ledger is full: nothing was written"}

// original tells the directory how far the entries of record are.
type original struct{ ledger *ledger.Ledger }

func (o original) Head(ctx context.Context) (journal.Position, error) {
	head, err := o.ledger.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the ledger's head: %w", err)
	}
	return head.Position, nil
}

// baseEntries gives what stands at the top of a suffix before anything else
// does: the suffix's own entry, and in the first the branches everything hangs
// below.
func baseEntries(suffix directory.DN, first bool) ([]*directory.Entry, error) {
	rdn := suffix[0][0]
	class := map[string]string{"o": "organization", "ou": "organizationalUnit", "dc": "domain", "c": "country", "l": "locality"}[strings.ToLower(rdn.Type)]
	if class == "" {
		return nil, usage("suffix "+suffix.String(), errSuffixKind)
	}
	entries := []*directory.Entry{newEntry(suffix, class, rdn.Type, string(rdn.Value))}
	if !first {
		return entries, nil
	}
	for _, ou := range []string{"People", "Organisations", "Services", "ReferenceData"} {
		dn := append(directory.DN{{{Type: "ou", Value: []byte(ou)}}}, suffix...)
		entries = append(entries, newEntry(dn, "organizationalUnit", "ou", ou))
	}
	return entries, nil
}

var errSuffixKind = errors.New("a suffix begins with o, ou, dc, c or l")

func newEntry(dn directory.DN, class, naming, value string) *directory.Entry {
	return &directory.Entry{DN: dn, Attributes: []directory.Attribute{
		{Type: "objectClass", Values: directory.Values("top", class)},
		{Type: naming, Values: directory.Values(value)},
	}}
}

// founder is in whose name an installation makes its own entries.
func founder() register.Author { return register.Author{DN: "cn=cardinal", Issuance: true} }

// foundDirectory makes the base entries of every suffix.
func foundDirectory(ctx context.Context, l *ledger.Ledger, r *register.Register) error {
	for i, suffix := range r.Suffixes() {
		entries, err := baseEntries(suffix, i == 0)
		if err != nil {
			return err
		}
		_, err = l.Write(ctx, func(tx *ledger.Tx) error {
			for _, e := range entries {
				if err := r.Add(tx, founder(), e); err != nil {
					return fmt.Errorf("adding %s: %w", e.DN, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
