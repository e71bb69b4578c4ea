package ldap

import (
	"context"
	"errors"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
	"cardinal/internal/ber"
)

// searching is one search on its way. Its slices look into the request until
// it moves to a goroutine of its own, which then owns the read buffer.
type searching struct {
	conn      asker
	id        int64
	started   time.Time
	base      directory.Key
	baseDN    []byte // as it was sent
	scope     tree.Scope
	sizeLimit int
	deadline  time.Time
	typesOnly bool
	filter    *directory.Filter
	rawFilter []byte
	rawList   []byte
	log       *changeLog // the base lies in it
	selection *selection
	controls  controls
	sight     sight
	hide      tree.Hide
	matched   *valuesFilter // nil: all values are returned
	page      place         // where the page before ended
	most      int           // entries a client may ask for

	scan *tree.Scan
	used *tree.Scan // of the search before, whose memory is free
	list *listing   // of a search that is sorted
	sent int
	stop stopping

	gathered []byte // by a step, and
	enough   int    // with how much of it the step ends
	room     *searchRoom
}

// searchRoom is memory a search leaves to the one after it.
type searchRoom struct {
	filters filterRoom
	take    func(e *tree.Entry) (more bool) // gathers one entry
}

// stopping says why no more entries are taken.
type stopping uint8

const (
	stopNot stopping = iota
	stopSize
	stopPage
	stopOutput // only until what is gathered is written
)

// handleSearch answers a search (RFC 4511 §4.5). It returns false if the
// search goes on elsewhere.
func (c *conn) handleSearch(m *message, started time.Time) (code directory.Code, done bool) {
	q := c.search
	if q == nil {
		q = &searching{room: &searchRoom{}}
		q.room.take = q.takeEntry
	}
	if q.scan == nil {
		q.scan = q.used
	}
	*q = searching{conn: c.asking(), id: m.id, started: started, sight: sight{grant: q.sight.grant}, used: q.scan, room: q.room}
	c.search = q
	if err := q.parse(m); err != nil {
		return c.reply(m, c.resultOf(err)), true
	}
	if q.log = c.server.changeLogAt(q.base); q.log != nil || q.isList() || q.controls.follows() {
		return directory.Success, false
	}
	if r, special := q.special(); special {
		return c.reply(m, r), true
	}
	if q.controls.original {
		r, refused := c.elsewhere()
		if refused {
			return c.reply(m, r), true
		}
		return directory.Success, false // what may wait does not hold the reader up
	}
	var finished bool
	var err error
	c.out, finished, err = q.atOnce(c.out)
	if err == nil && !finished {
		return directory.Success, false
	}
	r := q.result(err)
	c.out = r.append(c.out, m.id, searchResultDone)
	return r.code, true
}

// atOnce goes as far as a search may without taking turns.
func (q *searching) atOnce(out []byte) (after []byte, finished bool, err error) {
	candidates := inlineCandidates
	if q.controls.sorting != nil {
		candidates = inlineSorted
	}
	return q.advance(out, candidates, inlineOutput)
}

