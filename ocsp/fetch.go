package ocsp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Limits of fetching. A revocation waits for none of it: octets are read apart from the transactions that store them,
// which are short, and changes of the journal come between any two.
const (
	// slicePieces is how many pieces one transaction stores at most: 2 MiB.
	slicePieces = 16
	// patience is how long a transaction waits for the next piece.
	patience = 5 * time.Millisecond
	// firstPatience is the same before the copy has caught up for the first time, when nobody is answered yet.
	firstPatience = 10 * time.Second
	// abandoned is how long octets wait to be stored before the connection they come by is given up.
	abandoned = 5 * time.Minute
)

// fetch is a content of a list on its way.
type fetch struct {
	key    []byte
	list   certs.ListPublished
	packed bool // which of its contents
	pieces chan []byte
	ended  chan struct{} // closed when nobody wants it any more
	err    error         // set before pieces is closed
	stored uint32
}

// fetches is what the following goroutine knows of lists on their way.
type fetches struct {
	now    *fetch
	failed map[string]error // by key, until all that is wanted was tried
	tidied bool
}

// Unsettled implements replica.Settler: some list's content is still to be fetched.
func (t *Table) Unsettled(b *bbolt.Bucket) bool {
	wanted := b.Bucket([]byte(bucketWanted))
	if wanted == nil {
		return false
	}
	k, _ := wanted.Cursor().First()
	return k != nil
}

// Settle implements replica.Settler: it takes a step with one wanted list. A list that cannot be had does not keep the
// others waiting: its turn comes again after theirs, and then the errors are reported.
func (t *Table) Settle(b *replica.Batch) error {
	f := &t.fetches
	if err := t.tidy(b.Bucket()); err != nil {
		return err
	}
	if f.now != nil && !f.now.stillWanted(b.Bucket()) {
		f.drop()
	}
	if f.now == nil {
		next, err := f.next(b)
		if next == nil {
			return err
		}
		f.now = next
	}
	wait := patience
	if t.replica.State().Loading {
		wait = firstPatience
	}
	switch done, err := f.now.step(b.Bucket(), wait); {
	case errors.Is(err, errNotFetched):
		f.failed[string(f.now.key)] = err
		f.drop() // its pieces are written over at the next try, or tidied away
		return replica.ErrMore
	case err != nil:
		return err
	case !done:
		return nil // until the next heartbeat, or the next change
	}
	if l := &f.now.list; !f.now.packed && l.PackedSize > 0 {
		f.now = readApart(b, f.now.key, *l, true)
		return replica.ErrMore
	}
	defer f.drop()
	if err := f.now.finish(b.Bucket()); err != nil {
		return err
	}
	return replica.ErrMore
}

// errNotFetched: a content cannot be had, or is not what was announced.
var errNotFetched = errors.New("not fetched")

// next begins to fetch the first wanted list that has not failed. Without one the failures are reported, and forgotten.
func (f *fetches) next(b *replica.Batch) (*fetch, error) {
	if f.failed == nil {
		f.failed = map[string]error{}
	}
	if wanted := b.Bucket().Bucket([]byte(bucketWanted)); wanted != nil {
		c := wanted.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if f.failed[string(k)] != nil {
				continue
			}
			list, err := certs.ParseListPublished(b.Bucket().Bucket([]byte(bucketLists)).Get(k))
			if err != nil {
				return nil, &replica.Damage{What: fmt.Sprintf("list %x", k), Err: err}
			}
			return readApart(b, bytes.Clone(k), list, false), nil
		}
	}
	var failed []error
	for _, err := range f.failed {
		failed = append(failed, err)
	}
	clear(f.failed)
	return nil, errors.Join(failed...)
}

func (f *fetches) drop() {
	if f.now != nil {
		close(f.now.ended)
	}
	f.now = nil
}

// readApart reads a content on a goroutine of its own.
func readApart(b *replica.Batch, key []byte, list certs.ListPublished, packed bool) *fetch {
	f := &fetch{key: key, list: list, packed: packed, pieces: make(chan []byte, slicePieces), ended: make(chan struct{})}
	go func() {
		defer close(f.pieces)
		if err := f.read(b); err != nil {
			f.err = fmt.Errorf("list %d (%s) of issuer %s: %w: %w", list.Number, list.Name(), list.Issuer, errNotFetched, err)
		}
	}()
	return f
}

// content is which bytes these are, and how many.
func (f *fetch) content() (journal.Hash, int64) {
	if f.packed {
		return f.list.Packed, f.list.PackedSize
	}
	return f.list.Content, f.list.Size
}

