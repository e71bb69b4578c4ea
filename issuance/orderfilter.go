package issuance

import (
	"fmt"
	"strings"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/directory"
	"cardinal/internal/ledger"
)

// sieve is a filter (RFC 4515) over cards, their certificates and their
// holders. A name that is a card's field is asked of the card; every other is
// an attribute of the directory and asked of the holder's entry and all below
// it, where one entry that fits is enough.
type sieve struct {
	d     *Desk
	root  *sieveNode
	names map[certs.IssuerID]string // read with the cards
}

// sieveNode is a connective with children or a leaf of one of two kinds.
type sieveNode struct {
	kind     directory.FilterKind
	children []*sieveNode
	card     func(c *Card) directory.Truth
	holder   *directory.Query
}

// newSieve refuses with orderFilter what cannot be decided for any card: an
// attribute nobody knows would silently choose nobody.
func (d *Desk) newSieve(text string) (*sieve, error) {
	if len(text) > filterMax {
		return nil, orderFilter.in("filter", "is of %d octets, at most %d", len(text), filterMax)
	}
	f, err := directory.ParseFilter(text)
	if err != nil {
		return nil, orderFilter.in("filter", "is no filter: %v", err)
	}
	s := &sieve{d: d}
	s.root, err = s.node(f)
	return s, err
}

func (s *sieve) node(f *directory.Filter) (*sieveNode, error) {
	n := &sieveNode{kind: f.Kind}
	if f.Kind > directory.FilterNot {
		return n, s.leaf(n, f)
	}
	for _, child := range f.Children {
		c, err := s.node(child)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
	}
	return n, nil
}

func (s *sieve) leaf(n *sieveNode, f *directory.Filter) error {
	if field, known := s.cardFields()[strings.ToLower(f.Attr)]; known {
		test, err := field(f)
		if err != nil {
			return orderFilter.in("filter", "%s: %v", f.Attr, err)
		}
		n.card = test
		return nil
	}
	n.holder = s.d.directory.Schema().Compile(f)
	if n.holder.Kind == directory.FilterNone {
		return orderFilter.in("filter", "%q is no field of a card, and no attribute that compares like that", f.Attr)
	}
	return nil
}

// learn reads what cards are compared with.
func (s *sieve) learn(tx *ledger.Tx) error {
	issuers, err := register.Issuers(tx)
	if err != nil {
		return err
	}
	s.names = map[certs.IssuerID]string{}
	for _, i := range issuers {
		s.names[i.ID] = i.Name
	}
	return nil
}

// fits decides for one card. Undefined chooses no card, negated or not
// (RFC 4511 §4.5.1.7).
func (s *sieve) fits(tx *ledger.Tx, c *Card) (bool, error) {
	k := &sifted{s: s, tx: tx, card: c}
	t, err := k.truth(s.root)
	return t == directory.True, err
}

// sifted is one card under the sieve; its holder's entries are read when they
// are asked for.
type sifted struct {
	s      *sieve
	tx     *ledger.Tx
	card   *Card
	read   bool
	holder []*directory.Entry
}

func (k *sifted) truth(n *sieveNode) (directory.Truth, error) {
	switch {
	case n.card != nil:
		return n.card(k.card), nil
	case n.holder != nil:
		return k.ofHolder(n.holder)
	case n.kind == directory.FilterNot:
		t, err := k.truth(n.children[0])
		return t.Not(), err
	}
	and := n.kind == directory.FilterAnd
	t := directory.False
	if and {
		t = directory.True
	}
	for _, child := range n.children {
		one, err := k.truth(child)
		if err != nil {
			return directory.Undefined, err
		}
		if and {
			t = min(t, one)
		} else {
			t = max(t, one)
		}
		if and && t == directory.False || !and && t == directory.True {
			break
		}
	}
	return t, nil
}

func (k *sifted) ofHolder(q *directory.Query) (directory.Truth, error) {
	if !k.read {
		k.read = true
		err := k.s.d.directory.Subtree(k.tx, k.s.d.personDN(k.card.Person), func(e *directory.Entry) error {
			k.holder = append(k.holder, e)
			return nil
		})
		if err != nil && !isAbsent(err) {
			return directory.Undefined, fmt.Errorf("reading the entries of %s: %w", k.card.Person, err)
		}
	}
	t := directory.False
	for _, e := range k.holder {
		if t = max(t, q.Match(e)); t == directory.True {
			break
		}
	}
	return t, nil
}

