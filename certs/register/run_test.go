package register_test

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/ledger/pgtest"
)

// mass is many certificates, and what their statuses are to be: as the journal
// tells them.
type mass struct {
	*world
	*rand.Rand
	refs   []certs.Ref // by serial
	shard  map[certs.Ref]uint16
	ends   map[certs.Ref]time.Time
	is     map[certs.Ref]certs.StatusChange
	at     map[certs.Ref]time.Time
	told   journal.Position
	moment []time.Time // of each write
}

func newMass(w *world, n int, seed uint64) *mass {
	w.Helper()
	m := &mass{world: w, Rand: rand.New(rand.NewPCG(seed, 1)), shard: map[certs.Ref]uint16{}, ends: map[certs.Ref]time.Time{},
		is: map[certs.Ref]certs.StatusChange{}, at: map[certs.Ref]time.Time{}}
	w.must(func(tx *ledger.Tx) error {
		m.refs = nil
		for i := range n {
			serial := binary.BigEndian.AppendUint32([]byte{1}, uint32(i*3+1)) // others come in between
			ref := certs.Ref{Issuer: w.issuer, Serial: certs.Serial(append(serial, make([]byte, m.IntN(12))...))}
			m.shard[ref], m.ends[ref] = uint16(m.IntN(3)), tx.Time().Truncate(time.Second).Add(time.Duration(m.IntN(1000)-200)*time.Hour)
			tx.Defer(`INSERT INTO certs_serial (issuer, serial, state, profile, holder, card, request, shard, key_digest, policy, tbs_hash, not_before, not_after, reserved, why)
				VALUES ($1, $2, 1, 'signature', '900000000017', '', '', $3, $2, $2, $2, 0, $4, 0, '')`, journal.Hash(w.issuer), []byte(ref.Serial), m.shard[ref], m.ends[ref])
			m.refs = append(m.refs, ref)
		}
		return nil
	})
	return m
}

// some picks certificates: one, some anywhere, or most of a range.
func (m *mass) some() []certs.Ref {
	switch m.IntN(4) {
	case 0:
		return []certs.Ref{m.refs[m.IntN(len(m.refs))]}
	case 1:
		var out []certs.Ref
		for range m.IntN(40) {
			out = append(out, m.refs[m.IntN(len(m.refs))])
		}
		return out
	}
	from := m.IntN(len(m.refs))
	out := slices.Clone(m.refs[from:min(len(m.refs), from+m.IntN(300))])
	return slices.DeleteFunc(out, func(certs.Ref) bool { return m.IntN(12) == 0 })
}

// turn has some certificates change, as far as they may, by one of the ways
// there are.
func (m *mass) turn() {
	m.Helper()
	to := []certs.Status{certs.Held(), certs.Held(), {}, certs.Revoked(certs.ReasonSuperseded), certs.Revoked(certs.ReasonKeyCompromise)}[m.IntN(5)]
	refs, apart, at := m.some(), m.IntN(2) == 0, m.now
	m.must(func(tx *ledger.Tx) error {
		many, err := register.ReadMany(tx, refs)
		if err != nil {
			return err
		}
		may := slices.DeleteFunc(slices.Clone(refs), func(r certs.Ref) bool { return !many.Allows(r, to) })
		switch {
		case len(may) > 3 || apart && len(may) > 0:
			return many.In(tx).Change(may, to)
		case to.State == certs.StateGood:
			return register.Release(tx, may)
		case len(may) > 0:
			return register.SetStatus(tx, may, to)
		}
		return nil
	})
	m.moment = append(m.moment, at)
	m.follow()
	m.now = m.now.Add(time.Duration(m.IntN(30)) * time.Second)
}

// follow reads what the journal says.
func (m *mass) follow() {
	m.Helper()
	for {
		changes, err := m.ledger.Feed().Read(m.Context(), m.told, 1000)
		if err != nil {
			m.Fatal(err)
		}
		if len(changes) == 0 {
			return
		}
		for _, c := range changes {
			m.told = c.Position
			if c.Kind != journal.KindStatusChanged {
				continue
			}
			s, err := certs.ParseStatusChange(c.Body)
			if err != nil {
				m.Fatal(err)
			}
			for _, serial := range s.Serials {
				ref := certs.Ref{Issuer: s.Issuer, Serial: serial}
				m.is[ref], m.at[ref] = certs.StatusChange{Status: s.Status}, c.Time
			}
		}
	}
}

// compare asks for every status in every way.
func (m *mass) compare() {
	m.Helper()
	m.read(func(tx *ledger.Tx) error {
		many, err := register.ReadMany(tx, m.refs)
		if err != nil {
			return err
		}
		few, err := register.ReadMany(tx, m.some())
		if err != nil {
			return err
		}
		for i, ref := range m.refs {
			want := m.is[ref].Status
			if got, known := many.Status(ref); !known || !got.Equal(want) {
				m.Fatalf("%s is %+v together with all (%v), want %+v", ref, got, known, want)
			}
			if got, known := few.Status(ref); known && !got.Equal(want) {
				m.Fatalf("%s is %+v together with some, want %+v", ref, got, want)
			}
			if i%7 > 0 {
				continue
			}
			c, err := register.CertificateOf(tx, ref)
			if err != nil || !c.Status.Equal(want) || !c.Changed.Equal(m.at[ref]) {
				m.Fatalf("%s alone is %+v since %s, want %+v since %s: %v", ref, c.Status, c.Changed, want, m.at[ref], err)
			}
			if got, err := register.StatusOf(tx, ref); err != nil || !got.Equal(want) {
				m.Fatalf("%s alone is %+v, want %+v: %v", ref, got, want, err)
			}
		}
		return errors.Join(m.compareLists(tx), m.compareStandings(tx))
	})
}

