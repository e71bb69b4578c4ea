package ldap

import (
	"context"
	"errors"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// cancelled marks, in metrics, a request that was given up without an answer.
const cancelled directory.Code = 118

// handle works on one request. It returns false when the connection ends.
func (c *conn) handle(pdu []byte) bool {
	started := time.Now()
	if c.streak.keep(c.ctx, &c.turn, started) != nil {
		return false
	}
	m, err := parseMessage(pdu)
	if err != nil {
		c.goodbye(err)
		return false
	}
	if !c.stillGood() {
		c.out = notice(c.out, directory.StrongerAuthRequired, "the certificate of this connection is no longer good")
		return false
	}
	switch m.op {
	case unbindRequest:
		c.begin(m.op)
		c.count(m.op, directory.Success, started)
		return false
	case abandonRequest:
		c.begin(m.op)
		c.handleAbandon(&m)
		c.count(m.op, directory.Success, started)
		return true
	}
	if responseTo(m.op) == 0 {
		c.server.metrics.malformed.Inc()
		c.out = notice(c.out, directory.ProtocolError, "unknown request")
		return false
	}
	c.begin(m.op)
	if m.op == bindRequest {
		return c.bind(&m, started)
	}
	if r, refused := c.unready(&m); refused {
		c.count(m.op, c.reply(&m, r), started)
		return true
	}
	return c.work(&m, started)
}

// unready refuses what may not be asked yet: anything while a SASL exchange
// waits for its next bind, and anything but a new password while that is due.
func (c *conn) unready(m *message) (r result, refused bool) {
	switch {
	case c.ongoing != nil:
		return refuse(directory.OperationsError, "a SASL bind is in progress"), true
	case !c.mustChange.Load() || m.op == modifyRequest || m.op == extendedRequest:
		return r, false // a modification is looked at once it is read
	}
	return c.changeFirst(m), true
}

// changeFirst is the refusal of everything but a new password.
func (c *conn) changeFirst(m *message) result {
	r := refuse(directory.InsufficientAccessRights, "the password must be changed first")
	with, err := parseControls(m)
	said := policyAnswer{err: changeAfterReset}
	said.answer(err == nil && with.policy, &r)
	return r
}

// work runs a request that counts against the limits on work in flight.
func (c *conn) work(m *message, started time.Time) bool {
	s := c.server
	if s.inFlight.Add(1) > int64(s.config.Limits.MaxInFlight) || c.crowded() {
		s.inFlight.Add(-1)
		c.count(m.op, c.reply(m, refuse(directory.Busy, "too many requests at once")), started)
		return true
	}
	code, done := directory.Success, true
	switch m.op {
	case searchRequest:
		if code, done = c.handleSearch(m, started); !done {
			q := c.search
			c.search = nil
			if c.flush() != nil { // the entries gathered so far come before those the task writes
				s.inFlight.Add(-1)
				return false
			}
			c.detach(m, started, q.finish)
		}
	case compareRequest:
		code, done = c.handleCompare(m, started)
	case extendedRequest:
		code, done = c.handleExtended(m, started)
	default:
		if code, done = c.enqueue(m); !done {
			c.detach(m, started, c.updating(m))
		}
	}
	if done {
		s.inFlight.Add(-1)
		c.count(m.op, code, started)
	}
	return true
}

// crowded reports whether the connection has as much in flight as it may.
func (c *conn) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tasks >= c.server.config.Limits.MaxInFlightPerConnection
}

// reply gathers the answer to a request and returns its code.
func (c *conn) reply(m *message, r result) directory.Code {
	c.out = r.append(c.out, m.id, responseTo(m.op))
	return r.code
}

// stale is the refusal of everything while the local copy is not to be
// believed.
func (c *conn) stale() (r result, stale bool) {
	state := c.server.config.Replica.State()
	switch {
	case state.Loading:
		return refuse(directory.Busy, "the directory is being loaded"), true
	case state.Age > c.server.config.Limits.Age:
		return refuse(directory.Unavailable, "this copy of the directory is too old"), true
	}
	return result{}, false
}

// special answers what needs no search in the tree: the root DSE, the schema,
// and a copy that is too old.
func (q *searching) special() (result, bool) {
	c := q.conn
	switch {
	case q.base == "" && q.scope == tree.ScopeBase:
		return q.static(c.server.rootEntry(c.conn)), true
	case q.base == c.server.root.schemaKey && q.scope != tree.ScopeOneLevel && q.scope != tree.ScopeSubordinate:
		return q.static(c.server.root.schema), true
	case c.server.root.monitorKey.Contains(q.base):
		return q.searchMonitor(), true
	case q.base == "":
		return refuse(directory.NoSuchObject, ""), true
	}
	return c.stale()
}

