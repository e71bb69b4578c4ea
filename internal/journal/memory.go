package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Memory is a journal in memory: a Feed for tests that passes feedtest and can be told to misbehave. Safe for
// concurrent use.
type Memory struct {
	mu      sync.Mutex
	now     func() time.Time
	head    Head
	changes []Change
	content map[Hash][]byte
	moved   chan struct{} // closed and replaced whenever the head moves
	fault   func(operation string) error
}

// NewMemory is an empty journal in epoch 1 on the host's clock.
func NewMemory() *Memory {
	m := &Memory{now: time.Now, content: map[Hash][]byte{}, moved: make(chan struct{})}
	m.head = Head{Epoch: 1, Time: m.clock()}
	return m
}

// SetNow replaces the clock, and sets the head's time by it, even back.
func (m *Memory) SetNow(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
	m.head.Time = m.clock()
}

func (m *Memory) clock() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// touch moves the head's time and wakes who waits. The caller holds mu.
func (m *Memory) touch() {
	if t := m.clock(); t.After(m.head.Time) {
		m.head.Time = t
	}
	close(m.moved)
	m.moved = make(chan struct{})
}

// Record is one change still to be numbered.
type Record struct {
	Kind    Kind
	Version uint8
	Body    []byte
}

// Commit appends one transaction and returns the position of its last change.
func (m *Memory) Commit(records ...Record) Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touch()
	for i, r := range records {
		c := Change{Position: m.head.Position + 1, Time: m.head.Time, Kind: r.Kind, Version: r.Version,
			Last: i == len(records)-1, Body: slices.Clone(r.Body)}
		c.Seal(m.head.Link)
		m.changes = append(m.changes, c)
		m.head.Position, m.head.Link = c.Position, c.Link
	}
	return m.head.Position
}

// Append commits bodies of one kind as one transaction and returns the position of the last.
func (m *Memory) Append(kind Kind, version uint8, bodies ...[]byte) Position {
	records := make([]Record, 0, len(bodies))
	for _, body := range bodies {
		records = append(records, Record{Kind: kind, Version: version, Body: body})
	}
	return m.Commit(records...)
}

// PutContent stores bytes under their SHA-256.
func (m *Memory) PutContent(data []byte) Hash {
	h := Hash(sha256.Sum256(data))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.content[h] = slices.Clone(data)
	return h
}

// Beat moves the head's time, as a ledger does each second.
func (m *Memory) Beat() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touch()
}

// SetQuarantine sets the head's mark.
func (m *Memory) SetQuarantine(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head.Quarantine = on
	m.touch()
}

// Restore does what restoring an old backup does: the changes after keep are gone, the epoch is raised and its first
// change appended, quarantine is set.
func (m *Memory) Restore(keep Position) {
	m.Cut(keep)
	m.mu.Lock()
	m.head.Epoch++
	m.head.Quarantine = true
	began := EpochBegan{Epoch: m.head.Epoch, Reason: "restore", Previous: m.head.Epoch - 1, PreviousTime: m.head.Time}
	m.mu.Unlock()
	m.Append(KindEpochBegan, 1, began.Append(nil))
}

// Cut is a fault: the changes after keep vanish and nothing says so.
func (m *Memory) Cut(keep Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes = m.changes[:min(int(keep), len(m.changes))]
	m.head.Position, m.head.Link = 0, Hash{}
	if n := len(m.changes); n > 0 {
		m.head.Position, m.head.Link = m.changes[n-1].Position, m.changes[n-1].Link
	}
	m.touch()
}

// Tamper is a fault: it lets change alter the stored change at a position, without mending the chain.
func (m *Memory) Tamper(p Position, change func(c *Change)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.changes[p-1])
}

// Erase removes body and salt of a change.
func (m *Memory) Erase(p Position) { m.Tamper(p, (*Change).Erase) }

// SetFault is asked before every operation ("head", "read", "wait", "content"); an error it returns is the operation's.
// Nil ends it.
func (m *Memory) SetFault(fault func(operation string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = fault
}

func (m *Memory) begin(ctx context.Context, operation string) error {
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	if fault != nil {
		if err := fault(operation); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Head implements Feed.
func (m *Memory) Head(ctx context.Context) (Head, error) {
	if err := m.begin(ctx, "head"); err != nil {
		return Head{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, nil
}

// Read implements Feed.
func (m *Memory) Read(ctx context.Context, after Position, limit int) ([]Change, error) {
	if err := m.begin(ctx, "read"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if after >= Position(len(m.changes)) {
		return nil, nil
	}
	var out []Change
	for _, c := range m.changes[after:] {
		c.Body = slices.Clone(c.Body)
		out = append(out, c)
		if c.Last && len(out) >= limit {
			break
		}
	}
	return out, nil
}

// Wait implements Feed.
func (m *Memory) Wait(ctx context.Context, after Position) error {
	if err := m.begin(ctx, "wait"); err != nil {
		return err
	}
	m.mu.Lock()
	start, moved := m.head, m.moved
	m.mu.Unlock()
	for start.Position <= after {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
		m.mu.Lock()
		head := m.head
		moved = m.moved
		m.mu.Unlock()
		if head.Position > after || head.Time.After(start.Time) {
			return nil
		}
	}
	return nil
}

// Content implements Feed.
func (m *Memory) Content(ctx context.Context, h Hash) (io.ReadCloser, error) {
	if err := m.begin(ctx, "content"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.content[h]
	if !ok {
		return nil, fmt.Errorf("opening content %s: %w", h, ErrNoContent)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
