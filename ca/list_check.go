package ca

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
)

// errList says that a list is not the one that was to be published.
var errList = errors.New("the list is not what it should be")

// checker reads a list as it will be served, written apart from the encoder: it
// parses every octet, verifies the signature and compares what the list says
// with what it should say. It holds one entry at a time.
type checker struct {
	in    *bufio.Reader
	left  int64   // octets of the whole list not read yet
	hash  *behind // of the to-be-signed part, while inside it
	room  []byte  // what is hashed next
	count int64
	// known are the extensions of the last entry that was found in order: most
	// say the same as the one before.
	known []byte
}

// checkList reads r to its end. issuer is whose signature must hold, want what
// the list must say, n how many entries it must have.
func checkList(r io.Reader, issuer *x509.Certificate, want header, n int64) error {
	scheme, err := schemeOf(issuer.PublicKey)
	if err != nil {
		return err
	}
	c := &checker{in: bufio.NewReaderSize(r, chunk), left: 1 << 62}
	if c.left, err = c.open(0x30); err != nil {
		return err
	}
	sum, err := c.hashed(scheme, func() error { return c.tbs(scheme, want) })
	if err != nil {
		return err
	}
	if c.count != n {
		return fmt.Errorf("%w: %d entries instead of %d", errList, c.count, n)
	}
	identifier, err := c.element(0x30)
	if err != nil || !bytes.Equal(identifier, scheme.identifier) {
		return fmt.Errorf("%w: outer signature algorithm", errList)
	}
	var signature asn1.BitString
	if raw, err := c.element(0x03); err != nil {
		return err
	} else if rest, err := asn1.Unmarshal(raw, &signature); err != nil || len(rest) > 0 || signature.BitLength%8 != 0 {
		return fmt.Errorf("%w: signature value", errList)
	}
	if _, err := c.in.ReadByte(); c.left != 0 || err != io.EOF {
		return fmt.Errorf("%w: octets behind its end", errList)
	}
	if !scheme.verify(issuer.PublicKey, sum, signature.Bytes) {
		return fmt.Errorf("%w: the signature does not verify", errList)
	}
	return nil
}

// hashed gives the digest of what read reads, which is made beside it.
func (c *checker) hashed(s scheme, read func() error) ([]byte, error) {
	digest := s.hash.New()
	c.hash, c.room = &behind{w: digest}, nil
	err := read()
	if ended := c.hash.end(c.room); err == nil {
		err = ended
	}
	c.hash, c.room = nil, nil
	return digest.Sum(nil), err
}

// digest has octets hashed, of which there are at most a chunk.
func (c *checker) digest(p []byte) (err error) {
	c.room, err = c.hash.append(c.room, p)
	return err
}

func (c *checker) tbs(s scheme, want header) error {
	size, err := c.open(0x30)
	if err != nil {
		return err
	}
	end := c.left - size
	for _, field := range []struct {
		name string
		tag  byte
		want []byte
	}{
		{"version", 0x02, []byte{0x02, 0x01, 0x01}},
		{"signature algorithm", 0x30, s.identifier},
		{"issuer", 0x30, want.issuer},
	} {
		if got, err := c.element(field.tag); err != nil || !bytes.Equal(got, field.want) {
			return fmt.Errorf("%w: %s", errList, field.name)
		}
	}
	for _, want := range []time.Time{want.thisUpdate, want.nextUpdate} {
		if got, err := c.time(); err != nil || !got.Equal(want) {
			return fmt.Errorf("%w: thisUpdate or nextUpdate", errList)
		}
	}
	if next, err := c.in.Peek(1); err == nil && next[0] == 0x30 {
		if err := c.entries(want); err != nil {
			return err
		}
	}
	if err := c.extensions(want); err != nil {
		return err
	}
	if c.left != end {
		return fmt.Errorf("%w: length of the signed part", errList)
	}
	return nil
}

func (c *checker) entries(want header) error {
	size, err := c.open(0x30)
	if err != nil {
		return err
	}
	end := c.left - size
	before := place{serial: make([]byte, 0, certs.SerialMax)}
	for c.left > end {
		raw, err := c.short()
		if err != nil {
			return err
		}
		serial, ok := c.entry(raw, want.base != 0)
		if !ok {
			return fmt.Errorf("%w: entry %d", errList, c.count)
		}
		at := place{serial: serial}
		if want.shards > 0 {
			at.shard = uint16(serial[len(serial)-1]) % want.shards
		}
		if c.count > 0 && !before.less(at) || want.only && at.shard != want.shard {
			return fmt.Errorf("%w: serial of entry %d", errList, c.count)
		}
		before.shard, before.serial = at.shard, append(before.serial[:0], at.serial...)
		c.count++
	}
	if c.left != end || c.count == 0 {
		return fmt.Errorf("%w: length of the entries", errList)
	}
	return nil
}

