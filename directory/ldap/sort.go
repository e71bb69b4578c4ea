package ldap

import (
	"strings"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// sorting is the request of server-side sorting (RFC 2891).
type sorting struct {
	keys     []sortKey
	critical bool
	value    []byte // as it was sent: a cookie belongs to one order
	code     directory.Code
	at       string // the attribute at fault, with code
}

// sortKey is one key of the order. rule is nil until it is resolved.
type sortKey struct {
	attribute string
	ruleName  string
	reverse   bool

	description directory.Description
	rule        *directory.MatchingRule
}

// takeSort reads a SortKeyList. Whether its attributes and rules exist is for
// resolve to say: that does not refuse a request in which it is not critical.
func (c *controls) takeSort(value []byte, critical bool) error {
	if c.sorting != nil {
		return protocolError("the sort control stands twice")
	}
	s := &sorting{critical: critical, value: value}
	r := ber.NewReader(value)
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	for !list.Empty() {
		if len(s.keys) > maxSortKeys { // one too many is told from resolve
			break
		}
		k, err := readSortKey(&list)
		if err != nil {
			return err
		}
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		return protocolError("the sort control names no key")
	}
	c.sorting = s
	return nil
}

func readSortKey(list *ber.Reader) (k sortKey, err error) {
	key, err := list.Enter(ber.Sequence)
	if err != nil {
		return k, err
	}
	attribute, err := key.Expect(ber.OctetString)
	if err != nil {
		return k, err
	}
	rule, named, err := key.Optional(ber.Context)
	if err != nil {
		return k, err
	}
	if named && len(rule) == 0 {
		return k, protocolError("the sort control names an empty rule")
	}
	reverse, there, err := key.Optional(ber.Context | 1)
	if err != nil {
		return k, err
	}
	k.attribute, k.ruleName = string(attribute), string(rule)
	if there {
		k.reverse, err = ber.ParseBool(reverse)
	}
	return k, err
}

// resolve finds attributes and rules. What is wrong stands in code and at
// afterwards (RFC 2891 §1.2).
func (s *sorting) resolve(schema *directory.Schema) {
	if len(s.keys) > maxSortKeys {
		s.code = directory.UnwillingToPerform
		return
	}
	seen := map[*directory.AttributeType]bool{}
	for i := range s.keys {
		k := &s.keys[i]
		s.code = k.resolve(schema)
		if s.code == directory.Success && seen[k.description.Type] && len(k.description.Options) == 0 {
			s.code = directory.UnwillingToPerform // RFC 2891 §1.1: once each
		}
		if s.code != directory.Success {
			s.at = k.attribute
			return
		}
		seen[k.description.Type] = true
	}
}

func (k *sortKey) resolve(schema *directory.Schema) directory.Code {
	d, ok := schema.Describe(k.attribute)
	if !ok {
		return directory.NoSuchAttribute
	}
	k.description, k.rule = d, d.Type.Ordering
	if k.ruleName != "" {
		k.rule = schema.Rule(k.ruleName)
	}
	if k.rule == nil || k.rule.Kind != directory.OrderingRule || !k.rule.AppliesTo(d.Type) {
		return directory.InappropriateMatching
	}
	return directory.Success
}

// The key of an entry is one string of octets that sorts as the keys asked
// for: for each a mark, the normal form of the least value with 00 as 00 FF,
// and 00 01; all inverted where the order is reversed. An entry without a
// value is larger than all others (RFC 2891 §2.2). The entry's number ends it,
// so no two are equal.
const (
	sortPresent byte = 1
	sortAbsent  byte = 2
)

// append appends what a normal form, nil for none, is sorted by.
func (k *sortKey) append(b, form []byte) []byte {
	start := len(b)
	if form == nil {
		b = append(b, sortAbsent)
	} else {
		b = append(b, sortPresent)
		for _, c := range form[:min(len(form), sortedOctets)] {
			if b = append(b, c); c == 0 {
				b = append(b, 0xFF)
			}
		}
		b = append(b, 0, 1)
	}
	if k.reverse {
		for i := start; i < len(b); i++ {
			b[i] = ^b[i]
		}
	}
	return b
}

// key appends the sort key of an entry, as far as the asker may know what it
// is made of: what he may neither read nor search is not there.
func (s *sorting) key(b []byte, e *tree.Entry, sees *seen) []byte {
	for i := range s.keys {
		k := &s.keys[i]
		b = k.append(b, k.least(e, sees))
	}
	return append(b, byte(e.ID>>24), byte(e.ID>>16), byte(e.ID>>8), byte(e.ID))
}

// seen is what one asker sees of one entry.
type seen struct {
	grant  *directory.Access
	hide   tree.Hide
	tree   *tree.Tree
	others tree.Asker
}

func (s *seen) allows(t *directory.AttributeType) bool {
	return s.grant.Allows(t, directory.RightRead) && s.grant.Allows(t, directory.RightSearch)
}

// least finds the least normal form among an entry's values of the key's
// attribute, nil if it has none that can be seen and compared.
func (k *sortKey) least(e *tree.Entry, sees *seen) (least []byte) {
	take := func(v []byte) {
		form, err := k.rule.Normalize(v)
		if err == nil && (least == nil || string(form) < string(least)) {
			least = append([]byte{}, form...) // v is gone with the next value
		}
	}
	if sees.tree.IsComputed(k.description) {
		if sees.allows(k.description.Type) {
			values, _ := e.Computed(k.description, sees.others)
			for _, v := range values {
				take(v)
			}
		}
		return least
	}
	e.Each(func(a *tree.Attribute) bool {
		if a.Description.Type == nil || !k.description.Covers(a.Description) || !sees.allows(a.Description.Type) {
			return true
		}
		hides := sees.hide != nil && sees.hide.Hides(a.Description)
		a.Values(func(v []byte) bool {
			if !hides || !sees.hide.Hidden(v) {
				take(v)
			}
			return true
		})
		return true
	})
	return least
}

// appendResult appends the response control (RFC 2891 §1.2).
func (s *sorting) appendResult(b []byte) []byte {
	v, mark := ber.Begin(nil, ber.Sequence)
	v = ber.AppendInt(v, ber.Enumerated, int64(s.code))
	if s.at != "" {
		v = ber.AppendString(v, ber.Context, strings.ToValidUTF8(s.at, "?"))
	}
	return appendControl(b, oidSorted, ber.End(v, mark))
}
