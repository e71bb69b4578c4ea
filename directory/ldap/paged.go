package ldap

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"cardinal/internal/ber"
)

// A cookie of the paged results control (RFC 2696) is the number of the last
// entry looked at and a keyed digest that ties it to who asks and to what was
// asked. It resumes by number, so entries added or removed meanwhile neither
// repeat nor hide others, and the server keeps nothing for a paged search.
const cookieLength = 4 + 16

func (q *searching) pageSize() int {
	return min(q.controls.paged.size, q.conn.server.config.Limits.MaxSize)
}

// openCookie returns the number to go on after. A size of zero with a cookie
// ends a paged search: there is nothing to give up here.
func (q *searching) openCookie() (uint32, error) {
	p := q.controls.paged
	if len(p.cookie) == 0 {
		return 0, nil
	}
	if len(p.cookie) != cookieLength || !hmac.Equal(p.cookie, q.cookie(binary.BigEndian.Uint32(p.cookie))) {
		return 0, protocolError("paged results: the cookie is not of this search")
	}
	return binary.BigEndian.Uint32(p.cookie), nil
}

func (q *searching) cookie(last uint32) []byte {
	c := binary.BigEndian.AppendUint32(make([]byte, 0, cookieLength), last)
	m := hmac.New(sha256.New, q.conn.server.pagedKey[:])
	for _, part := range [][]byte{c, []byte(q.conn.who.Key), []byte(q.base), {byte(q.scope)}, q.rawFilter} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return append(c, m.Sum(nil)[:16]...)
}

// appendPaged appends the response control: an empty cookie after the last
// page. The size is left unknown.
func (q *searching) appendPaged(b []byte) []byte {
	var cookie []byte
	if q.stop == stopPage && q.controls.paged.size > 0 {
		cookie = q.cookie(q.scan.Last())
	}
	v, mark := ber.Begin(nil, ber.Sequence)
	v = ber.AppendInt(v, ber.Integer, 0)
	v = ber.Append(v, ber.OctetString, cookie)
	return appendControl(b, oidPaged, ber.End(v, mark))
}
