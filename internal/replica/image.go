package replica

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// An image is a whole copy as one stream, in the order of its keys, so that another node can lay it out page by page. It
// is the copy's content and not its file: free pages are not in it, nor what the node that gets it may not have.

// Withholder is an Applier that keeps things which not every copy may have.
type Withholder interface {
	// Withheld names the nested buckets that hold what came with changes that are not public (journal.Class). A copy that
	// these were withheld from has them empty.
	Withheld() []string
}

// Image says what a stream made by WriteImage holds. A copy built of it stands where the image's did.
type Image struct {
	Epoch    journal.Epoch
	Position journal.Position
	Link     journal.Hash
	Time     time.Time // of the change at Position
	Kept     uint64    // changes kept from histories that a restore dropped
	Buckets  []ImageBucket
}

// ImageBucket is an applier's bucket in an image. Digest is what Digest says of it.
type ImageBucket struct {
	Name   string
	Layout uint32
	Digest journal.Hash
}

// The records of an image.
const (
	imageEnd    = 0 // of the image
	imageBucket = 1 // name, sequence; what follows is in it
	imageItem   = 2 // key, value
	imageLeave  = 3 // the bucket is whole
)

const imageMagic = "cardinal image 1\n"

// ErrBusy: the copy stands within a transaction; a moment later it does not.
var ErrBusy = errors.New("the copy is within a transaction")

// WriteImage writes an image of the copy while it goes on. With public, what a Withholder names is left out. It pins what
// it reads: until it is done the file cannot use pages again that it frees. ErrBusy while a change is applied in slices.
func (r *Replica) WriteImage(ctx context.Context, out io.Writer, public bool) (Image, error) {
	tx, err := r.beginRead()
	if err != nil {
		return Image{}, err
	}
	defer func() { _ = tx.Rollback() }()
	w := &imageWriter{ctx: ctx, out: bufio.NewWriterSize(out, 256<<10)}
	var made Image
	err = guarded("writing an image", func() (err error) {
		made, err = w.write(tx, r.options.Appliers, public)
		return err
	})
	if err != nil {
		return Image{}, fmt.Errorf("writing an image: %w", err)
	}
	return made, nil
}

type imageWriter struct {
	ctx   context.Context
	out   *bufio.Writer
	sum   hash.Hash // over what is compared; nil outside an applier's bucket and in local ones
	items int
}

func (w *imageWriter) write(tx *bbolt.Tx, appliers []Applier, public bool) (Image, error) {
	p, err := readProgress(tx)
	if err != nil {
		return Image{}, err
	}
	if p.applied != p.position || p.slicing || p.position == 0 {
		return Image{}, ErrBusy
	}
	made := Image{Epoch: p.epoch, Position: p.position, Link: p.link, Time: p.time, Kept: p.kept}
	w.out.WriteString(imageMagic)
	if err := w.bucket(keptBucket, tx.Bucket([]byte(keptBucket)), nil, nil); err != nil {
		return made, err
	}
	sorted := slices.SortedFunc(slices.Values(appliers), func(a, b Applier) int { return cmpName(a.Name(), b.Name()) })
	for _, a := range sorted {
		var skip []string
		if h, ok := a.(Withholder); ok && public {
			skip = h.Withheld()
		}
		w.sum = sha256.New()
		if err := w.bucket(a.Name(), tx.Bucket([]byte(a.Name())), Key{}, skip); err != nil {
			return made, err
		}
		made.Buckets = append(made.Buckets, ImageBucket{Name: a.Name(), Layout: a.Layout(), Digest: journal.Hash(w.sum.Sum(nil))})
		w.sum = nil
	}
	w.out.WriteByte(imageEnd)
	return made, w.out.Flush()
}

func cmpName(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// bucket writes a bucket and those in it. The way is nil where nothing is compared; an applier's own is empty.
func (w *imageWriter) bucket(name string, b *bbolt.Bucket, way Key, skip []string) error {
	if b == nil {
		return &Damage{What: "bucket " + name + " is missing"}
	}
	w.out.WriteByte(imageBucket)
	w.long([]byte(name))
	w.number(b.Sequence())
	err := b.ForEach(func(k, v []byte) error {
		if w.items++; w.items%4096 == 0 && w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		if v != nil {
			w.item(k, v, way)
			return nil
		}
		if slices.Contains(skip, string(k)) {
			return w.empty(k)
		}
		var within Key
		if way != nil && k[0] != 0 {
			within = append(slices.Clone(way), slices.Clone(k))
		}
		return w.bucket(string(k), b.Bucket(k), within, nil)
	})
	if err != nil {
		return err
	}
	return w.out.WriteByte(imageLeave) // errors of the writer stay with it
}

func (w *imageWriter) empty(name []byte) error {
	w.out.WriteByte(imageBucket)
	w.long(name)
	w.number(0)
	return w.out.WriteByte(imageLeave)
}

// item writes an item, and into the digest as digest does.
func (w *imageWriter) item(k, v []byte, way Key) {
	w.out.WriteByte(imageItem)
	w.long(k)
	w.long(v)
	if way == nil {
		return
	}
	w.sum.Write(binary.AppendUvarint(nil, uint64(len(way)+1)))
	for _, part := range way {
		writeLong(w.sum, part)
	}
	writeLong(w.sum, k)
	writeLong(w.sum, v)
}

func (w *imageWriter) number(n uint64) {
	w.out.Write(binary.AppendUvarint(w.out.AvailableBuffer(), n))
}

func (w *imageWriter) long(b []byte) {
	w.number(uint64(len(b)))
	w.out.Write(b)
}
