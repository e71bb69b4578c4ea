package register

import (
	"slices"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// changing collects the changes of one call: one for each issuer and status.
type changing struct {
	tx   *ledger.Tx
	sets []*changeSet
}

// changeSet are the certificates of one issuer that come to one status.
type changeSet struct {
	certs.StatusChange
	rows []*row
}

// collect notes a certificate's new status.
func (c *changing) collect(r *row, s certs.Status) {
	at := slices.IndexFunc(c.sets, func(set *changeSet) bool {
		return set.Issuer == r.ref.Issuer && set.Status.Equal(s)
	})
	if at < 0 {
		at = len(c.sets)
		c.sets = append(c.sets, &changeSet{StatusChange: certs.StatusChange{Issuer: r.ref.Issuer, Status: s}})
	}
	c.sets[at].Serials = append(c.sets[at].Serials, r.ref.Serial)
	c.sets[at].rows = append(c.sets[at].rows, r)
}

// finish writes the statuses and announces them.
func (c *changing) finish() error {
	for _, set := range c.sets {
		if err := c.put(set); err != nil {
			return err
		}
	}
	for _, set := range c.sets {
		for _, part := range set.Split() {
			c.tx.Append(journal.KindStatusChanged, certs.StatusChangeVersion, part.Append(nil))
		}
	}
	return nil
}

// put writes a set's statuses, shard by shard.
func (c *changing) put(set *changeSet) (err error) {
	number := set.rows[0].number
	if number == 0 {
		if number, err = numberOf(c.tx, set.Issuer); err != nil {
			return err
		}
	}
	sortByPlace(set.rows)
	p := &placing{tx: c.tx, issuer: number, new: standing{set.Status, c.tx.Time()}}
	if len(set.rows) >= runLeast {
		low, high := slices.Min(set.Serials), slices.Max(set.Serials)
		if p.taken, err = taken(c.tx, number, low, high); err != nil {
			return err
		}
	}
	for rows := set.rows; len(rows) > 0; {
		n := sameShard(rows)
		if err := p.put(rows[0].shard, rows[:n]); err != nil {
			return err
		}
		c.tx.Defer(`UPDATE certs_shard SET changes = changes + $1, changed = $2 WHERE issuer = $3 AND shard = $4`,
			n, c.tx.Time(), journal.Hash(set.Issuer), rows[0].shard)
		rows = rows[n:]
	}
	return nil
}

// placing writes one new status of certificates of one issuer.
type placing struct {
	tx     *ledger.Tx
	issuer int64
	taken  map[uint16]bool // shards that have runs where the set is; nil: unknown, as the set is small
	new    standing
}

// put gives certificates of one shard, sorted, the new status, where each has
// its place: who has a row keeps it, what is in a run leaves it, and the others
// get a run together if they are enough, else a row each.
func (p *placing) put(shard uint16, rows []*row) error {
	var free []ended
	held := false
	for _, r := range rows {
		if r.place == inRow {
			p.row(shard, ended{r.ref.Serial, r.end}, p.new)
			continue
		}
		held = held || r.place == inRun
		free = append(free, ended{r.ref.Serial, r.end})
	}
	if !held && (len(free) < runLeast || !p.taken[shard] && p.taken != nil) {
		p.lay(shard, free)
		return nil
	}
	return p.weave(shard, free)
}

// row writes a row of a certificate's own, over the one it has if it has one.
func (p *placing) row(shard uint16, e ended, is standing) {
	s := is.status
	p.tx.Defer(`INSERT INTO certs_status (issuer, shard, serial, status, reason, revoked, invalidity, not_after, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (issuer, shard, serial) DO UPDATE SET status = excluded.status,
		reason = excluded.reason, revoked = excluded.revoked, invalidity = excluded.invalidity, changed = excluded.changed`,
		p.issuer, shard, []byte(e.serial), uint8(s.State), uint8(s.Reason), s.At, s.Invalidity, e.end, is.changed)
}

// lay gives sorted serials between which no run lies their new status.
func (p *placing) lay(shard uint16, entries []ended) {
	if len(entries) < runLeast {
		for _, e := range entries {
			p.row(shard, e, p.new)
		}
		return
	}
	p.run(shard, entries, p.new)
}

func (p *placing) run(shard uint16, entries []ended, is standing) {
	for part := range slices.Chunk(entries, runMost) {
		whole := make([]ended, len(part))
		for i, e := range part {
			whole[i] = ended{e.serial, fullSecond(e.end)}
		}
		r := &run{p.issuer, shard, whole, is}
		r.insert(p.tx)
	}
}

// weave lays sorted serials among the runs there are.
func (p *placing) weave(shard uint16, free []ended) error {
	for len(free) > 0 {
		under, err := runAt(p.tx, p.issuer, shard, free[0].serial)
		if err != nil {
			return err
		}
		if under != nil && under.highest() >= free[0].serial {
			n, _ := search(free, under.highest()+"\x00") // the least that is greater
			p.cut(under, free[:n])
			free = free[n:]
			continue
		}
		next, err := nextRun(p.tx, p.issuer, shard, free[0].serial)
		if err != nil {
			return err
		}
		n := len(free)
		if next != "" {
			n, _ = search(free, next)
		}
		p.lay(shard, free[:n])
		free = free[n:]
	}
	return nil
}

// cut takes serials within a run's range out of it, as far as they are in it,
// and lays them between what is left. That stays in runs, however short: a
// serial changes its place with its own status alone, so that what is known of
// others stays true.
func (p *placing) cut(under *run, free []ended) {
	under.drop(p.tx)
	for old := under.entries; len(old) > 0 || len(free) > 0; {
		n := len(old)
		if len(free) > 0 {
			n, _ = search(old, free[0].serial)
		}
		if n > 0 {
			p.run(under.shard, old[:n], under.standing)
			old = old[n:]
		}
		n = 0
		for n < len(free) && (len(old) == 0 || free[n].serial <= old[0].serial) {
			if len(old) > 0 && free[n].serial == old[0].serial {
				old = old[1:]
			}
			n++
		}
		p.lay(under.shard, free[:n])
		free = free[n:]
	}
}
