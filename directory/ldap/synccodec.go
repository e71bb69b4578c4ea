package ldap

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"cardinal/directory"
	"cardinal/internal/ber"
)

// Object identifiers of content sync (RFC 4533) and of persistent search
// (draft-ietf-ldapext-psearch-03).
const (
	oidSyncRequest = "1.3.6.1.4.1.4203.1.9.1.1"
	oidSyncState   = "1.3.6.1.4.1.4203.1.9.1.2"
	oidSyncDone    = "1.3.6.1.4.1.4203.1.9.1.3"
	oidSyncInfo    = "1.3.6.1.4.1.4203.1.9.1.4"
	oidPersistent  = "2.16.840.1.113730.3.4.3"
	oidNotice      = "2.16.840.1.113730.3.4.7" // entry change notification
)

// The numbers of RFC 4533.
const (
	syncRefreshOnly       = 1
	syncRefreshAndPersist = 3

	syncPresent = 0
	syncAdd     = 1
	syncModify  = 2
	syncDelete  = 3

	// refreshRequired is e-syncRefreshRequired (RFC 4533 §2.6).
	refreshRequired directory.Code = 4096

	intermediateResponse ber.Tag = 0x79

	syncNewCookie      ber.Tag = 0x80
	syncRefreshDelete  ber.Tag = 0xA1
	syncRefreshPresent ber.Tag = 0xA2
	syncIDSet          ber.Tag = 0xA3
)

// syncRequest is the value of a Sync Request control (RFC 4533 §2.2). The
// reload hint is read and not used: a client whose cookie is of no use gets
// the content anew, as from slapd.
type syncRequest struct {
	persist bool
	cookie  []byte
}

func parseSyncRequest(value []byte) (*syncRequest, error) {
	top := ber.NewReader(value)
	r, err := top.Enter(ber.Sequence)
	if err != nil {
		return nil, err
	}
	mode, err := r.Int(ber.Enumerated)
	if err != nil {
		return nil, err
	}
	if mode != syncRefreshOnly && mode != syncRefreshAndPersist {
		return nil, protocolError("sync: unknown mode")
	}
	out := &syncRequest{persist: mode == syncRefreshAndPersist}
	if out.cookie, _, err = r.Optional(ber.OctetString); err != nil {
		return nil, err
	}
	if r.Peek() == ber.Boolean {
		if _, err = r.Bool(ber.Boolean); err != nil {
			return nil, err
		}
	}
	return out, top.End()
}

// syncCookie is what a cookie says. It is written as slapd's is, since a slapd
// that follows reads it and keeps nothing of it but the change sequence numbers,
// the newest of each server's:
//
//	rid=NNN,csn=TIME#COUNT#000#MOD;TIME#DIGEST#SID#DIGEST,of=DIGEST
//
// rid is the client's own. The first number names the place; 000 is the server of
// every entryCSN too, and without it a slapd would drop nothing in the end of a
// refresh. The second has the same time and is of a server whose number is made
// of the digest, as its other parts are. The digest is of who asks, what for, and
// what he may see: a cookie of another search, or of other access rights, names no
// state of this one's content. Nor does one whose numbers have different times:
// what this digest stands for was told at some time, and then something else.
type syncCookie struct {
	rid  string
	csns []string
	of   string // "" where the client keeps only the csn
}

// Limits of what a client may call a cookie: a slapd shows a number for each
// digest it ever met, of which three digits tell one from another.
const (
	maxCookies = 1 << 12
	maxCookie  = maxCookies * 48
)

func parseSyncCookie(value []byte) (c syncCookie, ok bool) {
	if len(value) > maxCookie {
		return c, false
	}
	for part := range strings.SplitSeq(string(value), ",") {
		name, rest, found := strings.Cut(part, "=")
		switch {
		case !found:
			return syncCookie{}, false
		case name == "rid":
			if n, err := strconv.Atoi(rest); err != nil || n < 0 || n > 999 || len(rest) > 3 {
				return syncCookie{}, false
			}
			c.rid = rest
		case name == "csn":
			c.csns = strings.SplitN(rest, ";", maxCookies)
		case name == "of":
			c.of = rest
		}
	}
	return c, true
}

// told is the number of the place up to which the client of a cookie was told
// things, of whatever search; "" if it is none of ours.
func (c syncCookie) told() string {
	for _, one := range c.csns {
		if _, _, ok := directory.ParseCSN(one); ok {
			return one
		}
	}
	return ""
}

// scope is the digest that cookies of one search carry.
type syncScope [16]byte

// of is the digest as text.
func (s syncScope) of() string { return hex.EncodeToString(s[:]) }

// mark is the number that goes with another: with its time.
func (s syncScope) mark(csn string) string {
	at, _, _ := strings.Cut(csn, "#")
	sid := s.of()[:3]
	if sid == "000" {
		sid = "001"
	}
	return at + "#" + s.of()[3:9] + "#" + sid + "#" + s.of()[9:15]
}

// place finds the change sequence number of this scope in a cookie, in the form
// the tree gives.
func (s syncScope) place(c syncCookie) (csn string, ok bool) {
	csn = c.told()
	if csn == "" || c.of != "" && c.of != s.of() {
		return "", false
	}
	return csn, slices.Contains(c.csns, s.mark(csn))
}

