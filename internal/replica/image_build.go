package replica

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"go.etcd.io/bbolt"

	"cardinal/internal/journal"
)

// ErrOtherImage: an image is not of the appliers, or not of the layouts, of this program. Following the journal from its
// beginning gives the same copy.
var ErrOtherImage = errors.New("the image is of another layout than this program's")

// ErrImage: what came is not the image that was described.
var ErrImage = errors.New("the image is not what was described")

// Bounds of what an image may hold: keys are the store's, values those of entries with a photograph.
const (
	maxImageKey   = bbolt.MaxKeySize
	maxImageValue = 256 << 20
	maxImageDepth = 8
)

// Fits reports with ErrOtherImage whether a copy with these appliers can be built of an image.
func (i *Image) Fits(appliers []Applier) error {
	if len(i.Buckets) != len(appliers) {
		return fmt.Errorf("%d buckets instead of %d: %w", len(i.Buckets), len(appliers), ErrOtherImage)
	}
	for _, a := range appliers {
		at := slices.IndexFunc(i.Buckets, func(b ImageBucket) bool { return b.Name == a.Name() })
		if at < 0 || i.Buckets[at].Layout != a.Layout() {
			return fmt.Errorf("bucket %q: %w", a.Name(), ErrOtherImage)
		}
	}
	return nil
}

// BuildFromImage lays out a new file at path, which must not exist, of an image whose description is trusted, and has it
// at path only when every digest is the described one. Killed before that, nothing is there but path.new. Errors:
// ErrOtherImage, ErrImage, the reader's.
func BuildFromImage(path string, appliers []Applier, of Image, in io.Reader) error {
	if err := of.Fits(appliers); err != nil {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("building %s of an image: %w", path, errors.Join(os.ErrExist, err))
	}
	half := path + newSuffix
	err := buildImage(half, of, in)
	if err == nil {
		err = checkImage(half, of)
	}
	if err == nil {
		err = errors.Join(os.Rename(half, path), syncDir(path))
	}
	if err != nil {
		_ = os.Remove(half)
		return fmt.Errorf("building %s of an image: %w", path, err)
	}
	return nil
}

func buildImage(path string, of Image, in io.Reader) (err error) {
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	r := &imageReader{in: bufio.NewReaderSize(in, 256<<10), pages: &pageFile{f: out, next: 2}}
	root, err := r.read(of)
	if err != nil {
		return err
	}
	return r.pages.finish(root)
}

// checkImage reads what was laid out and holds it against the description.
func checkImage(path string, of Image) error {
	f, err := OpenFile(path)
	if err != nil {
		return err
	}
	for _, b := range of.Buckets {
		var sum journal.Hash
		if sum, err = f.Digest(b.Name); err == nil && sum != b.Digest {
			err = fmt.Errorf("bucket %q has the digest %s, not %s: %w", b.Name, sum, b.Digest, ErrImage)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

type imageReader struct {
	in    *bufio.Reader
	pages *pageFile
	room  []byte
}

// read lays out the top: what was kept, this file's own, then the appliers', as their names are ordered.
func (r *imageReader) read(of Image) (root uint64, err error) {
	magic := make([]byte, len(imageMagic))
	if _, err := io.ReadFull(r.in, magic); err != nil || string(magic) != imageMagic {
		return 0, errors.Join(fmt.Errorf("%w: it has another beginning", ErrImage), err)
	}
	top := &BucketWriter{file: r.pages}
	names := []string{keptBucket}
	for _, b := range of.Buckets {
		names = append(names, b.Name)
	}
	for i, name := range names {
		if err := r.top(top, name); err != nil {
			return 0, err
		}
		if i == 0 {
			if err := r.own(top, of); err != nil {
				return 0, err
			}
		}
	}
	if kind, err := r.in.ReadByte(); err != nil || kind != imageEnd {
		return 0, errors.Join(fmt.Errorf("%w: it does not end where it should", ErrImage), err)
	}
	if err := top.Close(); err != nil {
		return 0, err
	}
	return top.root, nil
}

func (r *imageReader) top(to *BucketWriter, name string) error {
	kind, err := r.in.ReadByte()
	if err != nil || kind != imageBucket {
		return errors.Join(fmt.Errorf("%w: bucket %q is not there", ErrImage, name), err)
	}
	got, w, err := r.bucket(1)
	if err == nil && string(got) != name {
		err = fmt.Errorf("%w: bucket %q where %q should be", ErrImage, got, name)
	}
	if err != nil {
		return err
	}
	return to.putBucket(got, w)
}

// own lays out what a file knows of itself.
func (r *imageReader) own(to *BucketWriter, of Image) error {
	w := &BucketWriter{file: r.pages}
	for _, b := range of.Buckets {
		if err := w.Put([]byte(layoutPrefix+b.Name), binary.BigEndian.AppendUint32(nil, b.Layout)); err != nil {
			return err
		}
	}
	mark := make([]byte, markLength)
	rand.Read(mark)
	if err := w.Put([]byte(markKey), mark); err != nil {
		return err
	}
	p := progress{epoch: of.Epoch, position: of.Position, link: of.Link, time: of.Time, applied: of.Position, appliedLink: of.Link, kept: of.Kept}
	err := w.Put([]byte(progressKey), p.sealed())
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return err
	}
	return to.putBucket([]byte(ownBucket), w)
}

// bucket lays out a bucket whose beginning was read.
func (r *imageReader) bucket(depth int) (name []byte, w *BucketWriter, err error) {
	if depth > maxImageDepth {
		return nil, nil, fmt.Errorf("%w: buckets nested too deep", ErrImage)
	}
	if name, err = r.long(nil, maxImageKey); err != nil {
		return nil, nil, err
	}
	w = &BucketWriter{file: r.pages}
	if w.sequence, err = binary.ReadUvarint(r.in); err != nil {
		return nil, nil, cutImage(err)
	}
	for {
		kind, err := r.in.ReadByte()
		if err != nil {
			return nil, nil, cutImage(err)
		}
		if kind == imageLeave {
			return name, w, w.Close()
		}
		if err := r.record(w, kind, depth); errors.Is(err, errOrder) {
			return nil, nil, errors.Join(ErrImage, err)
		} else if err != nil {
			return nil, nil, err
		}
	}
}

func (r *imageReader) record(w *BucketWriter, kind byte, depth int) error {
	switch kind {
	case imageBucket:
		name, inner, err := r.bucket(depth + 1)
		if err != nil {
			return err
		}
		return w.putBucket(name, inner)
	case imageItem:
		both, err := r.long(r.room[:0], maxImageKey)
		if err != nil {
			return err
		}
		key := len(both)
		if both, err = r.long(both, maxImageValue); err != nil {
			return err
		}
		r.room = both
		return w.Put(both[:key], both[key:])
	}
	return fmt.Errorf("%w: a record of kind %d", ErrImage, kind)
}

// long reads a length and as many bytes behind b, without believing a length that the input does not bear out.
func (r *imageReader) long(b []byte, limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, cutImage(err)
	}
	if n > limit {
		return nil, fmt.Errorf("%w: %d bytes in one piece", ErrImage, n)
	}
	for n > 0 {
		step := min(n, 1<<20)
		at := len(b)
		b = slices.Grow(b, int(step))[:at+int(step)]
		if _, err := io.ReadFull(r.in, b[at:]); err != nil {
			return nil, cutImage(err)
		}
		n -= step
	}
	return b, nil
}

func cutImage(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrImage)
	}
	return err
}
