package ocsp

import (
	"bytes"
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

// List is the newest list of an issuer and name; ErrNoList.
func (t *Table) List(issuerName string, which certs.ListName) (*List, error) {
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
		current, _, err := parseStored(have.Get(listKey(issuer.ID, which)))
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

// Open reads the list's bytes, packed with gzip or as they are. Each read is a short transaction, so a slow client holds nothing; one so slow that the
// list was replaced twice meanwhile gets io.ErrUnexpectedEOF.
func (l *List) Open(packed bool) io.ReadSeeker {
	r := &listReader{table: l.table, content: l.Content, size: l.Size, chunk: -1}
	if packed {
		r.content, r.size = l.Packed, l.PackedSize
	}
	return r
}

type listReader struct {
	table   *Table
	content journal.Hash
	size    int64
	at      int64
	chunk   int64 // whose bytes stand in data
	data    []byte
}

// Seek implements io.Seeker.
func (r *listReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start of a list")
	}
	r.at = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *listReader) Read(p []byte) (int, error) {
	if r.at >= r.size {
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
	return r.table.replica.View(tableName, func(b *bbolt.Bucket, _ replica.State) error {
		content := b.Bucket([]byte(bucketContent))
		if content == nil {
			return io.ErrUnexpectedEOF
		}
		v := content.Get(chunkKey(r.content, uint32(chunk)))
		if v == nil {
			return io.ErrUnexpectedEOF
		}
		r.data = append(r.data[:0], v...)
		r.chunk = chunk
		return nil
	})
}

// listKey has nothing behind the shard for a shard's complete list, else the kind and whether it is a delta.
func listKey(issuer certs.IssuerID, which certs.ListName) []byte {
	key := binary.BigEndian.AppendUint16(issuer[:], which.Shard)
	switch {
	case which == certs.ShardList(which.Shard):
		return key
	case which.Delta:
		return append(key, byte(which.Kind), 1)
	}
	return append(key, byte(which.Kind), 0)
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
	key := listKey(list.Issuer, list.Name())
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