// cookie names a place to this scope's client.
func (s syncScope) cookie(rid string, csn []byte) []byte {
	if rid == "" {
		rid = "000"
	}
	return []byte("rid=" + rid + ",csn=" + string(csn) + ";" + s.mark(string(csn)) + ",of=" + s.of())
}

// voidCookie is of no scope: a client that is told it begins anew, and so does a
// slapd, which puts the number beside those that it knows, of an earlier time.
func voidCookie(rid string, csn []byte) []byte {
	if rid == "" {
		rid = "000"
	}
	return []byte("rid=" + rid + ",csn=" + string(csn))
}

func (c *controls) takeFollowing(oid string, value []byte) error {
	if oid == oidPersistent {
		return c.takePersistent(value)
	}
	return c.takeSync(value)
}

func (c *controls) takeSync(value []byte) (err error) {
	if c.sync != nil {
		return protocolError("the sync control stands twice")
	}
	c.sync, err = parseSyncRequest(value)
	return err
}

func (c *controls) takePersistent(value []byte) (err error) {
	if c.persist != nil {
		return protocolError("the persistent search control stands twice")
	}
	c.persist, err = parsePersistentSearch(value)
	return err
}

// appendSyncState appends the value of a Sync State control (RFC 4533 §2.3).
func appendSyncState(b []byte, state int64, uuid directory.UUID) []byte {
	b, mark := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Enumerated, state)
	b = ber.Append(b, ber.OctetString, uuid[:])
	return ber.End(b, mark)
}

// appendSyncDone appends the value of a Sync Done control (RFC 4533 §2.4).
func appendSyncDone(b, cookie []byte, deletes bool) []byte {
	b, mark := ber.Begin(b, ber.Sequence)
	b = appendCookie(b, cookie)
	if deletes {
		b = ber.AppendBool(b, ber.Boolean, true)
	}
	return ber.End(b, mark)
}

func appendCookie(b, cookie []byte) []byte {
	if cookie == nil {
		return b
	}
	return ber.Append(b, ber.OctetString, cookie)
}

// appendSyncInfo appends a whole Sync Info message (RFC 4533 §2.5): an
// IntermediateResponse (RFC 4511 §4.13) whose value write appends.
func appendSyncInfo(b []byte, id int64, write func(b []byte) []byte) []byte {
	b, message := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Integer, id)
	b, body := ber.Begin(b, intermediateResponse)
	b = ber.AppendString(b, ber.Context, oidSyncInfo)
	b, value := ber.Begin(b, ber.Context|1)
	b = write(b)
	return ber.End(ber.End(ber.End(b, value), body), message)
}

// appendRefreshDone appends the end of the refresh stage: refreshDelete or
// refreshPresent with refreshDone, which is true by default.
func appendRefreshDone(b []byte, id int64, tag ber.Tag, cookie []byte) []byte {
	return appendSyncInfo(b, id, func(b []byte) []byte {
		b, mark := ber.Begin(b, tag)
		return ber.End(appendCookie(b, cookie), mark)
	})
}

// appendPresent appends a syncIdSet of entries that are as they were.
func appendPresent(b []byte, id int64, uuids []directory.UUID) []byte {
	return appendSyncInfo(b, id, func(b []byte) []byte {
		b, mark := ber.Begin(b, syncIDSet)
		b, set := ber.Begin(b, ber.Set)
		for i := range uuids {
			b = ber.Append(b, ber.OctetString, uuids[i][:])
		}
		return ber.End(ber.End(b, set), mark)
	})
}

// persistentSearch is the value of the control of that name
// (draft-ietf-ldapext-psearch-03 §3).
type persistentSearch struct {
	types       int64 // of changes, added up
	changesOnly bool
	notices     bool // an entry change notification with each entry
}

// The types of change (draft-ietf-ldapext-psearch-03 §4).
const (
	psearchAdd    = 1
	psearchDelete = 2
	psearchModify = 4
	psearchModDN  = 8
	psearchAll    = 15
)

func parsePersistentSearch(value []byte) (*persistentSearch, error) {
	top := ber.NewReader(value)
	r, err := top.Enter(ber.Sequence)
	if err != nil {
		return nil, err
	}
	out := &persistentSearch{}
	if out.types, err = r.Int(ber.Integer); err != nil {
		return nil, err
	}
	if out.types < 1 || out.types > psearchAll {
		return nil, protocolError("persistent search: unknown types of change")
	}
	if out.changesOnly, err = r.Bool(ber.Boolean); err != nil {
		return nil, err
	}
	if out.notices, err = r.Bool(ber.Boolean); err != nil {
		return nil, err
	}
	return out, top.End()
}

// appendNotice appends the value of an Entry Change Notification control
// (draft-ietf-ldapext-psearch-03 §5).
func appendNotice(b []byte, kind int64, previous string, number uint64) []byte {
	b, mark := ber.Begin(b, ber.Sequence)
	b = ber.AppendInt(b, ber.Enumerated, kind)
	if kind == psearchModDN {
		b = ber.AppendString(b, ber.OctetString, previous)
	}
	b = ber.AppendInt(b, ber.Integer, int64(number))
	return ber.End(b, mark)
}
