package policies

import (
	"bufio"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/titanous/rocacheck"
)

// Kinds of key a profile may allow.
const (
	KindP256 = "P-256"
	KindP384 = "P-384"
	KindRSA  = "RSA"
)

const (
	rsaLeastBits   = 2048    // SP 800-131A rev. 2 table 2
	rsaMostBits    = 4096    // a verifier's time grows with the square; no card makes longer ones
	rsaLeastE      = 1 << 16 // FIPS 186-5 §A.1.1: 2^16 < e
	smallFactorMax = 1 << 12 // trial division beyond what a sane generator could leave
	fermatRounds   = 100     // as the close-primes check of public CAs: |p-q| small
)

// KeyKind names a public key's kind, "" for one that is never certified.
func KeyKind(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return KindP256
		case elliptic.P384():
			return KindP384
		}
	case *rsa.PublicKey:
		return KindRSA
	}
	return ""
}

// KeyDigest is the SHA-256 of the key's SubjectPublicKeyInfo (RFC 5280
// §4.1.2.7), the zero digest for a key that cannot be encoded.
func KeyDigest(pub crypto.PublicKey) [sha256.Size]byte {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(spki)
}

// CheckKey refuses, with a *Refusal naming the weakness, a public key that must
// never be certified: of another kind than P-256, P-384 and RSA of 2048 to 4096
// bits, off its curve, of a known broken generator, easily factored, or on the
// operator's list. That the key was not seen on another card is the register's
// to say.
func CheckKey(pub crypto.PublicKey, blocked KeyList) error {
	if KeyKind(pub) == "" {
		return refuse("key-kind", "FIPS 186-5; SP 800-78-5 table 1", "%s is not a kind of key certified here", describeKey(pub))
	}
	if blocked.Has(KeyDigest(pub)) {
		digest := KeyDigest(pub)
		return refuse("key-blocked", "the operator's list of blocked keys", "SHA-256 of the key is %x", digest)
	}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil {
			return refuse("key-off-curve", "SP 800-186 appendix D.1.1", "the point is not on %s", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if r := checkRSA(k); r != nil {
			return r
		}
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) *Refusal {
	bits := k.N.BitLen()
	switch {
	case bits < rsaLeastBits || bits > rsaMostBits:
		return refuse("rsa-size", "SP 800-131A rev. 2 §3", "%d bits, want %d to %d", bits, rsaLeastBits, rsaMostBits)
	case k.E&1 == 0:
		return refuse("rsa-exponent-even", "FIPS 186-5 §A.1.1", "exponent %d is even", k.E)
	case k.E <= rsaLeastE:
		return refuse("rsa-exponent-small", "FIPS 186-5 §A.1.1", "exponent %d is not above 2^16", k.E)
	}
	if p := smallFactor(k.N); p != 0 {
		return refuse("rsa-small-factor", "FIPS 186-5 §A.1.1", "the modulus is divisible by %d", p)
	}
	if rocacheck.IsWeak(k) {
		return refuse("rsa-roca", "CVE-2017-15361", "the modulus has the fingerprint of a broken card library")
	}
	if closePrimes(k.N) {
		return refuse("rsa-close-primes", "FIPS 186-5 §A.1.3; CVE-2022-26320", "Fermat's method factors the modulus")
	}
	return nil
}

// smallFactor is the smallest prime below smallFactorMax dividing n, 0 if none.
func smallFactor(n *big.Int) int64 {
	var composite [smallFactorMax]bool
	var p, rest big.Int
	for i := int64(2); i < smallFactorMax; i++ {
		if composite[i] {
			continue
		}
		for j := i * i; j < smallFactorMax; j += i {
			composite[j] = true
		}
		if rest.Mod(n, p.SetInt64(i)).Sign() == 0 {
			return i
		}
	}
	return 0
}

// closePrimes tries Fermat's factorisation: n = a²-b² with a just above √n.
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) < 0 {
		a.Add(a, big.NewInt(1))
	}
	one := big.NewInt(1)
	var square, difference, root big.Int
	for range fermatRounds {
		difference.Sub(square.Mul(a, a), n)
		root.Sqrt(&difference)
		if square.Mul(&root, &root).Cmp(&difference) == 0 {
			return true
		}
		a.Add(a, one)
	}
	return false
}

func describeKey(pub crypto.PublicKey) string {
	if k, ok := pub.(*ecdsa.PublicKey); ok && k.Curve != nil {
		return "ECDSA on " + cmp.Or(k.Curve.Params().Name, "an unnamed curve")
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", pub), "*")
}

// KeyList is a set of public keys by the SHA-256 of their SubjectPublicKeyInfo.
// The zero value is empty. It is immutable.
type KeyList struct{ digests map[[sha256.Size]byte]bool }

// ParseKeyList reads one hexadecimal SHA-256 a line; blank lines and what
// follows a # are left out. An error names the line.
func ParseKeyList(r io.Reader) (KeyList, error) {
	list := KeyList{digests: map[[sha256.Size]byte]bool{}}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != sha256.Size {
			return KeyList{}, fmt.Errorf("reading blocked keys: line %d is not a SHA-256 in hexadecimal", n)
		}
		list.digests[[sha256.Size]byte(digest)] = true
	}
	if err := lines.Err(); err != nil {
		return KeyList{}, fmt.Errorf("reading blocked keys: %w", err)
	}
	return list, nil
}

// Has says whether a key of this digest is on the list.
func (l KeyList) Has(digest [sha256.Size]byte) bool { return l.digests[digest] }

// Len is the number of keys on the list.
func (l KeyList) Len() int { return len(l.digests) }

// Digest names the list's content, whatever the order it was read in.
func (l KeyList) Digest() [sha256.Size]byte {
	sorted := slices.SortedFunc(maps.Keys(l.digests), func(a, b [sha256.Size]byte) int { return slices.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, d := range sorted {
		h.Write(d[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}
