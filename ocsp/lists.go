package ocsp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/replica"
)

// Lists travel as content. ListPublished only notes what is wanted; Settle fetches the newest when the copy has caught
// up, so that a rebuild does not fetch every list there ever was. The list before the newest is kept as well, for
// downloads that are under way.

// chunkSize is how a list's bytes are cut, and so what a download copies at a time.
const chunkSize = 128 << 10

// ErrNoList: no such list is published, or its content has not arrived yet.
var ErrNoList = errors.New("no such certificate list")

// List is a certificate list whose bytes are here.
type List struct {
	certs.ListPublished
	table *Table
}

// List is the newest list of a shard; ErrNoList.
func (t *Table) List(issuerName string, shard uint16) (*List, error) {
	issuer := t.Issuer(issuerName)
	if issuer == nil {
		return nil, ErrNoList
	}
	l := &List{table: t}
	err := t.replica.View(tableName, func(b *bbolt.Bucket, _ replica.State) error {
		have := b.Bucket([]byte(bucketStored))
		if have == nil {
			return ErrNoList
		}
		current, _, err := parseStored(have.Get(listKey(issuer.ID, shard)))
		if err == nil && current == nil {
			err = ErrNoList
		}
		if err != nil {
			return err
		}
		l.ListPublished = *current
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Open reads the list's bytes. Each read is a short transaction, so a slow client holds nothing; one so slow that the
// list was replaced twice meanwhile gets io.ErrUnexpectedEOF.
func (l *List) Open() io.ReadSeeker { return &listReader{list: l, chunk: -1} }

type listReader struct {
	list  *List
	at    int64
	chunk int64 // whose bytes stand in data
	data  []byte
}

// Seek implements io.Seeker.
func (r *listReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.list.Size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start of a list")
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *listReader) Read(p []byte) (int, error) {
	if r.at >= r.list.Size {
		return 0, io.EOF
	}
	if want := r.at / chunkSize; r.chunk != want {
		if err := r.load(want); err != nil {
			return 0, err
		}
	}
	within := r.at % chunkSize
	if within >= int64(len(r.data)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, r.data[within:])
	r.at += int64(n)
	return n, nil
}

func (r *listReader) load(chunk int64) error {
	return r.list.table.replica.View(tableName, func(b *bbolt.Bucket, _ replica.State) error {
		content := b.Bucket([]byte(bucketContent))
		if content == nil {
			return io.ErrUnexpectedEOF
		}
		v := content.Get(chunkKey(r.list.Content, uint32(chunk)))
		if v == nil {
			return io.ErrUnexpectedEOF
		}
		r.data = append(r.data[:0], v...)
		r.chunk = chunk
		return nil
	})
}

func listKey(issuer certs.IssuerID, shard uint16) []byte {
	return binary.BigEndian.AppendUint16(issuer[:], shard)
}

func chunkKey(content journal.Hash, n uint32) []byte {
	return binary.BigEndian.AppendUint32(content[:], n)
}

// stored form: the newest list and, behind its length, the one before.
func appendStored(current, before *certs.ListPublished) []byte {
	e := journal.NewEncoder(nil)
	e.AppendBytes(current.Append(nil))
	if before != nil {
		e.AppendBytes(before.Append(nil))
	}
	return e.Bytes()
}

func parseStored(raw []byte) (current, before *certs.ListPublished, err error) {
	if raw == nil {
		return nil, nil, nil
	}
	d := journal.NewDecoder(raw)
	c, err := certs.ParseListPublished(d.Bytes())
	if err != nil {
		return nil, nil, err
	}
	if len(d.Rest()) == 0 {
		return &c, nil, d.End()
	}
	p, err := certs.ParseListPublished(d.Bytes())
	return &c, &p, errors.Join(err, d.End())
}

// listPublished notes a list with a higher number than the one known; any other is passed over.
func listPublished(b *bbolt.Bucket, body []byte) error {
	list, err := certs.ParseListPublished(body)
	if err != nil {
		return err
	}
	lists, err := b.CreateBucketIfNotExists([]byte(bucketLists))
	if err != nil {
		return err
	}
	key := listKey(list.Issuer, list.Shard)
	if raw := lists.Get(key); raw != nil {
		known, err := certs.ParseListPublished(raw)
		if err != nil {
			return &replica.Damage{What: fmt.Sprintf("list %x", key), Err: err}
		}
		if list.Number <= known.Number {
			return nil
		}
	}
	if err := lists.Put(key, list.Append(nil)); err != nil {
		return err
	}
	wanted, err := b.CreateBucketIfNotExists([]byte(bucketWanted))
	if err != nil {
		return err
	}
	return wanted.Put(key, []byte{1})
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

// Settle implements replica.Settler: it fetches one wanted list. A list that cannot be had does not keep the others
// waiting: it goes to the end of the queue, and the error is reported.
func (t *Table) Settle(b *replica.Batch) error {
	wanted := b.Bucket().Bucket([]byte(bucketWanted))
	if wanted == nil {
		return nil
	}
	var failed []error
	c := wanted.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		key := bytes.Clone(k)
		if err := fetchList(b, key); err != nil {
			failed = append(failed, err)
			continue
		}
		if err := wanted.Delete(key); err != nil {
			return err
		}
		if next, _ := wanted.Cursor().First(); next != nil {
			return replica.ErrMore
		}
		return nil
	}
	return errors.Join(failed...)
}

func fetchList(b *replica.Batch, key []byte) error {
	raw := b.Bucket().Bucket([]byte(bucketLists)).Get(key)
	list, err := certs.ParseListPublished(raw)
	if err != nil {
		return &replica.Damage{What: fmt.Sprintf("list %x", key), Err: err}
	}
	data, err := readList(b, &list)
	if err != nil {
		return fmt.Errorf("fetching list %d of shard %d of issuer %s: %w", list.Number, list.Shard, list.Issuer, err)
	}
	return storeList(b.Bucket(), key, &list, data)
}

func readList(b *replica.Batch, list *certs.ListPublished) ([]byte, error) {
	if list.Size > maxList {
		return nil, fmt.Errorf("%d bytes are more than this node takes", list.Size)
	}
	r, err := b.Content(list.Content)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, list.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != list.Size || sha256.Sum256(data) != list.Content {
		return nil, errors.New("the content is not what was announced")
	}
	return data, nil
}

// storeList puts a list's bytes in and drops those of the list before the last.
func storeList(b *bbolt.Bucket, key []byte, list *certs.ListPublished, data []byte) error {
	have, err := b.CreateBucketIfNotExists([]byte(bucketStored))
	if err != nil {
		return err
	}
	content, err := b.CreateBucketIfNotExists([]byte(bucketContent))
	if err != nil {
		return err
	}
	current, before, err := parseStored(have.Get(key))
	if err != nil {
		return &replica.Damage{What: fmt.Sprintf("list %x", key), Err: err}
	}
	if before != nil && before.Content != list.Content && before.Content != current.Content {
		if err := dropContent(content, before.Content); err != nil {
			return err
		}
	}
	for n := 0; n*chunkSize < len(data); n++ {
		chunk := data[n*chunkSize : min((n+1)*chunkSize, len(data))]
		if err := content.Put(chunkKey(list.Content, uint32(n)), chunk); err != nil {
			return err
		}
	}
	return have.Put(key, appendStored(list, current))
}

func dropContent(content *bbolt.Bucket, h journal.Hash) error {
	var keys [][]byte
	c := content.Cursor()
	for k, _ := c.Seek(h[:]); bytes.HasPrefix(k, h[:]); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := content.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