// cardField makes the test of one leaf.
type cardField func(f *directory.Filter) (func(c *Card) directory.Truth, error)

// cardFields are what a filter may ask of a card, by lower-case name.
func (s *sieve) cardFields() map[string]cardField {
	return map[string]cardField{
		"card":     textField(func(c *Card) []string { return []string{c.ID} }),
		"person":   textField(func(c *Card) []string { return []string{string(c.Person)} }),
		"case":     textField(func(c *Card) []string { return []string{c.Case} }),
		"state":    textField(func(c *Card) []string { return []string{c.State} }),
		"reason":   textField(func(c *Card) []string { return []string{c.Reason} }),
		"replaces": textField(func(c *Card) []string { return []string{c.Replaces} }),
		"serial":   textField(func(c *Card) []string { return []string{c.Authentication.Serial.Hex(), c.Signature.Serial.Hex()} }),
		"issuer":   textField(func(c *Card) []string { return []string{s.names[c.Authentication.Issuer], s.names[c.Signature.Issuer]} }),
		"issued":   timeField(func(c *Card) time.Time { return c.NotBefore }),
		"ends":     timeField(func(c *Card) time.Time { return c.NotAfter }),
	}
}

// decides turns a comparison into a truth: nothing there is never true.
func decides(there bool, yes bool) directory.Truth {
	if there && yes {
		return directory.True
	}
	return directory.False
}

func textField(of func(c *Card) []string) cardField {
	return func(f *directory.Filter) (func(c *Card) directory.Truth, error) {
		test, err := textTest(f)
		return func(c *Card) directory.Truth {
			for _, v := range of(c) {
				if v != "" && test(strings.ToLower(v)) {
					return directory.True
				}
			}
			return directory.False
		}, err
	}
}

func textTest(f *directory.Filter) (func(v string) bool, error) {
	want := strings.ToLower(string(f.Value))
	switch f.Kind {
	case directory.FilterEquality, directory.FilterApprox:
		return func(v string) bool { return v == want }, nil
	case directory.FilterGreaterOrEqual:
		return func(v string) bool { return v >= want }, nil
	case directory.FilterLessOrEqual:
		return func(v string) bool { return v <= want }, nil
	case directory.FilterPresent:
		return func(string) bool { return true }, nil
	case directory.FilterSubstrings:
		return func(v string) bool { return hasParts(v, f) }, nil
	}
	return nil, fmt.Errorf("does not compare like that")
}

func hasParts(v string, f *directory.Filter) bool {
	v, found := strings.CutPrefix(v, strings.ToLower(string(f.Initial)))
	if !found {
		return false
	}
	for _, part := range f.Any {
		if _, v, found = strings.Cut(v, strings.ToLower(string(part))); !found {
			return false
		}
	}
	return strings.HasSuffix(v, strings.ToLower(string(f.Final)))
}

func timeField(of func(c *Card) time.Time) cardField {
	return func(f *directory.Filter) (func(c *Card) directory.Truth, error) {
		if f.Kind == directory.FilterPresent {
			return func(*Card) directory.Truth { return directory.True }, nil
		}
		from, to, err := instants(string(f.Value))
		if err != nil {
			return nil, err
		}
		var test func(t time.Time) bool
		switch f.Kind {
		case directory.FilterGreaterOrEqual:
			test = func(t time.Time) bool { return !t.Before(from) }
		case directory.FilterLessOrEqual:
			test = func(t time.Time) bool { return !t.After(to) }
		case directory.FilterEquality, directory.FilterApprox:
			test = func(t time.Time) bool { return !t.Before(from) && !t.After(to) }
		default:
			return nil, fmt.Errorf("a time does not compare like that")
		}
		return func(c *Card) directory.Truth { return decides(!of(c).IsZero(), test(of(c))) }, nil
	}
}

// instants reads a day, which is from its first to its last instant in UTC, or
// a point in time: 2017-11-03, 2017-11-03T17:00:00Z or 20171103170000Z.
func instants(text string) (from, to time.Time, err error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, at.AddDate(0, 0, 1).Add(-time.Microsecond), nil
	}
	for _, layout := range []string{time.RFC3339, "20060102150405Z"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, at, nil
		}
	}
	return from, to, fmt.Errorf("%q is neither a day (2017-11-03) nor a time (2017-11-03T17:00:00Z)", text)
}
