package ldap

import (
	"slices"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// oidActiveRoles is the control of our own that leaves inactive roles out of
// what a search finds. It has no value.
const oidActiveRoles = "1.3.6.1.4.1.32473.2.3.1"

// computeSignIn has the tree compute what relying systems read at a login.
func (s *Server) computeSignIn() error {
	var cards tree.Cards
	if s.config.CardStatus != nil {
		cards = s.config.CardStatus
	}
	attributes, err := tree.SignIn(s.schema, cards, s.config.Now)
	if err != nil {
		return err
	}
	return s.config.Tree.Compute(attributes...)
}

// noInactiveRole is true for what is no role, and for roles that are active.
func noInactiveRole() *directory.Filter {
	role := &directory.Filter{Kind: directory.FilterEquality, Attr: "objectClass", Value: []byte("nhsOrgPersonRole")}
	active := &directory.Filter{Kind: directory.FilterEquality, Attr: "roleActive", Value: []byte("TRUE")}
	other := &directory.Filter{Kind: directory.FilterNot, Children: []*directory.Filter{role}}
	return &directory.Filter{Kind: directory.FilterOr, Children: []*directory.Filter{active, other}}
}

// leaveInactiveRolesOut is the active roles control: the search finds what it
// would, but no role that is not active. It works as if the filter said so,
// and so tells nothing of a role whose dates may not be searched by: such a
// role is left out.
func (q *searching) leaveInactiveRolesOut() {
	either := q.conn.server.noInactiveRole
	q.filter = &directory.Filter{Kind: directory.FilterAnd, Children: []*directory.Filter{q.filter, either}}
	q.rawFilter = append(slices.Clip(slices.Clone(q.rawFilter)), oidActiveRoles...)
}
