package ca

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// A shard's list of which little has changed is made of the one before: its
// entries, as they were published, and over them what changed since then, as
// for a delta (RFC 5280 §5.2.4). It differs from one made of the register's
// rows in that certificates that ended meanwhile stay on it, which §3.3 allows;
// at least once an interval a list is made of the rows. How many entries it has
// is held against the register's count as for any list, and it is read back
// like any. After a start the first may be made of what an earlier process
// published, if all of that is as the guard would have it.
const (
	// mergeLeast is the shortest list for which that is worth it, in octets,
	// mergeMost the longest that is held in memory for it.
	mergeLeast = 32 << 10
	mergeMost  = 16 << 20
	// mergePart: of a list of which more than this part changed the rows are as
	// soon read.
	mergePart = 4
)

// lastMade remembers what this process published last of each list.
type lastMade struct {
	mu    sync.Mutex
	of    map[listOf]madeHere
	begun time.Time // when it was first asked
}

// madeHere is a list this process made; the zero value is one it tried to.
type madeHere struct {
	number  uint64
	content journal.Hash
	rows    time.Time // when one was made of the register's rows
	bare    bool      // it was not packed, for want of time
}

func (l *lastMade) get(name listOf) madeHere {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[name]
}

// orBegun is get, and of a list this process has not tried to make since when it
// might have.
func (l *lastMade) orBegun(name listOf) (last madeHere, tried bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	if last, tried = l.of[name]; !tried {
		last.rows = l.begun
	}
	return last, tried
}

// put notes what became of drafts: after an error the next are made of rows.
func (l *lastMade) put(drafts []*draft, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[listOf]madeHere{}
	}
	for _, d := range drafts {
		switch {
		case d == nil:
		case err != nil:
			l.of[listOf{d.at.id, d.which}] = madeHere{}
		default:
			l.of[listOf{d.at.id, d.which}] = madeHere{d.made.Number, d.made.Content, d.rows, d.bare}
		}
	}
}

// collectAgain is collect, of the list before and what changed where that may be.
func (a *Authority) collectAgain(tx *ledger.Tx, d *draft, e *encoder, p *plan) (*encoded, error) {
	old, rows := a.mergeable(tx, d, p)
	if old == nil {
		return a.collect(tx, d, e, p)
	}
	d.rows = rows
	e.entries = func(yield func(register.Entry) error) error {
		return register.Changed(tx, register.Since{Issuer: d.at.id, Which: d.which, At: p.state.List.ThisUpdate}, yield)
	}
	list, err := e.merge(old)
	if errors.Is(err, errMerge) {
		return a.collect(tx, d, e, p)
	}
	return list, err
}

// mergeable gives the entries of the list before, encoded, if the next may be
// made of them, and when they were last made of rows; else nil.
func (a *Authority) mergeable(tx *ledger.Tx, d *draft, p *plan) (old []byte, rows time.Time) {
	last, tried := a.last.orBegun(listOf{d.at.id, d.which})
	s := &p.state.List
	if d.which.Kind != certs.ListShard || d.which.Delta || s.Number == 0 || s.Size < mergeLeast || s.Size > mergeMost ||
		tried && (s.Number != last.number || s.Content != last.content) || time.Since(last.rows) > a.Lists.Interval ||
		p.state.Changes-p.state.Listed > uint64(p.state.Entries)/mergePart {
		return nil, time.Time{}
	}
	list, err := tx.Content(s.Content)
	if err == nil && !tried {
		err = a.sound(list, d, p)
	}
	switch {
	case err == nil:
		return entriesIn(list), last.rows
	case tx.Context().Err() == nil:
		a.Logger.Warn("a list is made of the register's rows, since the one before does not serve", "issuer", d.at.name,
			"list", d.which.String(), "number", s.Number, "error", err)
	}
	return nil, time.Time{}
}

// sound judges the list before as the guard did when it was published: what is
// made of it stands on its signature.
func (a *Authority) sound(list []byte, d *draft, p *plan) error {
	s := &p.state.List
	was := a.headerOf(d.at, d.which, &plan{state: p.state, number: s.Number, asOf: s.ThisUpdate})
	was.nextUpdate = s.NextUpdate
	return checkList(bytes.NewReader(list), d.at.Issuer.Certificate, was, p.state.Entries)
}

// entriesIn gives the contents of revokedCertificates of a CertificateList;
// nil if there are none.
func entriesIn(list []byte) []byte {
	in := cryptobyte.String(list)
	var entries cryptobyte.String
	for range 2 { // CertificateList, tbsCertList
		if !in.ReadASN1(&in, cbasn1.SEQUENCE) {
			return nil
		}
	}
	if !in.SkipASN1(cbasn1.INTEGER) || !in.SkipASN1(cbasn1.SEQUENCE) || !in.SkipASN1(cbasn1.SEQUENCE) { // version, signature, issuer
		return nil
	}
	for range 2 { // thisUpdate, nextUpdate
		if !in.SkipOptionalASN1(cbasn1.UTCTime) || !in.SkipOptionalASN1(cbasn1.GeneralizedTime) {
			return nil
		}
	}
	if !in.ReadASN1(&entries, cbasn1.SEQUENCE) {
		return nil
	}
	return entries
}

// errMerge: the entries of the list before are not what they must be.
var errMerge = errors.New("the entries of the list before cannot be read")

// merge is collect for what changed since old: each entry takes the place of
// the one with its serial, and one of a good status takes it away.
func (e *encoder) merge(old []byte) (*encoded, error) {
	out := &encoded{spool: spool{dir: e.tempDir}}
	dates := &calendar{}
	room := make([]byte, 0, maxEntry)
	err := e.entries(func(entry register.Entry) error {
		n, same, err := out.before(old, entry.Serial)
		if err != nil {
			return err
		}
		old = old[n+same:]
		if entry.Status.State == certs.StateGood {
			return nil
		}
		out.count++
		room = dates.appendEntry(room[:0], &entry)
		_, err = out.Write(room)
		return err
	})
	if err == nil {
		_, _, err = out.before(old, "")
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// before copies the entries of old whose serials are less than one, or all for
// "", and says how long they are, and how long the one that follows if it is
// of this serial.
func (out *encoded) before(old []byte, serial certs.Serial) (n, same int, err error) {
	for n < len(old) {
		at, size := entryAt(old[n:])
		if size == 0 {
			return 0, 0, errMerge
		}
		if order := strings.Compare(string(at), string(serial)); serial != "" && order >= 0 {
			if order == 0 {
				same = size
			}
			break
		}
		n += size
		out.count++
	}
	_, err = out.Write(old[:n])
	return n, same, err
}

// entryAt gives the serial of the first entry, as the register has it, and the
// entry's length; 0 if it is not one that appendEntry wrote.
func entryAt(b []byte) (serial []byte, size int) {
	if len(b) < 5 || b[0] != 0x30 || b[1] >= 0x80 || b[2] != 0x02 {
		return nil, 0
	}
	size = 2 + int(b[1])
	end := 4 + int(b[3])
	if b[3] == 0 || end > size || size > len(b) {
		return nil, 0
	}
	if serial = b[4:end]; serial[0] == 0 {
		serial = serial[1:]
	}
	return serial, size
}
