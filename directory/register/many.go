package register

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// manyKeys is how many rows one statement reads.
const manyKeys = 64

// ModifyPresent does what ModifyAll does on those names that have an entry, and
// gives back which names, by their place in the list, have none. Entries are read and written up to 64 a
// statement; give at most a thousand to one transaction.
func (r *Register) ModifyPresent(tx *ledger.Tx, by Author, dns []directory.DN, mods []directory.Modification) (absent []int, err error) {
	if public, secret := r.partMods(mods); len(secret) > 0 || r.touchesClasses(public) {
		return nil, refuse(directory.UnwillingToPerform, "neither secrets nor object classes can be modified on many entries at once")
	}
	w := setWrite{r: r, by: by, mods: mods, stamps: r.modifyStamps(by, tx)}
	var uuids []directory.UUID
	for at := 0; at < len(dns); at += manyKeys {
		part := dns[at:min(at+manyKeys, len(dns))]
		found, err := r.findMany(tx, part)
		if err != nil {
			return nil, err
		}
		for i, s := range found {
			if s == nil {
				absent = append(absent, at+i)
				continue
			}
			if err := w.modifyStored(tx, s); err != nil {
				return nil, err
			}
			uuids = append(uuids, s.uuid)
		}
	}
	w.announce(tx, uuids)
	return absent, nil
}

func (w *setWrite) modifyStored(tx *ledger.Tx, s *stored) error {
	if err := w.r.permit(w.by, place{dn: s.entry.DN, key: s.key}, false); err != nil {
		return err
	}
	if _, err := w.r.modified(tx, s, w.mods, &directory.Update{}); err != nil {
		return err
	}
	var err error
	if s.entry, err = w.r.schema.Replay(s.entry, w.stamps); err != nil {
		return err
	}
	return w.r.put(tx, s)
}

// announce appends the modifications of all entries as few changes.
func (w *setWrite) announce(tx *ledger.Tx, uuids []directory.UUID) {
	slices.SortFunc(uuids, func(a, b directory.UUID) int { return bytes.Compare(a[:], b[:]) })
	for part := range slices.Chunk(slices.Compact(uuids), directory.MaxSet) {
		x := directory.EntriesModified{UUIDs: part, Mods: append(slices.Clone(w.mods), w.stamps...)}
		tx.Append(journal.KindEntriesModified, directory.ChangeVersion, x.Append(nil))
	}
}

// findMany is find for up to manyKeys names; nil where there is no entry.
func (r *Register) findMany(tx *ledger.Tx, dns []directory.DN) ([]*stored, error) {
	all := make([]place, len(dns))
	for i, dn := range dns {
		p, err := r.locate(dn)
		if err != nil {
			return nil, err
		}
		all[i] = p
	}
	rows, err := rowsOf(tx, all)
	if err != nil {
		return nil, err
	}
	found := make([]*stored, len(dns))
	var near *block
	for i, p := range all {
		data, hasRow := rows[p.key]
		switch {
		case hasRow && len(data) == 0:
			continue
		case hasRow:
			found[i], err = decodeRow(tx, p.key, data)
		case near.covers(p.key):
			found[i] = near.find(p.key)
		default:
			if near, err = r.block(tx, blockAtOrBefore, p.suffix, []byte(p.key)); near != nil {
				found[i] = near.find(p.key)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading entry %q: %w", p.dn, err)
		}
	}
	return found, nil
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
