package directory

import (
	"net/netip"
	"slices"
	"strings"
)

// subject is one kind of identity.
type subject struct {
	kind  string // anyone, anonymous, authenticated, self, selfSubtree, dn, subtree, group, name, filter
	key   Key
	name  string // also the text of a filter
	query *Query
}

func (s *subject) fits(who *Identity, entry Key) bool {
	switch s.kind {
	case "anyone":
		return true
	case "anonymous":
		return who.Anonymous()
	case "authenticated":
		return !who.Anonymous()
	case "self":
		return who.Key != "" && who.Key == entry
	case "selfSubtree":
		return who.Key != "" && who.Key.Contains(entry)
	case "dn":
		return who.Key != "" && who.Key == s.key
	case "subtree":
		return who.Key != "" && s.key.Contains(who.Key)
	case "group":
		return slices.Contains(who.Groups, s.key)
	case "name":
		return who.Name != "" && strings.EqualFold(who.Name, s.name)
	case "filter":
		return who.Facts[s.name]
	}
	return false
}

// unasked: whether a filter fits the identity is not known. A rule that
// refuses then refuses.
func (s *subject) unasked(who *Identity) bool {
	if s.kind != "filter" || who.Anonymous() {
		return false
	}
	_, asked := who.Facts[s.name]
	return !asked
}

// manner is how an identity must have come for a rule to fit, whoever it is.
// The zero value asks for nothing.
type manner struct {
	by       []string       // methods; certificate stands for any that rests on one
	from     []netip.Prefix // where the connection comes from
	strength int            // at least
}

func (m *manner) fits(who *Identity) bool {
	if who.Strength < m.strength {
		return false
	}
	if len(m.by) > 0 && !slices.ContainsFunc(m.by, func(by string) bool {
		return strings.EqualFold(by, who.Method) || by == "certificate" && who.Certified
	}) {
		return false
	}
	return len(m.from) == 0 || slices.ContainsFunc(m.from, func(p netip.Prefix) bool { return p.Contains(who.Peer.Unmap()) })
}

func (m *manner) any() bool { return len(m.by) == 0 && len(m.from) == 0 && m.strength == 0 }

// Facts asks the filters that rules put to identities of the identity's own
// entry. It returns nil if no rule has one.
func (r *Rules) Facts(own EntryView) map[string]bool {
	if len(r.filters) == 0 {
		return nil
	}
	out := make(map[string]bool, len(r.filters))
	for text, q := range r.filters {
		out[text] = own != nil && own.Match(q) == True
	}
	return out
}

// AsksFacts reports whether Facts has anything to ask.
func (r *Rules) AsksFacts() bool { return len(r.filters) > 0 }

// AsksGroups reports whether a rule speaks of groups.
func (r *Rules) AsksGroups() bool {
	return slices.ContainsFunc(r.list, func(x *rule) bool {
		return slices.ContainsFunc(x.who, func(s subject) bool { return s.kind == "group" })
	})
}