// read sends the pieces, and checks the whole.
func (f *fetch) read(b *replica.Batch) error {
	h, left := f.content()
	if left > maxList {
		return fmt.Errorf("%d bytes are more than this node takes", left)
	}
	r, err := b.Content(h)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	for left > 0 {
		piece := make([]byte, min(left, chunkSize))
		if _, err := io.ReadFull(r, piece); err != nil {
			return fmt.Errorf("%d bytes are missing: %w", left, err)
		}
		sum.Write(piece)
		left -= int64(len(piece))
		select {
		case f.pieces <- piece:
		case <-f.ended:
			return nil
		case <-time.After(abandoned):
			return errors.New("nobody stored what was read")
		}
	}
	if n, _ := io.ReadFull(r, make([]byte, 1)); n != 0 || journal.Hash(sum.Sum(nil)) != h {
		return errors.New("the content is not what was announced")
	}
	return nil
}

// stillWanted reports whether no newer list has taken this one's place meanwhile.
func (f *fetch) stillWanted(b *bbolt.Bucket) bool {
	lists, wanted := b.Bucket([]byte(bucketLists)), b.Bucket([]byte(bucketWanted))
	if lists == nil || wanted == nil || wanted.Get(f.key) == nil {
		return false
	}
	list, err := certs.ParseListPublished(lists.Get(f.key))
	return err == nil && list == f.list
}

// step stores what has arrived; done once all of it has and is what was announced.
func (f *fetch) step(b *bbolt.Bucket, wait time.Duration) (done bool, err error) {
	content, err := b.CreateBucketIfNotExists([]byte(bucketContent))
	if err != nil {
		return false, err
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for range slicePieces {
		select {
		case piece, more := <-f.pieces:
			if !more {
				return f.err == nil, f.err
			}
			h, _ := f.content()
			err = content.Put(chunkKey(h, f.stored), piece)
			f.stored++
		case <-limit.C:
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, replica.ErrMore
}

// finish has the list served from here on, and drops the bytes of the one before the last.
func (f *fetch) finish(b *bbolt.Bucket) error {
	have, err := b.CreateBucketIfNotExists([]byte(bucketStored))
	if err != nil {
		return err
	}
	current, before, err := parseStored(have.Get(f.key))
	if err != nil {
		return &replica.Damage{What: fmt.Sprintf("list %x", f.key), Err: err}
	}
	content := b.Bucket([]byte(bucketContent))
	for h, size := range map[journal.Hash]int64{f.list.Content: f.list.Size, f.list.Packed: f.list.PackedSize} {
		if size > 0 && !holds(content, h, size) { // a commit failed: what it would have stored went by
			return fmt.Errorf("%w: some of it was not stored", errNotFetched)
		}
	}
	if before != nil {
		for _, old := range []journal.Hash{before.Content, before.Packed} {
			if old == f.list.Content || old == f.list.Packed || old == current.Content || old == current.Packed {
				continue
			}
			if err := dropContent(content, old); err != nil {
				return err
			}
		}
	}
	if err := have.Put(f.key, appendStored(&f.list, current)); err != nil {
		return err
	}
	return b.Bucket([]byte(bucketWanted)).Delete(f.key)
}

// holds reports whether all pieces of a content are here.
func holds(content *bbolt.Bucket, h journal.Hash, size int64) bool {
	for n := int64(0); n*chunkSize < size; n++ {
		if int64(len(content.Get(chunkKey(h, uint32(n))))) != min(chunkSize, size-n*chunkSize) {
			return false
		}
	}
	return true
}

// tidy drops, once after the start, what belongs to no list: the pieces of fetches that an end of the process cut short.
func (t *Table) tidy(b *bbolt.Bucket) error {
	content := b.Bucket([]byte(bucketContent))
	if t.fetches.tidied || content == nil {
		return nil
	}
	t.fetches.tidied = true
	known := map[journal.Hash]bool{}
	if have := b.Bucket([]byte(bucketStored)); have != nil {
		err := have.ForEach(func(k, v []byte) error {
			current, before, err := parseStored(v)
			for _, l := range []*certs.ListPublished{current, before} {
				if l != nil {
					known[l.Content], known[l.Packed] = true, true
				}
			}
			return err
		})
		if err != nil {
			return &replica.Damage{What: "the lists that are here", Err: err}
		}
	}
	var lost []journal.Hash
	c := content.Cursor()
	for k, _ := c.First(); len(k) > 32; {
		h := journal.Hash(k[:32])
		if !known[h] {
			lost = append(lost, h)
		}
		k, _ = c.Seek(append(h[:], 0xff, 0xff, 0xff, 0xff, 0xff))
	}
	for _, h := range lost {
		if err := dropContent(content, h); err != nil {
			return err
		}
	}
	return nil
}
