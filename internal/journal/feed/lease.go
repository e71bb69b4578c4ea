package feed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cardinal/internal/journal"
)

// Lease is what a node says of itself with each question.
type Lease struct {
	Epoch    journal.Epoch
	Position journal.Position // everything up to it is applied, durable, and answered from
	AsOf     time.Time        // everything committed before is
	Loading  bool             // not caught up since the start, or half way through a change
	// OCSPAge and DirectoryAge are how long after AsOf the node goes on answering.
	OCSPAge      time.Duration
	DirectoryAge time.Duration
	Version      string // of its program; at most 64 bytes count
	// Ends is when the certificate it serves with ends; zero when it does not say.
	Ends time.Time
}

// maxVersion bounds Lease.Version.
const maxVersion = 64

// maxAge bounds what a node may name as its limits, in seconds: ten years.
const maxAge = 10 * 366 * 24 * 3600

// Append appends the encoded lease.
func (l *Lease) Append(b []byte) []byte {
	e := journal.NewEncoder(b)
	e.AppendUint(uint64(l.Epoch))
	e.AppendUint(uint64(l.Position))
	e.AppendTime(l.AsOf)
	e.AppendBool(l.Loading)
	e.AppendUint(uint64(max(0, l.OCSPAge/time.Millisecond)))
	e.AppendUint(uint64(max(0, l.DirectoryAge/time.Millisecond)))
	e.AppendString(l.Version[:min(len(l.Version), maxVersion)])
	e.AppendTime(l.Ends)
	return e.Bytes()
}

// ParseLease reads what Append wrote. Errors wrap ErrUnreadable.
func ParseLease(b []byte) (Lease, error) {
	d := journal.NewDecoder(b)
	l := Lease{Epoch: journal.Epoch(d.Uint()), Position: journal.Position(d.Uint()), AsOf: d.Time(), Loading: d.Bool()}
	l.OCSPAge = time.Duration(d.UintMax(maxAge*1000)) * time.Millisecond
	l.DirectoryAge = time.Duration(d.UintMax(maxAge*1000)) * time.Millisecond
	l.Version = d.String()
	if len(l.Version) > maxVersion {
		d.Fail("version above its limit")
	}
	l.Ends = d.Time()
	if err := d.End(); err != nil {
		return Lease{}, errors.Join(ErrUnreadable, err)
	}
	return l, nil
}

func (l *Lease) header() string { return base64.RawURLEncoding.EncodeToString(l.Append(nil)) }

func parseLeaseHeader(text string) (Lease, error) {
	if len(text) > maxLease {
		return Lease{}, fmt.Errorf("%w: a lease of %d characters", ErrUnreadable, len(text))
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Lease{}, errors.Join(ErrUnreadable, err)
	}
	return ParseLease(raw)
}

// NodeState is an enrolled node and the last it said of itself.
type NodeState struct {
	Node
	Lease
	Seen time.Time // by the writer's clock; zero: never
}

// Live reports whether the node was heard of a moment ago and may still follow.
func (s *NodeState) Live(now time.Time) bool {
	return s.Disabled.IsZero() && !s.Seen.IsZero() && now.Sub(s.Seen) < liveFor
}

// Refuses is when the node stops answering by itself if it learns nothing more: OCSP, then LDAP. Zero for one that was
// never seen.
func (s *NodeState) Refuses() (ocsp, directory time.Time) {
	if s.Seen.IsZero() || s.AsOf.IsZero() {
		return time.Time{}, time.Time{}
	}
	return s.AsOf.Add(s.OCSPAge), s.AsOf.Add(s.DirectoryAge)
}

// Leases keeps the last word of each node. Safe for concurrent use.
type Leases struct {
	nodes func(ctx context.Context) ([]Node, error)
	mu    sync.Mutex
	last  map[string]said
	moved chan struct{} // closed and replaced at each word
}

// said is a lease and when it was heard.
type said struct {
	Lease
	seen time.Time
}

// NewLeases keeps leases of the nodes that the function lists.
func NewLeases(nodes func(ctx context.Context) ([]Node, error)) *Leases {
	return &Leases{nodes: nodes, last: map[string]said{}, moved: make(chan struct{})}
}

// Note takes a node's word, heard at seen; an older one than is known is passed over.
func (l *Leases) Note(node string, lease Lease, seen time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.last[node]; ok && known.seen.After(seen) {
		return
	}
	l.last[node] = said{lease, seen}
	close(l.moved)
	l.moved = make(chan struct{})
}

// Forget takes away what was noted under a name, for a copy inside a writer that has ended.
func (l *Leases) Forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.last, name)
	close(l.moved)
	l.moved = make(chan struct{})
}

// heard reports whether a node was heard of a moment ago.
func (l *Leases) heard(node string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.last[node]
	return ok && now.Sub(known.seen) < liveFor
}

// Applied is every enrolled node, disabled ones too, in order of their names, with the last it said. A node that was
// never seen has a zero Seen.
func (l *Leases) Applied(ctx context.Context) ([]NodeState, error) {
	nodes, err := l.nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]NodeState, len(nodes))
	for i, n := range nodes {
		known := l.last[n.Name]
		out[i] = NodeState{Node: n, Lease: known.Lease, Seen: known.seen}
	}
	return out, nil
}

// CopyPrefix begins the name of a copy that answers inside a writer, which is no enrolled node: a node's name has no space.
const CopyPrefix = "writer "

// Copies are the copies inside writers that were noted, with the last they said.
func (l *Leases) Copies() (all []NodeState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, known := range l.last {
		if strings.HasPrefix(name, CopyPrefix) {
			all = append(all, NodeState{Node: Node{Name: name, Scope: Central}, Lease: known.Lease, Seen: known.seen})
		}
	}
	slices.SortFunc(all, func(a, b NodeState) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Changed is closed when any node says something new after the call. Take it, then look at Applied, then wait for it.
func (l *Leases) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moved
}
