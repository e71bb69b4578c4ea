package ocsp

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// What an answer to a GET says to HTTP caches (RFC 9919 §6), and when one that
// a client holds is confirmed.

// tagOctets is how much of the end of a signature names an answer.
const tagOctets = 16

func (a *answer) appendETag(b []byte) []byte {
	b = append(b, '"')
	b = hex.AppendEncode(b, a.bytes[len(a.bytes)-tagOctets:])
	return append(b, '"')
}

// mayAge is how long caches may keep the answer from now on.
func (a *answer) mayAge(now time.Time) time.Duration {
	return max(0, min(a.maxAge, a.nextUpdate.Sub(now)))
}

func (a *answer) appendControl(b []byte, now time.Time) []byte {
	if a.maxAge <= 0 {
		return append(b, "no-cache"...)
	}
	b = strconv.AppendInt(append(b, "max-age="...), int64(a.mayAge(now)/time.Second), 10)
	return append(b, ",public,no-transform,must-revalidate"...)
}

// confirmed reports whether the client's copy, by its tags or else by its date, says what this answer says.
func (a *answer) confirmed(tags, since []byte) bool {
	if len(tags) > 0 {
		var room [2*tagOctets + 2]byte
		return namesTag(tags, a.appendETag(room[:0]))
	}
	// A second is too coarse to tell two answers apart, so only "good" may be confirmed by date: a client that holds
	// "good" of that second or later and is told "not modified" knows what is true now.
	if len(since) == 0 || a.result != resultGood {
		return false
	}
	t, err := http.ParseTime(string(since))
	return err == nil && !a.thisUpdate.After(t)
}

// namesTag looks for a tag in the value of If-None-Match (RFC 9110 §13.1.2).
func namesTag(tags, tag []byte) bool {
	for one := range bytes.SplitSeq(tags, []byte(",")) {
		one = bytes.TrimPrefix(bytes.TrimSpace(one), []byte("W/"))
		if bytes.Equal(one, tag) || string(one) == "*" {
			return true
		}
	}
	return false
}
