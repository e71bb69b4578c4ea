package ocsp

import "bytes"

// head is the request line and header of an OCSP request over HTTP/1.1 in its
// plainest form, the one nearly every client sends. The slices are parts of
// what was parsed.
//
// It is no HTTP parser: it knows what it may take, and everything else is for
// net/http to judge. What it takes is a strict part of what RFC 9112 allows, so
// that no two readers of the same bytes can disagree about where a request ends
// (request smuggling): a target in origin form without a query, lines that end
// in CRLF, field names of letters, digits and hyphens, visible ASCII in values,
// exactly one Host, one Content-Length of plain digits with POST and none
// otherwise, and no Transfer-Encoding, Expect, Upgrade or Trailer.
type head struct {
	method    method
	path      []byte // of the target, behind /ocsp
	body      int    // octets
	size      int    // octets of line and header
	last      bool   // the client wants the connection closed after the answer
	noneMatch []byte
	since     []byte // If-Modified-Since

	hosts, lengths int
}

type method uint8

const (
	methodGet method = iota + 1
	methodHead
	methodPost
)

// verdict is what became of bytes that may be a head.
type verdict uint8

const (
	headTaken   verdict = iota
	headPartial         // more may make it one
	headOther           // not one of the plain form, or none at all
)

// parse reads a head from the start of b. The verdict "other" comes as early as
// it can be told, so that a connection for something else is not kept waiting.
func (h *head) parse(b []byte) verdict {
	*h = head{}
	start := ""
	switch b[0] {
	case 'G':
		h.method, start = methodGet, "GET /ocsp"
	case 'H':
		h.method, start = methodHead, "HEAD /ocsp"
	case 'P':
		h.method, start = methodPost, "POST /ocsp"
	}
	n := min(len(start), len(b))
	switch {
	case n == 0 || string(b[:n]) != start[:n]:
		return headOther
	case n < len(start):
		return headPartial
	}
	return h.parseLines(b, n)
}

func (h *head) parseLines(b []byte, at int) verdict {
	line, next := cutLine(b, at)
	if next < 0 {
		return headPartial
	}
	if !h.readTarget(line) {
		return headOther
	}
	for {
		if line, next = cutLine(b, next); next < 0 {
			return headPartial
		}
		if len(line) == 0 {
			break
		}
		if !h.readField(line) {
			return headOther
		}
	}
	h.size = next
	if h.hosts != 1 || (h.method == methodPost) != (h.lengths == 1) {
		return headOther
	}
	return headTaken
}

// cutLine gives the line from at to the next CRLF, and where the one behind it
// begins: -1 when it has no end yet. A line that ends in a bare LF keeps it, and
// is refused by whoever reads it.
func cutLine(b []byte, at int) (line []byte, next int) {
	n := bytes.IndexByte(b[at:], '\n')
	if n < 0 {
		return nil, -1
	}
	next = at + n + 1
	if n > 0 && b[next-2] == '\r' {
		return b[at : next-2], next
	}
	return b[at:next], next
}

// readTarget reads what stands in the request line behind "METHOD /ocsp".
func (h *head) readTarget(line []byte) bool {
	const version = " HTTP/1.1"
	path, ok := bytes.CutSuffix(line, []byte(version))
	if !ok || len(path) > 0 && path[0] != '/' {
		return false
	}
	for _, c := range path {
		if c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			return false
		}
	}
	h.path = path
	return true
}

func (h *head) readField(line []byte) bool {
	n := 0
	for n < len(line) && isNameOctet(line[n]) {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		return false
	}
	name, value := line[:n], line[n+1:]
	for _, c := range value {
		if (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return h.take(name, bytes.Trim(value, " \t"))
}

func isNameOctet(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// take heeds the fields that matter to how a request is read or answered.
func (h *head) take(name, value []byte) bool {
	switch len(name) {
	case len("host"):
		if equalFold(name, "host") {
			h.hosts++
			return plainHost(value)
		}
	case len("expect"):
		return !equalFold(name, "expect")
	case len("upgrade"):
		return !equalFold(name, "upgrade") && !equalFold(name, "trailer")
	case len("connection"):
		if equalFold(name, "connection") {
			h.last = h.last || equalFold(value, "close")
			return h.last || equalFold(value, "keep-alive")
		}
	case len("if-none-match"):
		if equalFold(name, "if-none-match") {
			known := h.noneMatch != nil
			h.noneMatch = value
			return !known && len(value) > 0
		}
	case len("content-length"):
		if equalFold(name, "content-length") {
			h.lengths++
			return h.readLength(value)
		}
	case len("transfer-encoding"): // and if-modified-since
		if equalFold(name, "if-modified-since") {
			known := h.since != nil
			h.since = value
			return !known && len(value) > 0
		}
		return !equalFold(name, "transfer-encoding")
	}
	return true
}

// plainHost: a name or an address, with a port or without (RFC 9110 §7.2).
func plainHost(value []byte) bool {
	for _, c := range value {
		if !isNameOctet(c) && c != '.' && c != ':' && c != '[' && c != ']' && c != '_' {
			return false
		}
	}
	return len(value) > 0
}

func (h *head) readLength(value []byte) bool {
	if len(value) == 0 || len(value) > 6 {
		return false
	}
	h.body = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		h.body = h.body*10 + int(c-'0')
	}
	return true
}

// equalFold compares with a text in lower case; letters and hyphens only.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}
