package ldap

import (
	"context"
	"errors"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// persistently answers a persistent search (draft-ietf-ldapext-psearch-03):
// first what matches now, unless only changes are wanted, then each change of
// what matches. Beyond the draft, an entry that leaves what the client sees,
// because it matches no more or he may not see it any more, is told as deleted;
// the draft would leave him with it for ever.
func (f *follower) persistently(ctx context.Context, t *task) (result, error) {
	if r, stale := f.conn.stale(); stale {
		return r, nil
	}
	f.seen = f.standing.Last
	f.tell = f.tellPersistent
	f.selection = f.searching.selection
	if err := f.mayBegin(); err != nil {
		return result{}, err
	}
	f.secrets = false
	if !f.controls.persist.changesOnly {
		if err := f.show(ctx); err != nil {
			return result{}, err
		}
	}
	r, err := f.lasting(ctx, t, func() []byte { return nil })
	if errors.Is(err, errRefresh) {
		return refuse(directory.AdminLimitExceeded, "too far behind the changes, or too much has changed at once; search again"), nil
	}
	return r, err
}

// show returns what matches now, within the limits of any search.
func (f *follower) show(ctx context.Context) error {
	out := f.conn.server.takeBuffer()
	defer func() { f.conn.server.giveBuffer(out) }()
	defer f.turn.leave()
	for done := false; !done; {
		var err error
		if out, done, err = f.searching.step(out, stepCandidates, stepOutput); err != nil {
			return err
		}
		if err := f.pass(ctx, &out); err != nil {
			return err
		}
	}
	if f.stop == stopSize {
		return &directory.Error{Code: directory.SizeLimitExceeded}
	}
	return nil
}

// tellPersistent appends what one change means for the client.
func (f *follower) tellPersistent(out []byte, c *tree.Change) ([]byte, error) {
	was, is := f.holds(c.Before()), memberNo
	now := c.Now()
	if now != nil && f.shows(now) {
		is = f.holds(now)
	}
	kind := int64(0)
	switch {
	case is == memberNo && was != memberNo:
		kind = psearchDelete
	case is == memberNo:
		return out, nil
	case c.Kind == tree.ChangeAdded:
		kind = psearchAdd
	case c.Kind == tree.ChangeModified:
		kind = psearchModify
	case c.Kind == tree.ChangeMoved:
		kind = psearchModDN
	}
	asked := f.controls.persist
	if asked.types&kind == 0 {
		return out, nil
	}
	oid, notice := "", []byte(nil)
	if asked.notices {
		previous := c.Name
		if was == memberNo {
			previous = c.After // where it was is not his to know
		}
		oid, notice = oidNotice, appendNotice(nil, kind, previous, c.Number)
	}
	if kind == psearchDelete {
		return f.appendFollowed(out, c.Before(), oid, notice) // as it was: he has seen it
	}
	return f.appendFollowed(out, now, oid, notice)
}
