package ldap

import (
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// subentries says which entries a search is about (RFC 3672 §3).
type subentries uint8

const (
	subentriesUnasked subentries = iota
	subentriesHidden             // visibility FALSE: entries alone
	subentriesAlone              // visibility TRUE: subentries alone
)

func (c *controls) takeSubentries(value []byte) error {
	if c.subentries != subentriesUnasked {
		return protocolError("the subentries control stands twice")
	}
	r := ber.NewReader(value)
	visible, err := r.Bool(ber.Boolean)
	if err == nil {
		err = r.End()
	}
	c.subentries = subentriesHidden
	if visible {
		c.subentries = subentriesAlone
	}
	return err
}

// shows reports whether an entry is of the kind the search is about. A
// subentry is found without the control when it is the base itself.
func (q *searching) shows(e *tree.Entry) bool {
	if !e.Is(tree.KindSubentry) {
		return q.controls.subentries != subentriesAlone
	}
	return q.controls.subentries == subentriesAlone ||
		q.controls.subentries == subentriesUnasked && q.scope == tree.ScopeBase
}
