package register

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// manyKeys is how many rows one statement reads, and manyRows how many one writes.
const (
	manyKeys = 64
	manyRows = 16
)

// ModifyPresent does what ModifyAll does on those names that have an entry, and
// gives back which names, by their place in the list, have none. Entries are read and written up to 64 a
// statement; give at most some thousand to one transaction.
func (r *Register) ModifyPresent(tx *ledger.Tx, by Author, dns []directory.DN, mods []directory.Modification) (absent []int, err error) {
	w, err := r.Prepare(tx, by, dns, mods)
	if err != nil {
		return nil, err
	}
	return w.Write(tx)
}

// Prepared is a ModifyPresent that was begun: the entries are read, and most of
// them ready to be written.
type Prepared struct {
	setWrite
	dns    []directory.DN
	absent []int
	ready  []patched
	rest   []int // by their place in the list: these go the way of single entries
	uuids  map[directory.UUID]bool
}

// Prepare does what of ModifyPresent needs no right to write. Its transaction may
// be another than Write's, provided that in between no entry was added,
// modified, moved or deleted, and no suffix loaded, which the journal tells:
// but for what other calls did to other names.
func (r *Register) Prepare(tx *ledger.Tx, by Author, dns []directory.DN, mods []directory.Modification) (*Prepared, error) {
	if public, secret := r.partMods(mods); len(secret) > 0 || r.touchesClasses(public) {
		return nil, refuse(directory.UnwillingToPerform, "neither secrets nor object classes can be modified on many entries at once")
	}
	w := &Prepared{setWrite: setWrite{r: r, by: by, mods: mods, stamps: r.modifyStamps(by, tx)}, dns: dns, uuids: make(map[directory.UUID]bool, len(dns))}
	patch := w.newPatch()
	seen := make(map[directory.Key]bool, len(dns))
	for at := 0; at < len(dns); at += manyKeys {
		if err := w.part(tx, patch, seen, at); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Touched reports whether a change may be about one of the entries, or about a
// name that had none: then Prepare does not hold any more. It knows those of
// single entries and of many; any other may be.
func (w *Prepared) Touched(c *journal.Change) bool {
	var of []directory.UUID
	var err error
	switch c.Kind {
	case journal.KindEntryAdded:
		return len(w.absent) > 0
	case journal.KindEntryModified:
		var x *directory.EntryModified
		if x, err = directory.ParseEntryModified(c.Body); err == nil {
			of = []directory.UUID{x.UUID}
		}
	case journal.KindEntryDeleted:
		var x *directory.EntryDeleted
		if x, err = directory.ParseEntryDeleted(c.Body); err == nil {
			of = []directory.UUID{x.UUID}
		}
	case journal.KindEntriesModified:
		var x *directory.EntriesModified
		if x, err = directory.ParseEntriesModified(c.Body); err == nil {
			of = x.UUIDs
		}
	default:
		return true
	}
	return err != nil || slices.ContainsFunc(of, func(u directory.UUID) bool { return w.uuids[u] })
}

// part reads up to manyKeys entries.
func (w *Prepared) part(tx *ledger.Tx, patch *patch, seen map[directory.Key]bool, at int) error {
	var all []place
	var nth []int
	for i, dn := range w.dns[at:min(at+manyKeys, len(w.dns))] {
		p, err := w.r.locate(dn)
		if err != nil {
			return err
		}
		if err := w.r.permit(w.by, p, false); err != nil {
			return err
		}
		if !seen[p.key] {
			seen[p.key] = true
			all, nth = append(all, p), append(nth, at+i)
		}
	}
	reading, err := w.r.readMany(tx, all)
	if err != nil {
		return err
	}
	for i, p := range all {
		there, err := reading.raw(p, &patch.entry)
		if err != nil {
			return fmt.Errorf("reading entry %q: %w", p.dn, err)
		}
		if !there {
			w.absent = append(w.absent, nth[i])
			continue
		}
		w.uuids[patch.entry.UUID] = true
		if ready, ok := patch.apply(p.key); ok {
			w.ready = append(w.ready, ready)
		} else {
			w.rest = append(w.rest, nth[i])
		}
	}
	return nil
}

// Write makes the modifications and announces them. It may be called again for a
// transaction that is begun again.
func (w *Prepared) Write(tx *ledger.Tx) (absent []int, err error) {
	w.stamps = w.r.modifyStamps(w.by, tx)
	uuids := make([]directory.UUID, 0, len(w.ready)+len(w.rest))
	for i := range w.ready {
		w.ready[i].date(tx.Time())
		uuids = append(uuids, w.ready[i].uuid)
	}
	w.writeRows(tx)
	for _, i := range w.rest {
		u, err := w.modify(tx, w.dns[i])
		if err != nil {
			return nil, err
		}
		uuids = append(uuids, u)
	}
	w.announce(tx, uuids)
	return w.absent, nil
}

// writeRows writes what is ready, many rows a statement, of which there are few
// texts so that they stay prepared. A row that was there keeps its UUID.
func (w *Prepared) writeRows(tx *ledger.Tx) {
	rows := w.ready
	for len(rows) > 0 {
		n := manyRows
		if len(rows) < n {
			n = 1
		}
		var text strings.Builder
		text.WriteString(`INSERT INTO directory_entry (key, uuid, data) VALUES `)
		args := make([]any, 0, 3*n)
		for i := range rows[:n] {
			if i > 0 {
				text.WriteString(", ")
			}
			text.WriteString("($" + strconv.Itoa(3*i+1) + ", $" + strconv.Itoa(3*i+2) + ", $" + strconv.Itoa(3*i+3) + ")")
			args = append(args, []byte(rows[i].key), rows[i].uuid[:], rows[i].data)
		}
		tx.Defer(text.String()+` ON CONFLICT (key) DO UPDATE SET data = excluded.data`, args...)
		rows = rows[n:]
	}
}

// reading is the rows of some places, and the block used last for what has none.
type reading struct {
	r    *Register
	tx   *ledger.Tx
	rows map[directory.Key][]byte
	near *block
}

func (r *Register) readMany(tx *ledger.Tx, all []place) (*reading, error) {
	rows, err := rowsOf(tx, all)
	return &reading{r: r, tx: tx, rows: rows}, err
}

// raw reads an entry without decoding it; false where there is none.
func (x *reading) raw(p place, into *directory.RawAdded) (bool, error) {
	data, hasRow := x.rows[p.key]
	if hasRow {
		if len(data) == 0 {
			return false, nil
		}
		return true, directory.ParseRawAdded(data, into)
	}
	if !x.near.covers(p.key) {
		var err error
		if x.near, err = x.r.block(x.tx, blockAtOrBefore, p.suffix, []byte(p.key)); err != nil || x.near == nil {
			return false, err
		}
	}
	i, found := x.near.place(p.key)
	if !found {
		return false, nil
	}
	return true, x.near.index.Raw(i, into)
}

// rowsOf reads the rows of places. There are three texts of the statement, so
// that all stay prepared.
func rowsOf(tx *ledger.Tx, all []place) (map[directory.Key][]byte, error) {
	found := make(map[directory.Key][]byte, len(all))
	for len(all) > 0 {
		n := 1
		for _, size := range []int{manyKeys, 8} {
			if len(all) >= size {
				n = size
				break
			}
		}
		if err := readRows(tx, all[:n], found); err != nil {
			return nil, fmt.Errorf("reading entries: %w", err)
		}
		all = all[n:]
	}
	return found, nil
}

func readRows(tx *ledger.Tx, part []place, into map[directory.Key][]byte) error {
	var text strings.Builder
	text.WriteString(`SELECT key, data FROM directory_entry WHERE key IN ($1`)
	args := make([]any, len(part))
	for i, p := range part {
		args[i] = []byte(p.key)
		if i > 0 {
			text.WriteString(", $" + strconv.Itoa(i+1))
		}
	}
	rows, err := tx.Query(text.String()+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key, data []byte
		if err := rows.Scan(&key, &data); err != nil {
			return err
		}
		into[directory.Key(key)] = data
	}
	return rows.Err()
}
