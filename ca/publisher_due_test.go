package ca

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
)

// standing is a list of a shard, made a minute ago, with so many changes since,
// the last of which lies so far back.
func standing(shard uint16, changes uint64, ago time.Duration, now time.Time) register.Shard {
	which := certs.ShardList(shard)
	return register.Shard{Which: which, Shard: shard, Changes: 10_000 + changes, Listed: 10_000, Changed: now.Add(-ago),
		List: certs.ListPublished{Number: 1, Shard: shard, ThisUpdate: now.Add(-time.Minute)}}
}

func publisherOf(policy ListPolicy) *Publisher {
	return &Publisher{Authority: &Authority{Config: Config{Lists: policy.withDefaults()}}, made: map[listOf]making{}, stale: map[listOf]time.Time{}}
}

func TestTheListThatWaitedLongestIsMadeFirst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := publisherOf(ListPolicy{})
	name := func(shard uint16) listOf { return listOf{which: certs.ShardList(shard)} }
	states := []register.Shard{standing(0, 0, 0, now), standing(1, 1, 0, now), standing(2, 1, 0, now), standing(3, 1, 0, now)}
	p.stale[name(1)], p.stale[name(2)], p.stale[name(3)] = now.Add(-2*time.Second), now.Add(-3*time.Second), now.Add(-20*time.Second)
	p.made[name(3)] = making{at: now.Add(-5 * time.Second)} // within the debounce
	if next := p.first(states, now); next.list.Shard != 2 {
		t.Errorf("shard %d", next.list.Shard)
	}
	old := standing(5, 0, 0, now)
	old.List.ThisUpdate = now.Add(-48 * time.Hour)
	for up, want := range map[time.Duration]uint16{4 * time.Second: 2, 10 * time.Minute: 5} {
		p.begun = now.Add(-up)
		if next := p.first(append(states, old), now); next.list.Shard != want {
			t.Errorf("%s after the start: shard %d with one that has been old for long, want %d", up, next.list.Shard, want)
		}
	}
	states = append(states, register.Shard{Which: certs.ShardList(4), Shard: 4})
	if next := p.first(states, now); next.list.Shard != 4 {
		t.Errorf("shard %d before one that nobody has ever seen", next.list.Shard)
	}
	if next := p.first(states[:1], now); next.waits >= 0 {
		t.Errorf("a list without changes has waited %s", next.waits)
	}
}

func TestPublisherHurriesForSingleCardsAndNotForAnOrder(t *testing.T) {
	t.Parallel()
	const took = 100 * time.Millisecond
	now := time.Now()
	slow := due{list: &register.Shard{List: certs.ListPublished{Number: 1}}}
	if got := slow.pause(time.Minute); got != mostRest {
		t.Errorf("a list that took a minute: a pause of %s, want %s", got, mostRest)
	}
	for name, c := range map[string]struct {
		states []register.Shard
		since  time.Duration
		want   time.Duration
	}{
		"a card just now":              {[]register.Shard{standing(0, 1, 0, now)}, time.Second, usual * took},
		"a card that waits":            {[]register.Shard{standing(0, 1, 0, now)}, listedAfter, took / hurry},
		"cards on many lists just now": {lacking(40, now), time.Second, listedAfter/40 - time.Second/40 - took},
		"an order at work":             {[]register.Shard{standing(0, 2*orderLeast, time.Second, now)}, listedAfter, usual * took},
		"an order that has ended":      {[]register.Shard{standing(0, 2*orderLeast, time.Minute, now)}, listedAfter, took / hurry},
		"a list nobody has ever seen":  {[]register.Shard{{}}, time.Second, took},
	} {
		p := publisherOf(ListPolicy{})
		for _, s := range c.states {
			p.stale[listOf{which: s.Which}] = time.Now().Add(-c.since)
		}
		next := p.first(c.states, now)
		if got := next.pause(took); got > c.want || got < c.want-took/2 {
			t.Errorf("%s: a pause of %s, want %s", name, got, c.want)
		}
	}
}

// lacking are lists that lack a card each.
func lacking(n uint16, now time.Time) (all []register.Shard) {
	for shard := range n {
		all = append(all, standing(shard, 1, 0, now))
	}
	return all
}

func TestEntriesMergedAreThoseCollected(t *testing.T) {
	t.Parallel()
	all := variety(t, 60)
	of := func(list []register.Entry) []byte {
		e := encoder{entries: fixed(list)}
		return contentOf(t, e.collect)
	}
	for seed := range uint64(200) {
		before, changed, after := altered(all, rand.New(rand.NewPCG(seed, 1)))
		e := encoder{entries: fixed(changed)}
		got := contentOf(t, func() (*encoded, error) { return e.merge(of(before)) })
		if !bytes.Equal(got, of(after)) {
			t.Fatalf("seed %d: %d of %d changed, and they are not the %d there are", seed, len(changed), len(before), len(after))
		}
	}
}

// altered draws which entries there were before, which changed and how, and
// which there are then.
func altered(all []register.Entry, r *rand.Rand) (before, changed, after []register.Entry) {
	for _, e := range all {
		was, is := r.IntN(2) == 0, r.IntN(2) == 0
		if was {
			before = append(before, e)
		}
		switch touched := was != is || r.IntN(4) == 0; {
		case touched && is:
			e.Status.Reason = certs.ReasonKeyCompromise
			changed = append(changed, e)
		case touched:
			changed = append(changed, register.Entry{Serial: e.Serial})
		}
		if is {
			after = append(after, e)
		}
	}
	return before, changed, after
}

// contentOf is what was encoded, which must have as many entries as it says.
func contentOf(t *testing.T, encode func() (*encoded, error)) []byte {
	t.Helper()
	list, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	r, err := list.reader()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for rest := content; len(rest) > 0; n++ {
		_, size := entryAt(rest)
		if size == 0 {
			t.Fatal("not an entry")
		}
		rest = rest[size:]
	}
	if n != list.count {
		t.Fatalf("%d entries are said to be %d", n, list.count)
	}
	return content
}

func FuzzMerge(f *testing.F) {
	entry := []byte{0x30, 18, 0x02, 1, 7, 0x17, 13, '2', '6', '0', '1', '0', '1', '0', '0', '0', '0', '0', '0', 'Z'}
	f.Add(entry, []byte{7})
	f.Add(append(entry[:len(entry):len(entry)], entry...), []byte{8})
	f.Add([]byte{0x30, 3, 0x02, 2, 0, 0x80}, []byte{0x80})
	f.Add([]byte{0x30, 0x82}, []byte{1})
	f.Fuzz(func(t *testing.T, old, serial []byte) {
		if len(serial) == 0 || len(serial) > certs.SerialMax {
			return
		}
		_ = entriesIn(old)
		e := encoder{tempDir: t.TempDir(), entries: func(yield func(register.Entry) error) error {
			return yield(register.Entry{Serial: certs.Serial(serial)}) // released
		}}
		list, err := e.merge(old)
		if err != nil {
			return
		}
		if list.size > int64(len(old)) {
			t.Errorf("%d octets became %d by taking one away", len(old), list.size)
		}
		if err := list.Close(); err != nil {
			t.Error(err)
		}
	})
}
