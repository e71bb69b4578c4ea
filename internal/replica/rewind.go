package replica

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"

	"cardinal/internal/journal"
)

// recordSuffix marks the file that holds the record of a replica whose batches are not synced one by one: two slots, of
// which the valid one with the higher number counts, so that one can be written while the other is whole.
const (
	recordSuffix = ".synced"
	slotSize     = 4096
	headerLength = pageHeader + metaLength
	recordLength = 512 // at most, of a slot
)

// record says to which transaction a file can be put back.
type record struct {
	number uint64
	boot   string // the run of the system in which it was written; "" is none
	mark   []byte // of the file
	header []byte // of the transaction
}

const recordVersion = 1

func (r *record) append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(recordVersion)
	e.AppendUint(r.number)
	e.AppendString(r.boot)
	e.AppendBytes(r.mark)
	e.AppendBytes(r.header)
	return e.Bytes()
}

// parseRecord reads a slot: the record, its SHA-256, and zeros.
func parseRecord(raw []byte) (record, error) {
	d := journal.NewDecoder(raw)
	body := d.Bytes()
	sum := d.Hash()
	if d.Err() != nil || sum != sha256.Sum256(body) {
		return record{}, errNoRecord
	}
	d = journal.NewDecoder(body)
	if v := d.Uint(); v != recordVersion {
		return record{}, errNoRecord
	}
	r := record{number: d.Uint(), boot: d.String(), mark: d.Bytes(), header: d.Bytes()}
	if d.End() != nil || len(r.header) != headerLength {
		return record{}, errNoRecord
	}
	if _, ok := parseMeta(r.header[pageHeader:]); !ok {
		return record{}, errNoRecord
	}
	return r, nil
}

var errNoRecord = errors.New("no record of what is on disk")

// slot is the record with its checksum.
func (r *record) slot() []byte {
	body := r.append(nil)
	e := journal.NewEncoder(nil)
	e.AppendBytes(body)
	e.AppendHash(sha256.Sum256(body))
	return e.Bytes()
}

// write puts the record into its slot, durably.
func (r *record) write(f *os.File) error {
	slot := r.slot()
	if len(slot) > recordLength {
		return fmt.Errorf("a record of %d bytes", len(slot))
	}
	slot = append(slot, make([]byte, recordLength-len(slot))...)
	if _, err := f.WriteAt(slot, int64(r.number%2)*slotSize); err != nil {
		return err
	}
	return f.Sync()
}

// createRecord makes the file of records under a name that counts for nothing yet.
func createRecord(path string) (*os.File, error) {
	f, err := os.OpenFile(path+recordSuffix+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, 2*slotSize)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// placeRecord gives it its name.
func placeRecord(path string) error {
	return errors.Join(os.Rename(path+recordSuffix+newSuffix, path+recordSuffix), syncDir(path))
}

// readRecord reads the newest record; os.ErrNotExist if there is none.
func readRecord(path string) (record, error) {
	raw, err := os.ReadFile(path + recordSuffix)
	if err != nil {
		return record{}, err
	}
	newest, found := record{}, errNoRecord
	for at := 0; at+recordLength <= len(raw); at += slotSize {
		if r, err := parseRecord(raw[at : at+recordLength]); err == nil && (found != nil || r.number > newest.number) {
			newest, found = r, nil
		}
	}
	return newest, found
}

// settleRecord makes what stands at path durable, and then removes the record of another time when it was not.
func settleRecord(path string) error {
	_, err := os.Stat(path + recordSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncFile(path)
	}
	if err == nil {
		err = os.Remove(path + recordSuffix)
	}
	if err == nil {
		err = syncDir(path)
	}
	if err != nil {
		return fmt.Errorf("making replica %s durable: %w", path, err)
	}
	return nil
}

// syncFile makes a file durable, if there is one.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rewind puts a file back to its record when the system was started anew since that was written. It returns the mark the
// file must have then; nil when there was nothing to do.
func rewind(path, boot string) (mark []byte, err error) {
	r, err := readRecord(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case errors.Is(err, errNoRecord):
		return nil, &Damage{What: "nothing tells what of it was on disk", Err: err}
	case err != nil:
		return nil, fmt.Errorf("opening replica: %w", err)
	case r.boot == boot && boot != "":
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("opening replica: %w", err)
	}
	if err = lockFile(f); err == nil {
		err = r.restore(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("putting replica %s back to what was on disk: %w", path, err)
	}
	return r.mark, nil
}

// restore writes the header of the record, and then makes the other one invalid, which may tell of a later transaction.
func (r *record) restore(f *os.File) error {
	m, _ := parseMeta(r.header[pageHeader:])
	own := int64(m.txid % 2)
	page := append(append([]byte{}, r.header...), make([]byte, pageSize-len(r.header))...)
	if _, err := f.WriteAt(page, own*pageSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, pageSize), (1-own)*pageSize); err != nil {
		return err
	}
	return f.Sync()
}

// bootID names the run of the system: proc(5) sys/kernel/random/boot_id. "" where there is none; then every file that
// was not closed is put back.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(raw) > 64 {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
