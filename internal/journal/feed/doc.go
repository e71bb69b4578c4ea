// Package feed is how the journal travels between nodes: HTTPS with client certificates, asked by the node that follows.
//
// What it promises:
//
//   - Who. Every request is admitted anew ([Registry]): a node that was disabled is refused at its next request, and what
//     it is being sent ends with the next piece. What a node's [Scope] keeps from it is sent with the body withheld, so
//     that the chain verifies on every node.
//   - Order. An answer holds the head and whole transactions behind a position, or says why not. The follower verifies
//     the chain itself; nothing here is believed.
//   - Time. A node learns of a change when it is committed: its question waits at the writer. The writer says how long it
//     held the question before it read the head, so a head that lay in some buffer on the way is known to be old.
//   - Leases. With each question a node says how far it is and when it will refuse by itself ([Lease]); [Leases] keeps
//     the last word of each.
//   - Bounds. A node asks for what it can take, so it is never sent more; every length is checked before it is read.
//
// It is spoken over TLS 1.3 and HTTP/1.1, one exchange a connection at a time, so that a large content holds no change
// up.
package feed

import (
	"errors"
	"fmt"
	"time"

	"cardinal/internal/journal"
)

// Scope says what a node may receive.
type Scope string

// The scopes.
const (
	// Central: everything that travels.
	Central Scope = "central"
	// Edge: everything but what is for nodes in the middle only, which is password verifiers.
	Edge Scope = "edge"
)

// ParseScope reads a scope's name.
func ParseScope(s string) (Scope, error) {
	switch scope := Scope(s); scope {
	case Central, Edge:
		return scope, nil
	}
	return "", fmt.Errorf("scope %q is neither %s nor %s", s, Central, Edge)
}

// Withholds reports whether bodies of a kind are kept from nodes of this scope.
func (s Scope) Withholds(k journal.Kind) bool {
	return s != Central && k.Class() != journal.ClassPublic
}

// Node is a machine that may follow.
type Node struct {
	Name  string
	Scope Scope
	Hosts []string // DNS names and addresses it serves under
	// Disabled is when it was; zero while it may follow.
	Disabled time.Time
	Why      string // it was disabled
}

// Why a node is refused. All wrap journal.ErrRefused.
var (
	// ErrUnknown: the certificate is not of an enrolled node.
	ErrUnknown = fmt.Errorf("%w: this certificate is of no enrolled node", journal.ErrRefused)
	// ErrDisabled: the node was disabled.
	ErrDisabled = fmt.Errorf("%w: this node was disabled", journal.ErrRefused)
	// ErrRevoked: the certificate is revoked, on hold, or out of its time.
	ErrRevoked = fmt.Errorf("%w: the node's certificate is revoked or has ended", journal.ErrRefused)
)

// ErrTooOften: the node has asked for more signatures of a CA than it may for now.
var ErrTooOften = errors.New("this node has asked for certificates too often: later")

// ErrUnreadable: a question or an answer does not follow the format.
var ErrUnreadable = errors.New("not of the feed's form")
