package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// The buckets inside the tree's own, and how their keys and values read. All
// numbers are big endian, so that the order of keys is the order of numbers.
//
//	entries   number(4)                           → record
//	children  parent(4) ‖ last part of the Key    → number(4)
//	counts    parent(4)                           → children(4)
//	uuids     entryUUID(16)                       → number(4)
//	index     attribute(2) ‖ value ‖ end ‖ upper(2) → chunk
//	words     word(4)                             → encoded values
//	names     attribute(2)                        → attribute description
//	issuers   issuer of certificates(32)          → normal form of its name
//	values    number(4) ‖ attribute(2) ‖ digest(16) → a value of an outlined attribute
//	history   change(8)                           → see history.go; local to this copy
//	secrets   entryUUID(16) ‖ attribute name      → verifiers
//	state     name                                → see state.go
const (
	bucketEntries  = "entries"
	bucketChildren = "children"
	bucketCounts   = "counts"
	bucketUUIDs    = "uuids"
	bucketIndex    = "index"
	bucketWords    = "words"
	bucketNames    = "names"
	bucketIssuers  = "issuers"
	bucketValues   = "values"
	bucketSecrets  = "secrets"
	bucketHistory  = "\x00history"
	bucketState    = "\x00state" // local to this copy: no part of what copies must agree on
)

func allBuckets() []string {
	return []string{bucketEntries, bucketChildren, bucketCounts, bucketUUIDs, bucketIndex,
		bucketWords, bucketNames, bucketIssuers, bucketValues, bucketSecrets, bucketState}
}

// longValue is how much of a value's normal form stands in an index key. Names
// and codes are far shorter; certificates and texts need not fill the index.
const longValue = 192

// A value in an index key: a zero octet becomes 00 FF, and the value ends with
// 00 01, or when it was cut with 00 02 and 16 octets of its SHA-256. So the
// order of keys is the order of values, and no value is a prefix of another.
func appendIndexValue(b []byte, attr uint16, normal []byte) []byte {
	b = appendIndexPrefix(b, attr, normal)
	if len(normal) <= longValue {
		return append(b, 0, 1)
	}
	sum := sha256.Sum256(normal)
	return append(append(b, 0, 2), sum[:16]...)
}

// appendIndexPrefix appends what every key of a value beginning with this
// prefix begins with.
func appendIndexPrefix(b []byte, attr uint16, prefix []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, attr)
	prefix = prefix[:min(len(prefix), longValue)]
	for {
		i := bytes.IndexByte(prefix, 0)
		if i < 0 {
			return append(b, prefix...)
		}
		b = append(append(b, prefix[:i]...), 0, 0xFF)
		prefix = prefix[i+1:]
	}
}

func appendID(b []byte, id uint32) []byte { return binary.BigEndian.AppendUint32(b, id) }

func parseID(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}
