package ldap

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// A cookie of the paged results control (RFC 2696) says where the page before
// ended, and carries a keyed digest that ties it to who asks and to what was
// asked. In a plain search that is the number of the last entry looked at, in
// a sorted one the sort key of the last entry shown. So entries added, removed
// or changed meanwhile neither repeat nor hide others, and the server keeps
// nothing for a paged search.
//
//	1 octet    'n' or 's': which of the two
//	1 octet    why a search that asked for an order has none; 0: it has
//	4 octets   entries shown on the pages before
//	4 octets or more   the number, or the key
//	16 octets  the digest
type place struct {
	number   uint32
	key      []byte
	unsorted directory.Code
	shown    int
}

const (
	cookieHead   = 1 + 1 + 4
	cookieDigest = 16
)

func (q *searching) pageSize() int {
	return min(q.controls.paged.size, q.most)
}

// openCookie finds the place to go on from. A size of zero with a cookie ends
// a paged search: there is nothing to give up here.
func (q *searching) openCookie() (p place, err error) {
	cookie := q.controls.paged.cookie
	if len(cookie) == 0 {
		return p, nil
	}
	foreign := protocolError("paged results: the cookie is not of this search")
	at := len(cookie) - cookieDigest
	if at < cookieHead+4 || !hmac.Equal(cookie[at:], q.seal(cookie[:at])) {
		return p, foreign
	}
	p.unsorted, p.shown = directory.Code(cookie[1]), int(binary.BigEndian.Uint32(cookie[2:]))
	rest := cookie[cookieHead:at]
	if cookie[0] == 's' {
		p.key = rest
		return p, nil
	}
	p.number = binary.BigEndian.Uint32(rest)
	return p, nil
}

// cookie makes the one for the page after this.
func (q *searching) cookie() []byte {
	c := make([]byte, cookieHead, 64)
	c[0] = 'n'
	if q.controls.sorting != nil {
		c[1] = byte(q.controls.sorting.code)
	}
	binary.BigEndian.PutUint32(c[2:], uint32(min(q.page.shown+q.sent, 1<<32-1)))
	if q.list != nil {
		c[0] = 's'
		c = append(c, q.list.last...)
	} else {
		c = binary.BigEndian.AppendUint32(c, q.scan.Last())
	}
	return append(c, q.seal(c)...)
}

// seal is the digest of what belongs to this search alone.
func (q *searching) seal(what []byte) []byte {
	m := hmac.New(sha256.New, q.conn.server.pagedKey[:])
	parts := [][]byte{what, []byte(q.conn.who.Key), []byte(q.conn.who.Name), []byte(q.conn.conn.who.Key), []byte(q.base),
		{byte(q.scope), byte(q.controls.subentries), flag(q.controls.manage)}, q.rawFilter, nil}
	if q.controls.sorting != nil {
		parts[len(parts)-1] = q.controls.sorting.value
	}
	for _, part := range parts {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return m.Sum(nil)[:cookieDigest]
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// appendPaged appends the response control: an empty cookie after the last
// page. The size is told when all entries were looked at to sort them, and is
// unknown otherwise: an estimate from the indexes would count what the asker
// may not see.
func (q *searching) appendPaged(b []byte) []byte {
	var cookie []byte
	if q.stop == stopPage && q.controls.paged.size > 0 {
		cookie = q.cookie()
	}
	size := 0
	if q.list != nil {
		size = q.list.total
	}
	v, mark := ber.Begin(nil, ber.Sequence)
	v = ber.AppendInt(v, ber.Integer, int64(size))
	v = ber.Append(v, ber.OctetString, cookie)
	return appendControl(b, oidPaged, ber.End(v, mark))
}
