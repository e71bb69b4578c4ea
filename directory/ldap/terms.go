package ldap

import (
	"fmt"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// terms are what may be changed while the server answers: access rules, and
// what searches may cost. They are replaced as a whole and never change. An
// identity carries those it was looked at under, since the rules say what is to
// be found out about it; a request is judged by the terms of its identity alone.
type terms struct {
	rules      *directory.Rules
	allowances []allowance
	asksGroups bool // whether anything depends on the groups of identities
}

// SetTerms puts other access rules and other limits of some identities in
// force, for every request that begins after it returns. What a client may see
// of the searches that follow changes, and of those that run, is looked at
// again: where the new rules come to the same for him they go on, else they end
// and he has to begin again. A transaction that was begun is judged by the rules
// in force when it is committed. nil rules are the built-in ones.
func (s *Server) SetTerms(rules *directory.Rules, list []Allowance) error {
	t, err := s.newTerms(rules, list)
	if err != nil {
		return err
	}
	s.terms.Store(t)
	s.feed.rouseAll()
	return nil
}

func (s *Server) newTerms(rules *directory.Rules, list []Allowance) (*terms, error) {
	t := &terms{rules: rules}
	if rules == nil {
		var err error
		if t.rules, err = s.schema.ParseRules([]byte(directory.DefaultRules)); err != nil {
			return nil, fmt.Errorf("parsing the built-in access rules: %w", err)
		}
	}
	t.asksGroups = t.rules.AsksGroups()
	for _, a := range list {
		t.allowances = append(t.allowances, a.settle(&s.config.Limits))
		t.asksGroups = t.asksGroups || a.Who != nil && a.Who.AsksGroups()
	}
	t.allowances = append(t.allowances, Allowance{}.settle(&s.config.Limits))
	return t, nil
}

// allow puts an identity under the terms in force and finds what its searches
// may cost: the first allowance that fits.
func (s *Server) allow(who *Identity) {
	if who.terms == nil {
		who.terms = s.terms.Load()
	}
	for i := range who.terms.allowances {
		if a := &who.terms.allowances[i]; a.who == nil || a.who.Fit(&who.Identity) {
			who.allowed = a
			return
		}
	}
}

// acquaint finds out what access rules ask of an identity: its groups, which are
// looked up again when memberships change, and filters on its own entry, which
// hold until the next bind or the next rules.
func (s *Server) acquaint(who *Identity) error {
	who.terms = s.terms.Load()
	if err := s.regroup(who); err != nil {
		return err
	}
	rules := who.terms.rules
	if who.Facts = nil; rules.AsksFacts() {
		err := s.config.Tree.Get(who.Key, func(e *tree.Entry) error {
			who.Facts = rules.Facts(e)
			return nil
		})
		if err != nil { // no entry: no filter fits
			who.Facts = rules.Facts(nil)
		}
	}
	return nil
}

// regroup looks the groups of an identity up.
func (s *Server) regroup(who *Identity) (err error) {
	who.asOf = s.config.Tree.Memberships() // first: a change after it is looked up again
	if who.Groups = nil; who.terms.asksGroups {
		who.Groups, err = s.groupsOf(who.DN)
	}
	return err
}

// upToDate reports whether what is known of an identity, and of who acts as it,
// still holds.
func (s *Server) upToDate(who *Identity) bool {
	for now := s.terms.Load(); who != nil; who = who.By {
		if who.terms != now || !who.groupless() && who.asOf != s.config.Tree.Memberships() {
			return false
		}
	}
	return true
}

// groupless identities are in no group whatever changes.
func (i *Identity) groupless() bool { return i.Key == "" || i.rootOf != "" }

// renewed is an identity with what the terms in force ask of it.
func (s *Server) renewed(who Identity) (Identity, error) {
	var err error
	switch was := who.terms; {
	case who.groupless():
		who.terms = s.terms.Load()
	case was != s.terms.Load():
		err = s.acquaint(&who)
	default:
		err = s.regroup(&who)
	}
	s.allow(&who)
	return who, err
}

// current is the connection's identity under the terms in force, with the groups
// it is in now. Where they cannot be told it is nobody, since rules may refuse
// by group as well.
func (c *conn) current() *Identity {
	if c.server.upToDate(&c.who) {
		return &c.who
	}
	if r := c.renewed.Load(); r != nil && c.server.upToDate(r) {
		return r
	}
	who, err := c.server.renewed(c.who)
	if err != nil {
		c.server.config.Logger.Error("looking for the groups of an identity", "connection", c.number, "error", err)
		nobody := Identity{}
		nobody.Peer, nobody.Strength = c.who.Peer, c.who.Strength
		c.server.allow(&nobody)
		return &nobody // asked again at the next request
	}
	c.renewed.Store(&who)
	return &who
}

// rules are those the request is judged by.
func (c asker) rules() *directory.Rules { return c.who.terms.rules }

// anew is who asks as he stands under the terms in force. The right to act for
// another is asked for again.
func (c asker) anew() (asker, error) {
	switch {
	case c.server.upToDate(c.who):
		return c, nil
	case c.who.By == nil:
		who, err := c.server.renewed(*c.who)
		return asker{c.conn, &who}, err
	}
	by, err := asker{c.conn, c.who.By}.anew()
	if err != nil {
		return c, err
	}
	id := ""
	if len(c.who.DN) > 0 {
		id = "dn:" + c.who.DN.String()
	}
	who, err := by.actingAs(id)
	return asker{c.conn, who}, err
}

// unchanged reports whether who asks may see the same in a search as when that
// began; if so the search goes on under the terms in force.
func (q *searching) unchanged() bool {
	if q.conn.server.upToDate(q.conn.who) {
		return true
	}
	now, err := q.conn.anew()
	if err != nil {
		return false
	}
	var then sight
	then.look(now, q.base)
	if then.rules.Outlook(&then.who) != q.sight.rules.Outlook(&q.sight.who) {
		return false
	}
	q.conn = now
	q.sight.look(now, q.base)
	return true
}

// errChanged ends a search whose client may see other things than when it began.
var errChanged = &directory.Error{Code: directory.Unavailable, Message: "what this identity may see has changed: begin again"}