// parse reads the SearchRequest.
func (q *searching) parse(m *message) (err error) {
	if q.controls, err = parseControls(m); err != nil {
		return err
	}
	if q.controls.authorization != nil {
		if q.conn, err = q.conn.asks(m, &q.controls); err != nil {
			return err
		}
	}
	r := ber.NewReader(m.body)
	base, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	numbers := [4]int64{}
	for i, tag := range [4]ber.Tag{ber.Enumerated, ber.Enumerated, ber.Integer, ber.Integer} {
		if numbers[i], err = r.Int(tag); err != nil {
			return err
		}
	}
	if q.typesOnly, err = r.Bool(ber.Boolean); err != nil {
		return err
	}
	switch {
	case numbers[0] < 0 || numbers[0] > 3:
		return protocolError("invalid scope")
	case numbers[1] < 0 || numbers[1] > 3:
		return protocolError("invalid deref")
	case numbers[2] < 0 || numbers[2] > 1<<31-1:
		return protocolError("invalid size limit")
	case numbers[3] < 0 || numbers[3] > 1<<31-1:
		return protocolError("invalid time limit")
	}
	q.scope = tree.Scope(numbers[0])
	q.limit(int(numbers[2]), time.Duration(numbers[3])*time.Second)
	before := r.Rest()
	if q.filter, err = readFilterIn(&q.room.filters, q.conn.server.schema, &r, q.conn.who.allowed.filterNodes); err != nil {
		return err
	}
	q.rawFilter = before[:len(before)-len(r.Rest())]
	list, err := r.Expect(ber.Sequence)
	if err != nil {
		return err
	}
	q.rawList = list
	if q.selection, err = q.conn.server.shapes.of(q.conn.server.config.Tree, list); err != nil {
		return err
	}
	if q.controls.matched != nil && !q.typesOnly {
		q.matched = q.controls.matched
		q.matched.prepare(q.conn.server.schema)
	}
	q.baseDN = base
	q.base, err = q.conn.keyOf(base)
	return err
}

// prepare sets up the scan once the request is known to be a plain search.
func (q *searching) prepare() error {
	if q.controls.active {
		q.leaveInactiveRolesOut()
	}
	q.sight.look(q.conn, q.base)
	q.hide = q.conn.server.hiding()
	if q.controls.paged != nil {
		var err error
		if q.page, err = q.openCookie(); err != nil {
			return err
		}
		q.sizeLimit = min(q.sizeLimit, max(0, q.conn.who.allowed.paged-q.page.shown))
	}
	if q.controls.assertion != nil {
		if err := q.conn.assert(q.base, q.controls.assertion); err != nil {
			return err
		}
	}
	if q.controls.sorting != nil || q.controls.view != nil {
		if err := q.arrangement(); err != nil {
			return err
		}
	}
	q.open()
	return nil
}

// open begins the scan, or begins it again.
func (q *searching) open() {
	request := tree.Request{Base: q.base, Scope: q.scope, Filter: q.filter, Hide: q.hide, After: q.page.number,
		MaxCandidates: q.conn.who.allowed.candidates, Refer: !q.controls.manage}
	if q.sight.who.Root {
		request.MaxCandidates = 0
	}
	if q.controls.paged == nil && q.list == nil {
		request.Enough = q.sizeLimit + 1 // with the one that tells of more
	}
	if !q.sight.who.Root || len(q.conn.server.suffixes) > 1 { // in another suffix nobody's root
		request.Allow = &q.sight
	}
	q.scan, q.used = q.conn.server.config.Tree.Reopen(q.used, request), nil
}

// advance is step, and what follows the last one.
func (q *searching) advance(out []byte, candidates, output int) (after []byte, finished bool, err error) {
	out, finished, err = q.step(out, candidates, output)
	if finished && err == nil {
		out, err = q.references(out)
	}
	return out, finished, err
}

// step goes on with the search until it is finished, or has tested and
// gathered as much as one step may.
func (q *searching) step(out []byte, candidates, output int) ([]byte, bool, error) {
	if q.scan == nil {
		if err := q.prepare(); err != nil {
			return out, true, err
		}
	}
	if q.stop == stopOutput {
		q.stop = stopNot
	}
	if q.list != nil {
		return q.stepSorted(out, candidates, output)
	}
	q.gathered, q.enough = out, len(out)+output
	done, err := q.scan.Step(candidates, q.room.take)
	out, q.gathered = q.gathered, nil
	if err != nil || done {
		return out, true, err
	}
	return out, q.stop == stopSize || q.stop == stopPage, nil
}

// takeEntry adds one entry to what a step gathers.
func (q *searching) takeEntry(e *tree.Entry) (more bool) {
	q.gathered = q.visit(q.gathered, e)
	if q.stop == stopNot && len(q.gathered) >= q.enough {
		q.stop = stopOutput
	}
	return q.stop == stopNot
}

