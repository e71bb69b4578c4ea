package ldap

import (
	"context"
	"errors"
	"sync"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// feed watches the tree's history for all who follow it, so that a change costs
// a thousand idle followers nothing: one goroutine looks at each change once
// for each different search, and wakes those it may concern. What it means for
// them they find out themselves.
type feed struct {
	server *Server
	mu     sync.Mutex
	shapes map[string]*shape
	count  int
	whose  map[directory.Key]int
	cancel context.CancelFunc // of the goroutine; nil: there is none
	ended  chan struct{}      // closed when the last goroutine has ended
}

// shape is a search that some follow.
type shape struct {
	scope    tree.Scope
	base     directory.Key
	sieve    *tree.Sieve // nil: whatever is in scope may concern
	watchers map[*watcher]bool
	schema   *directory.Schema
}

// watcher is one who follows.
type watcher struct {
	wake  chan struct{} // holds one
	whose directory.Key
	key   string
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// join adds a follower, unless there are too many.
func (s *Server) join(f *follower) (*watcher, error) {
	d := &s.feed
	w := &watcher{wake: make(chan struct{}, 1), whose: f.sight.who.Key, key: string(rune(f.scope)) + string(f.base) + "\x01" + string(f.rawFilter)}
	l := &s.config.Limits
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count >= l.MaxFollowing || d.whose[w.whose] >= l.MaxFollowingPerIdentity {
		return nil, &directory.Error{Code: directory.Busy, Message: "too many searches that follow changes"}
	}
	if d.shapes == nil {
		d.server, d.shapes, d.whose = s, map[string]*shape{}, map[directory.Key]int{}
	}
	x := d.shapes[w.key]
	if x == nil {
		x = &shape{scope: f.scope, base: f.base, watchers: map[*watcher]bool{}, schema: s.schema}
		if !f.asksHidden(f.filter) {
			x.sieve = s.config.Tree.NewSieve(f.filter)
		}
		d.shapes[w.key] = x
	}
	x.watchers[w] = true
	d.count++
	d.whose[w.whose]++
	if d.cancel == nil {
		d.begin()
	}
	return w, nil
}

// Following is how many searches follow changes and rest.
func (s *Server) Following() int {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return s.feed.count
}

// asksHidden reports whether a filter asks for values that are hidden from
// some: then it tells nothing to those who share it.
func (f *follower) asksHidden(x *directory.Filter) bool {
	if f.hide == nil {
		return false
	}
	for _, c := range x.Children {
		if f.asksHidden(c) {
			return true
		}
	}
	d, ok := f.conn.server.schema.Describe(x.Attr)
	return x.Attr == "" && x.Kind == directory.FilterExtensible || ok && f.hide.Hides(d)
}

func (s *Server) leave(w *watcher) {
	d := &s.feed
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.shapes[w.key]
	if delete(x.watchers, w); len(x.watchers) == 0 {
		delete(d.shapes, w.key)
	}
	d.count--
	if d.whose[w.whose]--; d.whose[w.whose] == 0 {
		delete(d.whose, w.whose)
	}
	if d.count == 0 {
		d.cancel()
		d.cancel = nil
	}
}

// begin starts the goroutine, behind one that is about to end.
func (d *feed) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	before, ended := d.ended, make(chan struct{})
	d.cancel, d.ended = cancel, ended
	go func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		d.run(ctx)
	}()
}

// wait returns when no goroutine is left.
func (d *feed) wait() {
	d.mu.Lock()
	ended := d.ended
	d.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// feedPause is how long the feed waits after trouble with the store.
const feedPause = time.Second

func (d *feed) run(ctx context.Context) {
	c := &d.server.config
	seen := tree.Point{}
	for ctx.Err() == nil {
		at := c.Replica.State().Position
		now, err := d.step(&seen)
		if err == nil && now.Last == seen {
			err = c.Replica.WaitFor(ctx, at+1)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if !errors.Is(err, tree.ErrHistoryGone) {
			c.Logger.Warn("watching for changes", "error", err)
			pause(ctx, feedPause)
		}
		if now, err = c.Tree.Standing(); err == nil {
			seen = now.Last
		}
		d.rouseAll()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step looks at some changes and wakes who may be concerned.
func (d *feed) step(seen *tree.Point) (tree.Standing, error) {
	d.mu.Lock()
	shapes := make([]*shape, 0, len(d.shapes))
	for _, x := range d.shapes {
		shapes = append(shapes, x)
	}
	d.mu.Unlock()
	concerned := map[*shape]bool{}
	now, err := d.server.config.Tree.Changes(*seen, followStep, func(c *tree.Change) bool {
		v := sighting{Change: c, schema: d.server.schema}
		for _, x := range shapes {
			if !concerned[x] && x.concerns(&v) {
				concerned[x] = true
			}
		}
		*seen = c.Point
		return true
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for x := range concerned {
		for w := range x.watchers {
			w.rouse()
		}
	}
	return now, err
}

func (d *feed) rouseAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.shapes {
		for w := range x.watchers {
			w.rouse()
		}
	}
}

// sighting is a change with its names as keys, made once for all shapes.
type sighting struct {
	*tree.Change
	schema   *directory.Schema
	parsed   bool
	old, now directory.Key
	before   *tree.Entry
	after    *tree.Entry
}

func (v *sighting) parse() {
	if v.parsed {
		return
	}
	v.parsed = true
	v.before, v.after = v.Before(), v.Now()
	v.old, _ = v.schema.ParseKey(v.Name)
	if v.now = v.old; v.Kind == tree.ChangeMoved {
		v.now, _ = v.schema.ParseKey(v.After)
	}
}

// concerns reports whether a change may matter to those who follow a search.
// What somebody may see of it makes it less, never more: a filter that is True
// for who sees a part is True for who sees all.
func (x *shape) concerns(v *sighting) bool {
	v.parse()
	if v.Kind == tree.ChangeLoaded || v.Children {
		return v.old.Contains(x.base) || v.now.Contains(x.base) || x.base.Contains(v.old) || x.base.Contains(v.now)
	}
	return x.holds(v.old, v.before) || x.holds(v.now, v.after)
}

func (x *shape) holds(key directory.Key, e *tree.Entry) bool {
	if e == nil || !within(x.scope, x.base, key) {
		return false
	}
	if x.sieve == nil {
		return true
	}
	truth, known := x.sieve.Match(e, nil, nil)
	return !known || truth == directory.True
}
