package tree

import (
	"context"
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Options say how a Tree is arranged. Changing Indexed or Repeated needs the
// replica rebuilt: the layout number is derived from them.
type Options struct {
	// Indexed are attribute types found by value; nil means DefaultIndexed.
	// Types without an equality rule cannot be: naming one is an error.
	Indexed []string
	// IndexedToo are indexed besides, NotIndexed are not. Naming what the schema
	// does not have, or what cannot be indexed, is an error.
	IndexedToo, NotIndexed []string
	// Repeated are attribute types whose values many entries share; nil means
	// DefaultRepeated. It costs memory for each different value and saves it
	// for each repetition.
	Repeated []string
	// SpillDir is where a load sorts; "" means the system's folder for
	// temporary files. SpillMemory bounds its memory in bytes; 0 means 64 MiB.
	SpillDir    string
	SpillMemory int
	// History bounds what is kept of what changed.
	History History
	// Memory is how many bytes may hold, beside the heap, what makes sign-ins
	// quick: the records and where they stand, about 170 bytes an entry. It is
	// filled in the background once searches are asked; records beyond it are read
	// from the file. 0: none.
	Memory int64
}

// DefaultIndexed is what relying systems search by: persons by number, name
// and mail, roles and services by organisation and code, groups by member.
// Names the schema does not have are passed over.
func DefaultIndexed() []string {
	return []string{"objectClass", "uid", "uniqueIdentifier", "cn", "sn", "givenName", "displayName", "mail",
		"o", "ou", "dc", "member", "uniqueMember", "memberUid", "uidNumber", "gidNumber", "employeeNumber",
		"telephoneNumber", "postalCode", "userCertificate", "nhsIDCode", "nhsJobRoleCode", "nhsJobRole",
		"nhsAsSvcIA", "nhsMHSPartyKey", "nhsMhsSvcIA", "nhsGMC", "nhsGMP", "nhsOCSPRCode", "nhsWorkGroupsCodes"}
}

// DefaultRepeated are the attributes that say the same of many entries.
func DefaultRepeated() []string {
	return []string{"objectClass", "structuralObjectClass", "creatorsName", "modifiersName", "o", "ou", "l", "st", "c",
		"street", "title", "employeeType", "departmentNumber", "preferredLanguage", "personalTitle",
		"nhsIDCode", "nhsJobRole", "nhsJobRoleCode", "nhsAreaOfWork", "nhsAreaOfWorkCodes", "nhsBusinessFunctions",
		"nhsBusinessFunctionsCodes", "nhsWorkGroups", "nhsWorkGroupsCodes", "nhsOrgType", "nhsOrgTypeCode",
		"nhsPersonStatus", "nhsOrgOpenDate", "nhsOrgCloseDate", "nhsParentOrgCode", "nhsPCTCode", "nhsCountry"}
}

// uniqueTypes are attributes that hardly two entries share: an equality on
// one is asked before the scope is looked at.
func uniqueTypes() []string {
	return []string{"uid", "uniqueIdentifier", "entryUUID", "mail", "employeeNumber", "userCertificate", "uidNumber"}
}

// Tree is the replica's applier of the directory's changes, and what answers
// from them. Make one with New, hand it to replica.Open, and ask. Everything
// but the applier's methods may be used by any number of goroutines.
type Tree struct {
	schema   *directory.Schema
	options  Options
	indexed  map[*directory.AttributeType]bool
	repeated map[*directory.AttributeType]bool
	unique   map[*directory.AttributeType]bool
	replica  atomic.Pointer[replica.Replica]
	catalogs catalogs
	recalls  recalls
	computed atomic.Pointer[computedSet]
	kinds    [kinds]*directory.Query
	writer   *writer

	outlineAbove, inlineBelow int
	gatherMost, walkMost      int

	groups     atomic.Uint64                     // raised when the members of groups change, see Memberships
	membership map[*directory.AttributeType]bool // member and uniqueMember
	regrouped  bool                              // a change did so since the last commit
}

// New makes a Tree that is not attached to a replica yet.
func New(schema *directory.Schema, o Options) (*Tree, error) {
	t := &Tree{schema: schema, options: o, recalls: recalls{seed: maphash.MakeSeed(), memory: o.Memory}, outlineAbove: outlineAbove, inlineBelow: inlineBelow,
		gatherMost: gatherMost, walkMost: scopeWalk, kinds: kindQueries(schema)}
	named := o.Indexed != nil
	if !named {
		o.Indexed = DefaultIndexed()
	}
	if o.Repeated == nil {
		o.Repeated = DefaultRepeated()
	}
	var err error
	if t.indexed, err = types(schema, o.Indexed, named); err != nil {
		return nil, fmt.Errorf("choosing indexed attributes: %w", err)
	}
	if t.repeated, err = types(schema, o.Repeated, false); err != nil {
		return nil, err
	}
	if t.unique, err = types(schema, uniqueTypes(), false); err != nil {
		return nil, err
	}
	if err = t.index(o); err != nil {
		return nil, fmt.Errorf("choosing indexed attributes: %w", err)
	}
	for typ := range t.indexed {
		switch {
		case typ.Equality != nil && typ.Equality.Indexable():
		case named:
			return nil, fmt.Errorf("indexing %s: it has no equality rule an index can serve", typ.Name())
		default:
			delete(t.indexed, typ)
		}
	}
	t.options = o
	if t.membership, err = types(schema, membershipTypes(), false); err != nil {
		return nil, err
	}
	if err := t.Compute(); err != nil {
		return nil, err
	}
	t.writer = newWriter(t)
	return t, nil
}

// index adds to and takes from what is indexed by default.
func (t *Tree) index(o Options) error {
	too, err := types(t.schema, o.IndexedToo, true)
	if err != nil {
		return err
	}
	for typ := range too {
		if typ.Equality == nil || !typ.Equality.Indexable() {
			return fmt.Errorf("%s has no equality rule an index can serve", typ.Name())
		}
		t.indexed[typ] = true
	}
	not, err := types(t.schema, o.NotIndexed, true)
	for typ := range not {
		delete(t.indexed, typ)
	}
	return err
}

func types(schema *directory.Schema, names []string, must bool) (map[*directory.AttributeType]bool, error) {
	out := map[*directory.AttributeType]bool{}
	for _, n := range names {
		switch a := schema.Attribute(n); {
		case a != nil:
			out[a] = true
		case must:
			return nil, fmt.Errorf("attribute %q is not in the schema", n)
		}
	}
	return out, nil
}

// Schema is what names, values and filters are judged by.
func (t *Tree) Schema() *directory.Schema { return t.schema }

// Attach hands over the replica to answer from; replica.Open does it.
func (t *Tree) Attach(r *replica.Replica) { t.replica.Store(r) }

// WaitFor returns when the copy has reached a position.
func (t *Tree) WaitFor(ctx context.Context, p journal.Position) error {
	return t.replica.Load().WaitFor(ctx, p)
}

// finding is the part of a filter that can be true only for the one or few
// entries with a given value of a unique attribute; nil if there is none.
func (t *Tree) finding(n *node) *node {
	switch n.Kind {
	case directory.FilterEquality:
		if t.unique[n.Attr.Type] && (t.indexed[n.Attr.Type] || n.isUUID()) {
			return n
		}
	case directory.FilterAnd:
		for i := range n.children {
			c := &n.children[i]
			if found := t.finding(c); found != nil {
				return found
			}
		}
	}
	return nil
}

const stateMark = "mark"

func newMark() []byte {
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // never fails (crypto/rand)
	return mark
}