// visit returns one entry that matches, if the limits and the rules allow.
func (q *searching) visit(out []byte, e *tree.Entry) []byte {
	grant := q.sight.at(e)
	if !grant.Allows(nil, directory.RightRead) {
		return out
	}
	if !q.shows(e) {
		return out
	}
	if q.sent >= q.sizeLimit {
		q.stop = stopSize
		return out
	}
	if q.controls.paged != nil && q.sent >= q.pageSize() { // a page of nothing
		q.stop = stopPage
		return out
	}
	w := entryWriter{selection: q.selection, typesOnly: q.typesOnly, grant: grant, hide: q.hide, matched: q.matched}
	if len(q.selection.computed) > 0 {
		w.others = q.conn.outlook(directory.RightRead)
	}
	after, err := w.append(out, q.id, e)
	if err != nil {
		return out
	}
	q.sent++
	if q.controls.paged != nil && q.sent >= q.pageSize() {
		q.stop = stopPage
	}
	return after
}

// result ends the search.
func (q *searching) result(err error) result {
	q.note()
	r := result{}
	switch {
	case err != nil:
		r = q.failed(err)
	case q.stop == stopSize:
		r.code = directory.SizeLimitExceeded
	case q.sent == 0 && q.scan != nil && !q.sight.who.Root:
		r = q.conn.hideBase(q.base, r)
	}
	if r.code == directory.Success || r.code == directory.SizeLimitExceeded {
		r.controls = q.appendControls(r.controls, r.code)
	}
	return r
}

// failed ends a search that went wrong.
func (q *searching) failed(err error) result {
	var elsewhere *tree.Referred
	if errors.As(err, &elsewhere) {
		return q.referred(elsewhere.Key)
	}
	r := q.conn.resultOf(err)
	if r.code == directory.NoSuchObject {
		r = q.conn.hideMatched(q.base, r)
	}
	if q.list != nil && !q.list.arranged && (r.code == directory.TimeLimitExceeded || r.code == directory.AdminLimitExceeded) {
		q.controls.sorting.code = r.code
		r.controls = q.controls.sorting.appendResult(r.controls)
	}
	return r
}

// appendControls appends what the controls of the request get in return.
func (q *searching) appendControls(b []byte, code directory.Code) []byte {
	if q.controls.sorting != nil {
		b = q.controls.sorting.appendResult(b)
	}
	if q.controls.view != nil {
		b = q.controls.view.appendResult(b, q)
	}
	if q.controls.paged != nil && code == directory.Success {
		b = q.appendPaged(b)
	}
	return b
}

// resume is what comes before the search goes on by itself.
func (q *searching) resume(ctx context.Context) error {
	if q.scan == nil { // it waited with everything, for an answer that is no copy
		if err := q.conn.reach(ctx); err != nil {
			return err
		}
		if err := q.prepare(); err != nil {
			return err
		}
	}
	return q.enterSort()
}

// finish carries a search on, on a goroutine of its own, until it is done, cut
// short, or out of time.
func (q *searching) finish(ctx context.Context, t *task) directory.Code {
	switch {
	case q.controls.follows():
		return q.follow(ctx, t)
	case q.log != nil:
		return q.readLog(ctx, t)
	case q.isList():
		return q.readLists(ctx, t)
	}
	c := q.conn
	if err := q.resume(ctx); err != nil {
		return c.conclude(t, nil, q.result(err))
	}
	defer q.leaveSort()
	w := work{conn: c.conn, turn: &t.turn}
	defer w.end()
	for w.begin(ctx) == nil {
		var err error
		finished := false
		switch {
		case time.Now().After(q.deadline):
			finished, err = true, context.DeadlineExceeded
		case q.scan != nil && !q.unchanged():
			finished, err = true, errChanged
		default:
			w.out, finished, err = q.advance(w.out, stepCandidates, stepOutput-len(w.out))
		}
		if finished {
			return c.conclude(t, w.out, q.result(err))
		}
		if w.written() != nil {
			return cancelled
		}
	}
	return c.conclude(t, nil, refuse(directory.Unavailable, "the server is stopping"))
}
