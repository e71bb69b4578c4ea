package certs

import (
	"fmt"
	"strconv"
	"strings"
)

// ListKind is which certificates of an issuer a list is about.
type ListKind uint8

// The kinds. The numbers stand in journal bodies and tables and never change.
const (
	// ListShard is about the certificates that name it (RFC 5280 §4.2.1.13).
	ListShard ListKind = 0
	// ListFull is about every certificate of the issuer.
	ListFull ListKind = 1
	// ListArchive is ListFull with what has ended (X.509 §8.5.2.12,
	// expiredCertsOnCRL): for signatures judged years later.
	ListArchive ListKind = 2
)

// ListName says which list of an issuer is meant. Delta is the list of what
// changed since an earlier complete one of the same kind and shard
// (RFC 5280 §5.2.4). Shard is 0 but for ListShard.
type ListName struct {
	Kind  ListKind
	Shard uint16
	Delta bool
}

// ShardList is the complete list of a shard.
func ShardList(shard uint16) ListName { return ListName{Shard: shard} }

const (
	fileFull     = "full"
	fileArchive  = "archive"
	deltaBehind  = "-delta"
	listFileEnds = ".crl"
)

// String is the name as it stands in URLs: 7, 7-delta, full, full-delta,
// archive.
func (n ListName) String() string {
	name := ""
	switch n.Kind {
	case ListShard:
		name = strconv.Itoa(int(n.Shard))
	case ListFull:
		name = fileFull
	case ListArchive:
		name = fileArchive
	default:
		name = fmt.Sprintf("kind(%d)", n.Kind)
	}
	if n.Delta {
		name += deltaBehind
	}
	return name
}

// Valid reports whether there can be such a list: archives have no deltas, and
// shards alone are numbered.
func (n ListName) Valid() bool {
	return n.Kind <= ListArchive && (n.Kind == ListShard || n.Shard == 0) && (n.Kind != ListArchive || !n.Delta)
}

// ParseListName reads what String writes. There is one spelling of each, so
// that a list has one URL.
func ParseListName(text string) (ListName, bool) {
	var n ListName
	whole := text
	text, n.Delta = strings.CutSuffix(text, deltaBehind)
	switch text {
	case fileFull:
		n.Kind = ListFull
	case fileArchive:
		n.Kind = ListArchive
	default:
		shard, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return ListName{}, false
		}
		n.Shard = uint16(shard)
	}
	return n, n.Valid() && n.String() == whole
}

// ListPath is the path of a list below the public URL, and of the name of its
// issuer (never of its key: a later generation has a name of its own).
func ListPath(issuer string, n ListName) string {
	return "/crl/" + issuer + "/" + n.String() + listFileEnds
}

// ParseListPath reads what ListPath writes.
func ParseListPath(path string) (issuer string, n ListName, ok bool) {
	rest, ok := strings.CutPrefix(path, "/crl/")
	if !ok {
		return "", n, false
	}
	issuer, file, ok := strings.Cut(rest, "/")
	name, isList := strings.CutSuffix(file, listFileEnds)
	if !ok || !isList || issuer == "" {
		return "", n, false
	}
	n, ok = ParseListName(name)
	return issuer, n, ok
}
