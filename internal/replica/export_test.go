package replica

import "os"

// SetHook calls hook at the named points between writes.
func (o *Options) SetHook(hook func(point string)) { o.hook = hook }

// SetBoot makes the replica believe that it runs in a run of the system of that name.
func (o *Options) SetBoot(boot string) { o.boot = boot }

// SetBatchesUnsynced bounds how many batches go without a record.
func (o *Options) SetBatchesUnsynced(n int) { o.most = n }

// Checkpoint syncs the file and records it, as happens by itself a while after each batch.
func Checkpoint(r *Replica) error { return r.file.lagging.checkpoint() }

// SomeRecord is a slot that says something.
func SomeRecord() []byte {
	r := record{number: 3, boot: "boot", mark: make([]byte, markLength), header: make([]byte, headerLength)}
	return r.slot()
}

// ParseRecord reads a slot.
func ParseRecord(raw []byte) { _, _ = parseRecord(raw) }

// Whole reads every page that the newest header reaches, without the store.
func Whole(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	m, ok := readMeta(f, 0)
	if n, other := readMeta(f, 1); other && (!ok || n.txid > m.txid) {
		m, ok = n, true
	}
	if !ok {
		return &Damage{What: "no valid header page"}
	}
	in, err := newInspector(f, m)
	if err != nil {
		return err
	}
	return in.tree(m.root, nil, nil, 0)
}