// place is where an entry stands in the order of a list.
type place struct {
	shard  uint16
	serial []byte
}

func (p place) less(q place) bool {
	return p.shard < q.shard || p.shard == q.shard && bytes.Compare(p.serial, q.serial) < 0
}

// entry parses an element of revokedCertificates and gives its serial. A delta
// alone may say removeFromCRL.
func (c *checker) entry(raw []byte, delta bool) (serial []byte, ok bool) {
	in := cryptobyte.String(raw)
	var entry, extensions cryptobyte.String
	if !in.ReadASN1(&entry, cbasn1.SEQUENCE) || !in.Empty() || !entry.ReadASN1Integer(&serial) {
		return nil, false
	}
	if len(serial) == 0 || len(serial) > certs.SerialMax || !readTime(&entry) {
		return nil, false
	}
	if entry.Empty() {
		return serial, true
	}
	if !entry.ReadASN1(&extensions, cbasn1.SEQUENCE) || !entry.Empty() || extensions.Empty() {
		return nil, false
	}
	if bytes.Equal(extensions, c.known) {
		return serial, true
	}
	c.known = append(c.known[:0], extensions...)
	for !extensions.Empty() {
		if !checkEntryExtension(&extensions, delta) {
			return nil, false
		}
	}
	return serial, true
}

func checkEntryExtension(in *cryptobyte.String, delta bool) bool {
	var extension, oid, value cryptobyte.String
	if !in.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.ReadASN1(&oid, cbasn1.OBJECT_IDENTIFIER) ||
		!extension.ReadASN1(&value, cbasn1.OCTET_STRING) || !extension.Empty() {
		return false
	}
	switch string(oid) {
	case "\x55\x1d\x15": // reasonCode
		var code int
		if !value.ReadASN1Enum(&code) || !value.Empty() {
			return false
		}
		reason := certs.Reason(code)
		return reason != certs.ReasonUnspecified && reason.Valid() || delta && reason == certs.ReasonRemoveFromCRL
	case "\x55\x1d\x18": // invalidityDate
		return readClock(&value, cbasn1.GeneralizedTime, 15) && value.Empty()
	}
	return false
}

func readTime(in *cryptobyte.String) bool {
	if in.PeekASN1Tag(cbasn1.GeneralizedTime) {
		return readClock(in, cbasn1.GeneralizedTime, 15)
	}
	return readClock(in, cbasn1.UTCTime, 13)
}

// readClock takes a time with its seconds and a Z, whose parts are such as
// there are.
func readClock(in *cryptobyte.String, tag cbasn1.Tag, length int) bool {
	var text cryptobyte.String
	if !in.ReadASN1(&text, tag) || len(text) != length || text[length-1] != 'Z' {
		return false
	}
	most := [...]byte{12, 31, 23, 59, 59}
	digits := text[:length-1]
	for i := 0; i < len(digits); i += 2 {
		high, low := digits[i]-'0', digits[i+1]-'0'
		if high > 9 || low > 9 {
			return false
		}
		n := high*10 + low
		if part := i/2 - (len(digits)/2 - len(most)); part >= 0 && (n > most[part] || part < 2 && n == 0) {
			return false
		}
	}
	return true
}

// extensionsOf are what a list's extensions should be, by OID.
func extensionsOf(want header) map[string]pkix.Extension {
	list := map[string]pkix.Extension{}
	put := func(oid string, critical bool, v any, params string) {
		value, err := asn1.MarshalWithParams(v, params)
		if err == nil {
			list[oid] = pkix.Extension{Critical: critical, Value: value}
		}
	}
	type key struct {
		ID []byte `asn1:"tag:0"`
	}
	type point struct {
		Name struct {
			Full []asn1.RawValue `asn1:"tag:0"`
		} `asn1:"tag:0"`
	}
	at := func(url string) (p point) {
		p.Name.Full = []asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}
		return p
	}
	put(certs.OIDAuthorityKeyID, false, key{want.authorityKey}, "")
	put(certs.OIDCRLNumber, false, new(big.Int).SetUint64(want.number), "")
	if want.base != 0 {
		put(certs.OIDDeltaCRLIndicator, true, new(big.Int).SetUint64(want.base), "")
	}
	if want.url != "" {
		put(certs.OIDIssuingDistribution, true, at(want.url), "")
	}
	if want.freshest != "" {
		put(certs.OIDFreshestCRL, false, []point{at(want.freshest)}, "")
	}
	if !want.expired.IsZero() {
		put(certs.OIDExpiredCertsOnCRL, false, want.expired.UTC(), "generalized")
	}
	return list
}

