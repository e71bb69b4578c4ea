package ca

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"time"

	"cardinal/certs"
)

// errList says that a list is not the one that was to be published.
var errList = errors.New("the list is not what it should be")

// checker reads a list as it will be served, written apart from the encoder: it
// parses every octet, verifies the signature and compares what the list says
// with what it should say. It holds one entry at a time.
type checker struct {
	in    *bufio.Reader
	left  int64     // octets of the whole list not read yet
	hash  hash.Hash // of the to-be-signed part, while inside it
	count int64
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
	c.hash = scheme.hash.New()
	if err := c.tbs(scheme, want); err != nil {
		return err
	}
	sum := c.hash.Sum(nil)
	c.hash = nil
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
		if err := c.entries(); err != nil {
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

func (c *checker) entries() error {
	size, err := c.open(0x30)
	if err != nil {
		return err
	}
	end := c.left - size
	var before certs.Serial
	for c.left > end {
		raw, err := c.element(0x30)
		if err != nil {
			return err
		}
		var entry pkix.RevokedCertificate
		if rest, err := asn1.Unmarshal(raw, &entry); err != nil || len(rest) > 0 {
			return fmt.Errorf("%w: entry %d", errList, c.count)
		}
		serial, err := certs.SerialFromBig(entry.SerialNumber)
		if err != nil || serial <= before {
			return fmt.Errorf("%w: serial of entry %d", errList, c.count)
		}
		before = serial
		c.count++
	}
	if c.left != end || c.count == 0 {
		return fmt.Errorf("%w: length of the entries", errList)
	}
	return nil
}

func (c *checker) extensions(want header) error {
	raw, err := c.element(0xa0)
	if err != nil {
		return err
	}
	expected := 3
	if want.url == "" {
		expected = 2
	}
	var list []pkix.Extension
	if rest, err := asn1.UnmarshalWithParams(raw, &list, "explicit,tag:0"); err != nil || len(rest) > 0 || len(list) != expected {
		return fmt.Errorf("%w: extensions", errList)
	}
	var number *big.Int
	scoped := false
	var key struct {
		ID []byte `asn1:"tag:0"`
	}
	for _, x := range list {
		switch x.Id.String() {
		case certs.OIDAuthorityKeyID:
			_, err = asn1.Unmarshal(x.Value, &key)
		case certs.OIDCRLNumber:
			_, err = asn1.Unmarshal(x.Value, &number)
		case certs.OIDIssuingDistribution:
			scoped = true
			if want.url == "" || !x.Critical || !bytes.Equal(x.Value, distributionPoint(want.url)) {
				err = errList
			}
		default:
			err = errList
		}
		if err != nil {
			return fmt.Errorf("%w: extension %s", errList, x.Id)
		}
	}
	if scoped != (want.url != "") || number == nil || number.Cmp(new(big.Int).SetUint64(want.number)) != 0 || !bytes.Equal(key.ID, want.authorityKey) {
		return fmt.Errorf("%w: number, authority key or scope", errList)
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
		c.hash.Write(p)
	}
	return nil
}
