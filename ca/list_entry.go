package ca

import (
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
)

// maxEntry is the longest element of revokedCertificates: its header, a serial
// of 20 octets and a sign, a date, and both extensions.
const maxEntry = 2 + 23 + 17 + 40

// calendar remembers how days are written, since a list of a million entries
// names the same thousand days, and what the last entry said behind its serial.
// The zero value is empty.
type calendar struct {
	days [1 << 11]struct {
		day  int64 // since 1970, plus one
		text [8]byte
	}
	status certs.Status
	said   []byte
}

// secondsADay are those of a day without leap seconds, as Unix time has them.
const secondsADay = 24 * 60 * 60

// day gives the day of t as it is written, and the second of the day.
func (c *calendar) day(t time.Time) (text *[8]byte, second int) {
	unix := t.Unix()
	day := unix / secondsADay
	second = int(unix - day*secondsADay)
	if second < 0 {
		day, second = day-1, second+secondsADay
	}
	kept := &c.days[uint64(day)%uint64(len(c.days))]
	if kept.day != day+1 {
		kept.day = day + 1
		t.UTC().AppendFormat(kept.text[:0], "20060102")
	}
	return &kept.text, second
}

// appendEntry appends one element of revokedCertificates: the serial, the
// revocation date and, as extensions, the reason unless it is unspecified
// (RFC 5280 §5.3.1) and the invalidity date when there is one (§5.3.2). What
// was released is removeFromCRL, which deltas alone say.
func (c *calendar) appendEntry(b []byte, e *register.Entry) []byte {
	if e.Status != c.status || len(c.said) == 0 { // what an order did, many say alike
		c.status = e.Status
		c.said = c.appendEntryExtensions(c.appendTime(c.said[:0], e.Status.At), &e.Status)
	}
	sign := int(e.Serial[0] >> 7)
	n := len(e.Serial) + sign
	b = append(b, 0x30, byte(2+n+len(c.said)), 0x02, byte(n))
	if sign > 0 {
		b = append(b, 0)
	}
	b = append(b, e.Serial...)
	return append(b, c.said...)
}

func (c *calendar) appendEntryExtensions(b []byte, s *certs.Status) []byte {
	reason := s.Reason
	if s.State == certs.StateGood {
		reason = certs.ReasonRemoveFromCRL
	}
	n := 0
	if reason != certs.ReasonUnspecified {
		n = 12
	}
	if !s.Invalidity.IsZero() {
		n += 26
	}
	if n == 0 {
		return b
	}
	b = append(b, 0x30, byte(n))
	if reason != certs.ReasonUnspecified {
		b = append(b, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, byte(reason))
	}
	if !s.Invalidity.IsZero() {
		b = append(b, 0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11)
		b = c.appendGeneralized(b, s.Invalidity)
	}
	return b
}

// appendTime writes UTCTime through 2049 and GeneralizedTime after (RFC 5280
// §5.1.2.4).
func (c *calendar) appendTime(b []byte, t time.Time) []byte {
	text, second := c.day(t)
	if century := string(text[:2]); (century != "20" || text[2] >= '5') && (century != "19" || text[2] < '5') {
		return c.appendGeneralized(b, t)
	}
	b = append(b, 0x17, 13, text[2], text[3], text[4], text[5], text[6], text[7])
	return appendClock(b, second)
}

// appendGeneralized writes a GeneralizedTime.
func (c *calendar) appendGeneralized(b []byte, t time.Time) []byte {
	text, second := c.day(t)
	b = append(b, 0x18, 15)
	b = append(b, text[:]...)
	return appendClock(b, second)
}

// appendClock writes HHMMSSZ.
func appendClock(b []byte, second int) []byte {
	h, m, s := second/3600, second/60%60, second%60
	return append(b, byte('0'+h/10), byte('0'+h%10), byte('0'+m/10), byte('0'+m%10), byte('0'+s/10), byte('0'+s%10), 'Z')
}