// handleCompare answers a Compare (RFC 4511 §4.10).
// It returns false if the answer comes from another goroutine.
func (c *conn) handleCompare(m *message, started time.Time) (code directory.Code, done bool) {
	controls, err := parseControls(m)
	if err != nil {
		return c.reply(m, c.resultOf(err)), true
	}
	if c.namesList(m) {
		request := *m
		c.detach(m, started, func(ctx context.Context, t *task) directory.Code {
			return c.conclude(t, nil, c.compareList(ctx, t, &request, controls))
		})
		return directory.Success, false
	}
	if !controls.original {
		return c.reply(m, c.compare(m, controls)), true
	}
	if r, refused := c.elsewhere(); refused {
		return c.reply(m, r), true
	}
	request := *m
	c.detach(m, started, func(ctx context.Context, t *task) directory.Code {
		if err := c.reach(ctx); err != nil {
			return c.conclude(t, nil, c.resultOf(err))
		}
		return c.conclude(t, nil, c.compare(&request, controls))
	})
	return directory.Success, false
}

func (c *conn) compare(m *message, with controls) result {
	r, err := c.tryCompare(m, with)
	if err != nil {
		return c.resultOf(err)
	}
	return r
}

// readCompare reads a CompareRequest: an entry's name and what is asserted of it.
func readCompare(m *message) (name []byte, f *directory.Filter, err error) {
	b := ber.NewReader(m.body)
	if name, err = b.Expect(ber.OctetString); err != nil {
		return nil, nil, err
	}
	ava, err := b.Enter(ber.Sequence)
	if err != nil {
		return nil, nil, err
	}
	f = &directory.Filter{Kind: directory.FilterEquality}
	return name, f, readAssertion(f, &ava)
}

func (c *conn) tryCompare(m *message, controls controls) (r result, err error) {
	name, f, err := readCompare(m)
	if err != nil {
		return r, err
	}
	key, err := c.keyOf(name)
	if err != nil {
		return r, err
	}
	by, err := c.asks(m, &controls)
	if err != nil {
		return r, err
	}
	if e := c.outside(key); e != nil {
		return by.compareOutside(key, e, f, controls)
	}
	if r, stale := c.stale(); stale {
		return r, nil
	}
	dn, err := directory.ParseDN(string(name))
	if err != nil {
		return r, badDN(err)
	}
	if r, away, err := by.away(key, dn, controls.manage, ""); away || err != nil {
		return r, err
	}
	if controls.assertion != nil {
		if err := by.assert(key, controls.assertion); err != nil {
			return r, err
		}
	}
	return by.compareEntry(key, f)
}

// compareEntry answers with slapd's codes: 16 for an attribute the entry lacks
// or the client may not compare, 17 for one the schema lacks, 18 for one
// without an equality rule, 21 for a value that is not of its syntax.
func (c asker) compareEntry(key directory.Key, f *directory.Filter) (r result, err error) {
	d, r := c.comparable(f)
	if r.code != directory.Success {
		return r, nil
	}
	query := c.server.schema.Compile(f)
	present := c.server.schema.Compile(&directory.Filter{Kind: directory.FilterPresent, Attr: f.Attr})
	err = c.visible(key, func(e *tree.Entry, grant *directory.Access) error {
		allow, hide := granted{grant, directory.RightCompare, c.outlook(directory.RightCompare)}, c.server.hiding()
		switch {
		case !grant.Allows(d.Type, directory.RightCompare), e.Decide(present, allow, hide) != directory.True:
			r.code = directory.NoSuchAttribute
		case e.Decide(query, allow, hide) == directory.True:
			r.code = directory.CompareTrue
		default:
			r.code = directory.CompareFalse
		}
		return nil
	})
	return r, c.noSuch(key, err)
}

// noSuch brings "no such entry" into the form that hides what may not be
// known; other errors pass.
func (c asker) noSuch(key directory.Key, err error) error {
	var missing *tree.NoSuchBase
	if !errors.As(err, &missing) {
		return err
	}
	r := c.hideMatched(key, result{})
	return &tree.NoSuchBase{Matched: r.matched}
}

// assert is the assertion control (RFC 4528): 122 unless the filter is true, as
// far as the client may search.
func (c asker) assert(key directory.Key, f *directory.Filter) error {
	query := c.server.schema.Compile(f)
	err := c.visible(key, func(e *tree.Entry, grant *directory.Access) error {
		if e.Decide(query, granted{grant, directory.RightSearch, c.outlook(directory.RightSearch)}, c.server.hiding()) != directory.True {
			return &directory.Error{Code: assertionFailed}
		}
		return nil
	})
	return c.noSuch(key, err)
}

// assertionFailed is the result code of RFC 4528 §4.
const assertionFailed directory.Code = 122

// comparable is what an assertion speaks of, or why it cannot be decided.
func (c asker) comparable(f *directory.Filter) (d directory.Description, r result) {
	d, ok := c.server.schema.Describe(f.Attr)
	switch {
	case !ok:
		return d, refuse(directory.UndefinedAttributeType, "attribute type undefined")
	case d.Type.Equality == nil:
		return d, refuse(directory.InappropriateMatching, "no equality rule")
	}
	if _, err := d.Type.Equality.NormalizeAssertion(f.Value); err != nil {
		return d, refuse(directory.InvalidAttributeSyntax, "invalid value")
	}
	return d, r
}