func (c *checker) extensions(want header) error {
	raw, err := c.element(0xa0)
	if err != nil {
		return err
	}
	var list []pkix.Extension
	if rest, err := asn1.UnmarshalWithParams(raw, &list, "explicit,tag:0"); err != nil || len(rest) > 0 {
		return fmt.Errorf("%w: extensions", errList)
	}
	expected := extensionsOf(want)
	for _, x := range list {
		oid := x.Id.String()
		if e, ok := expected[oid]; !ok || e.Critical != x.Critical || !bytes.Equal(e.Value, x.Value) {
			return fmt.Errorf("%w: extension %s", errList, oid)
		}
		delete(expected, oid)
	}
	if len(expected) > 0 {
		return fmt.Errorf("%w: %d extensions are missing", errList, len(expected))
	}
	return nil
}

func (c *checker) time() (time.Time, error) {
	next, err := c.in.Peek(1)
	if err != nil {
		return time.Time{}, err
	}
	raw, err := c.element(next[0])
	if err != nil {
		return time.Time{}, err
	}
	var t time.Time
	_, err = asn1.Unmarshal(raw, &t)
	return t, err
}

// maxElement is the largest element read whole: an entry, a name, the
// extensions or a signature.
const maxElement = 64 << 10

// short reads one SEQUENCE of under 128 octets, with its header; what it gives
// lives until the next read. All but the strangest entries are such.
func (c *checker) short() ([]byte, error) {
	head, err := c.in.Peek(2)
	if err != nil {
		return nil, fmt.Errorf("%w: it ends early", errList)
	}
	n := 2 + int(head[1])
	if head[0] != 0x30 || head[1] >= 0x80 || int64(n) > c.left {
		return nil, fmt.Errorf("%w: a header", errList)
	}
	raw, err := c.in.Peek(n)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errList, err)
	}
	if err := c.digest(raw); err != nil {
		return nil, err
	}
	c.left -= int64(n)
	_, err = c.in.Discard(n) // leaves the octets where they are until the next read
	return raw, err
}

// element reads one element with its header.
func (c *checker) element(tag byte) ([]byte, error) {
	head, size, err := c.head(tag)
	if err != nil {
		return nil, err
	}
	if size > maxElement {
		return nil, fmt.Errorf("%w: an element of %d octets", errList, size)
	}
	raw := append(head, make([]byte, size)...)
	return raw, c.read(raw[len(head):])
}

// open reads the header of an element whose contents are read piece by piece.
func (c *checker) open(tag byte) (int64, error) {
	_, size, err := c.head(tag)
	return size, err
}

func (c *checker) head(tag byte) ([]byte, int64, error) {
	head := make([]byte, 2, 2+8)
	if err := c.read(head); err != nil {
		return nil, 0, err
	}
	size := int64(head[1])
	if head[1] >= 0x80 {
		more := make([]byte, head[1]&0x7f)
		if len(more) == 0 || len(more) > 7 {
			return nil, 0, fmt.Errorf("%w: a length", errList)
		}
		if err := c.read(more); err != nil {
			return nil, 0, err
		}
		head, size = append(head, more...), 0
		for _, b := range more {
			size = size<<8 | int64(b)
		}
	}
	if head[0] != tag || size > c.left || !bytes.Equal(head, derHeader(tag, size)) {
		return nil, 0, fmt.Errorf("%w: a header", errList)
	}
	return head, size, nil
}

func (c *checker) read(p []byte) error {
	if int64(len(p)) > c.left {
		return fmt.Errorf("%w: it ends early", errList)
	}
	if _, err := io.ReadFull(c.in, p); err != nil {
		return fmt.Errorf("%w: %w", errList, err)
	}
	c.left -= int64(len(p))
	if c.hash != nil {
		return c.digest(p)
	}
	return nil
}
