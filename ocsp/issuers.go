package ocsp

import (
	"crypto/sha1" // OCSP clients name issuers by SHA-1 (RFC 6960 §4.1.1); no security rests on it
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"

	"go.etcd.io/bbolt"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
	"cardinal/internal/journal"
)

// Issuer is a CA of ours. It must not be changed.
type Issuer struct {
	ID      certs.IssuerID
	Name    string   // certs.IssuerName
	Shards  uint16   // how many lists its certificates are spread over
	DER     []byte   // its certificate
	Subject []byte   // raw Name
	Cross   [][]byte // further certificates of its key, DER, in no order
	order   uint64   // in which it was added
	above   certs.IssuerID
	serial  certs.Serial // of its certificate among those of above; empty for a root
}

// issuerSet is all issuers, arranged for looking up. It is never changed, only replaced.
type issuerSet struct {
	all       []*Issuer // in the order they were added
	byID      map[certs.IssuerID]*Issuer
	byName    map[string]*Issuer   // the newest of each name
	bySubject map[string][]*Issuer // generations of a CA may share a name
	byCertID  map[string]*Issuer   // hash algorithm ‖ issuerNameHash ‖ issuerKeyHash

	unreadable bool // the copy could not be read, so there may be others
}

// find returns the issuer a CertID means, or nil.
func (s *issuerSet) find(id *CertID) *Issuer {
	if id.Hash == HashOther {
		return nil
	}
	var room [1 + 64 + 64]byte
	return s.byCertID[string(certIDKey(room[:0], id.Hash, id.NameHash, id.KeyHash))]
}

func certIDKey(b []byte, h HashAlgorithm, name, key []byte) []byte {
	b = append(b, byte(h))
	b = append(b, name...)
	return append(b, key...)
}

// Each issuer is stored under its ID: order, name, shards and certificate.

func appendIssuer(b []byte, order uint64, added certs.IssuerAdded) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(order)
	e.AppendString(added.Name)
	e.AppendUint(uint64(added.Shards))
	e.AppendBytes(added.DER)
	return e.Bytes()
}

func parseIssuer(key, value []byte) (*Issuer, error) {
	id, err := certs.IssuerIDFromBytes(key)
	if err != nil {
		return nil, err
	}
	d := journal.NewDecoder(value)
	i := &Issuer{ID: id, order: d.Uint(), Name: d.String(), Shards: uint16(d.UintMax(1<<16 - 1))}
	i.DER = append([]byte(nil), d.Bytes()...)
	if err := d.End(); err != nil {
		return nil, err
	}
	outline, err := certs.OutlineOf(i.DER)
	if err != nil {
		return nil, err
	}
	i.Subject = outline.Subject
	return i, nil
}

// loadIssuers reads the set from the table's bucket.
func loadIssuers(b *bbolt.Bucket) (*issuerSet, error) {
	s := &issuerSet{byID: map[certs.IssuerID]*Issuer{}, byName: map[string]*Issuer{},
		bySubject: map[string][]*Issuer{}, byCertID: map[string]*Issuer{}}
	stored := b.Bucket([]byte(bucketIssuers))
	if stored == nil {
		return s, nil
	}
	err := stored.ForEach(func(k, v []byte) error {
		i, err := parseIssuer(k, v)
		if err != nil {
			return fmt.Errorf("reading issuer %x: %w", k, err)
		}
		return s.add(i)
	})
	if err == nil {
		err = s.loadCross(b.Bucket([]byte(bucketCross)))
	}
	for _, i := range s.all {
		s.linkAbove(i)
	}
	return s, err
}

// loadCross reads further certificates: under the issuer's ID and the SHA-256 of the certificate stands its DER.
func (s *issuerSet) loadCross(b *bbolt.Bucket) error {
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, v []byte) error {
		if i := s.byID[certs.IssuerID(k[:len(certs.IssuerID{})])]; i != nil {
			i.Cross = append(i.Cross, append([]byte(nil), v...))
		}
		return nil
	})
}

// linkAbove finds the CA of ours that an issuer's own certificate is of.
func (s *issuerSet) linkAbove(i *Issuer) {
	outline, err := certs.OutlineOf(i.DER)
	if err != nil {
		return // add read it
	}
	for _, above := range s.bySubject[string(outline.Issuer)] {
		if above.ID != i.ID && signedBy(i.DER, above.DER) {
			i.above, i.serial = above.ID, outline.Serial
		}
	}
}

func signedBy(der, by []byte) bool {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	ca, err := x509.ParseCertificate(by)
	return err == nil && c.CheckSignatureFrom(ca) == nil
}

func (s *issuerSet) add(i *Issuer) error {
	outline, err := certs.OutlineOf(i.DER)
	if err != nil {
		return err
	}
	key, err := publicKeyBits(outline.SPKI)
	if err != nil {
		return err
	}
	s.all = append(s.all, i)
	for n := len(s.all) - 1; n > 0 && s.all[n].order < s.all[n-1].order; n-- {
		s.all[n], s.all[n-1] = s.all[n-1], s.all[n]
	}
	s.byID[i.ID] = i
	if known := s.byName[i.Name]; known == nil || known.order < i.order {
		s.byName[i.Name] = i
	}
	s.bySubject[string(i.Subject)] = append(s.bySubject[string(i.Subject)], i)
	for _, h := range []HashAlgorithm{HashSHA1, HashSHA256, HashSHA384, HashSHA512} {
		s.byCertID[string(certIDKey(nil, h, hashWith(h, i.Subject), hashWith(h, key)))] = i
	}
	return nil
}

func hashWith(h HashAlgorithm, b []byte) []byte {
	switch h {
	case HashSHA1:
		sum := sha1.Sum(b)
		return sum[:]
	case HashSHA256:
		sum := sha256.Sum256(b)
		return sum[:]
	case HashSHA384:
		sum := sha512.Sum384(b)
		return sum[:]
	case HashSHA512:
		sum := sha512.Sum512(b)
		return sum[:]
	}
	return nil
}

// publicKeyBits is the value of the subjectPublicKey BIT STRING without its first octet (RFC 6960 §4.1.1, issuerKeyHash).
func publicKeyBits(spki []byte) ([]byte, error) {
	in := cryptobyte.String(spki)
	var info, bits cryptobyte.String
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !info.SkipASN1(asn1.SEQUENCE) ||
		!info.ReadASN1(&bits, asn1.BIT_STRING) || len(bits) < 2 {
		return nil, fmt.Errorf("%w: subjectPublicKeyInfo", certs.ErrDER)
	}
	return bits[1:], nil
}