// compareStandings demands one place for each.
func (m *mass) compareStandings(tx *ledger.Tx) error {
	seen := map[certs.Ref]bool{}
	err := register.Standings(tx, func(s register.Standing) error {
		if seen[s.Ref] || !s.Status.Equal(m.is[s.Ref].Status) || s.Shard != m.shard[s.Ref] || !s.Ends.Equal(m.ends[s.Ref]) || !s.Changed.Equal(m.at[s.Ref]) {
			return fmt.Errorf("%+v stands there, twice: %v", s, seen[s.Ref])
		}
		seen[s.Ref] = true
		return nil
	})
	if err == nil && len(seen) != len(m.is) {
		err = fmt.Errorf("%d statuses stand there, want %d", len(seen), len(m.is))
	}
	return err
}

// want gives the entries of those that fit, as a list tells them.
func (m *mass) want(fits func(certs.Ref, certs.Status) bool) []string {
	refs := slices.DeleteFunc(slices.Clone(m.refs), func(r certs.Ref) bool { return !fits(r, m.is[r].Status) })
	slices.SortStableFunc(refs, func(a, b certs.Ref) int {
		return cmp.Or(cmp.Compare(m.shard[a], m.shard[b]), cmp.Compare(a.Serial, b.Serial))
	})
	var out []string
	for _, r := range refs {
		s := m.is[r].Status
		if s.State == certs.StateGood {
			s.At = m.at[r]
		}
		out = append(out, fmt.Sprint(r.Serial, s))
	}
	return out
}

func (m *mass) compareLists(tx *ledger.Tx) error {
	since := m.moment[m.IntN(len(m.moment))]
	for _, which := range []certs.ListName{certs.ShardList(0), certs.ShardList(1), certs.ShardList(2), {Kind: certs.ListFull}} {
		about := func(r certs.Ref) bool { return which.Kind != certs.ListShard || m.shard[r] == which.Shard }
		var got, changed, archived []string
		into := func(to *[]string) func(register.Entry) error {
			return func(e register.Entry) error {
				*to = append(*to, fmt.Sprint(e.Serial, e.Status))
				return nil
			}
		}
		err := errors.Join(register.Revoked(tx, m.issuer, which, into(&got)), register.Archived(tx, m.issuer, since, into(&archived)),
			register.Changed(tx, register.Since{Issuer: m.issuer, Which: which, At: since}, into(&changed)))
		if err != nil {
			return err
		}
		if want := m.want(func(r certs.Ref, s certs.Status) bool { return about(r) && s.State != certs.StateGood }); !slices.Equal(got, want) {
			return fmt.Errorf("list %s has %d entries, want %d", which, len(got), len(want))
		}
		if want := m.want(func(r certs.Ref, s certs.Status) bool { return s.State != certs.StateGood && !m.ends[r].Before(since) }); !slices.Equal(archived, want) {
			return fmt.Errorf("the archive has %d entries, want %d", len(archived), len(want))
		}
		if want := m.want(func(r certs.Ref, _ certs.Status) bool { return about(r) && !m.at[r].Before(since) && !m.at[r].IsZero() }); !slices.Equal(changed, want) {
			return fmt.Errorf("delta %s since %s has %d entries, want %d", which, since, len(changed), len(want))
		}
		if must, may, err := register.Plausible(tx, m.issuer, which); err != nil || int64(len(got)) < must || int64(len(got)) > must+may {
			return fmt.Errorf("%d entries are not among %d to %d: %v", len(got), must, must+may, err)
		}
	}
	return nil
}

// overlaps counts the runs that reach into the next.
func (m *mass) overlaps() (runs, bad int) {
	m.read(func(tx *ledger.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*), (SELECT COUNT(*) FROM certs_status_run a JOIN certs_status_run b ON b.issuer = a.issuer AND b.shard = a.shard
			AND b.lowest > a.lowest AND b.lowest <= a.highest) FROM certs_status_run`).Scan(&runs, &bad)
	})
	return runs, bad
}

func (m *mass) live(turns int) {
	m.Helper()
	most := 0
	for i := range turns {
		m.turn()
		if i%4 == 3 {
			m.compare()
		}
		n, bad := m.overlaps()
		if most = max(most, n); bad > 0 {
			m.Fatalf("%d of %d runs overlap", bad, n)
		}
	}
	if most < 5 {
		m.Errorf("there were never more than %d runs", most)
	}
}

func TestStatusesOfManyStandInOnePlaceEachAndOnEveryList(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	for seed := range uint64(2) {
		newMass(newWorld(t), 400, seed).live(16)
	}
}

func TestStatusesOfManyOnPostgreSQL(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	m := newMass((&world{TB: t, now: time.Now()}).openWith(pgtest.URL(t), nil), 150, 4)
	m.live(8)
}

// TestMassStatusesOutliveTheProcess: what was written in runs is there when the
// ledger is opened again.
func TestMassStatusesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	w := (&world{TB: t, now: begin}).open(url)
	m := newMass(w, 200, 9)
	w.must(func(tx *ledger.Tx) error {
		many, err := register.ReadMany(tx, m.refs)
		if err != nil {
			return err
		}
		return many.Change(m.refs, certs.Held())
	})
	m.moment = []time.Time{begin}
	m.follow()
	if err := w.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.ledger, err = ledger.Open(t.Context(), ledger.Options{URL: url, Rooms: []ledger.Room{register.Room()}}); err != nil {
		t.Fatal(err)
	}
	defer w.ledger.Close()
	if n, _ := m.overlaps(); n != 3 {
		t.Errorf("200 certificates in three shards came to %d runs", n)
	}
	m.compare()
}
