package issuance

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	_ "time/tzdata" // the days of open and close dates are London's, on a machine without zone files too

	"cardinal/ca"
	"cardinal/directory"
	"cardinal/directory/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Config says what the desk stands on. Every field but the last seven is
// required.
type Config struct {
	Ledger    *ledger.Ledger // with Room among its rooms, beside those of certs and the directory
	CA        *ca.Authority
	Directory *register.Register // must know ou=People below Suffix as managed
	Policies  *policies.Set
	Suffix    directory.DN // the people are uid=UUID,ou=People below it

	// Attestation holds the roots of card makers. With roots every pair must
	// come with an attestation below one of them; without, none is asked for.
	Attestation *x509.CertPool
	Alone       int           // how many cards one administrator stops alone; 0, or above 100 = 100
	Undo        time.Duration // how long a suspension of many cards can be undone; 0 = 1 h
	Expiry      time.Duration // how long an order waits for the second administrator; 0 = 24 h
	// Paced returns when the copy of this process shows the position, or when
	// ctx ends: an order's next block waits for it, so that the copy is never
	// more than two blocks behind. nil: nothing is waited for.
	Paced  func(ctx context.Context, p journal.Position) error
	Now    func() time.Time // for what is judged before a transaction; nil = time.Now
	Logger *slog.Logger     // refusals and faults, never evidence; nil = discard
}

// Desk is safe for concurrent use. Whatever it promises holds between processes
// too: nothing but a courtesy lock lives in memory.
type Desk struct {
	ledger      *ledger.Ledger
	ca          *ca.Authority
	directory   *register.Register
	policies    *policies.Set
	suffix      directory.DN
	attestation *x509.CertPool
	now         func() time.Time
	logger      *slog.Logger
	place       *time.Location
	turns       turns
	alone       int
	undo        time.Duration
	expiry      time.Duration
	paced       func(context.Context, journal.Position) error
	cardMoves   []move        // read only: an order asks for each card
	ordered     chan struct{} // one is in it while orders may be waiting for the worker
}

// New makes a desk. It does no I/O.
func New(c Config) (*Desk, error) {
	place, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, fmt.Errorf("loading the time zone of open and close dates: %w", err)
	}
	if c.Ledger == nil || c.CA == nil || c.Directory == nil || c.Policies == nil || len(c.Suffix) == 0 {
		return nil, errors.New("issuance: ledger, CA, directory, policies and suffix are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Alone <= 0 || c.Alone > mostAlone {
		c.Alone = mostAlone
	}
	return &Desk{ledger: c.Ledger, ca: c.CA, directory: c.Directory, policies: c.Policies, suffix: c.Suffix,
		attestation: c.Attestation, now: c.Now, logger: c.Logger, place: place,
		alone: c.Alone, undo: cmp.Or(c.Undo, undoUsual), expiry: cmp.Or(c.Expiry, expiryUsual), paced: c.Paced, cardMoves: cardMoves(), ordered: make(chan struct{}, 1)}, nil
}

// write runs fn as the operator, found anew, in one transaction. The position
// is durable when it returns nil. A ledger in quarantine takes no decisions.
func (d *Desk) write(ctx context.Context, op Operator, fn func(tx *ledger.Tx, by *actor) error) (journal.Position, error) {
	return d.stop(ctx, op, func(tx *ledger.Tx, by *actor) error {
		if tx.Head().Quarantine {
			return ledger.ErrQuarantine
		}
		return fn(tx, by)
	})
}

// stop is write for what makes a card useless, which is never too early: it
// works in quarantine too.
func (d *Desk) stop(ctx context.Context, op Operator, fn func(tx *ledger.Tx, by *actor) error) (journal.Position, error) {
	return d.ledger.Write(ctx, func(tx *ledger.Tx) error {
		by, err := d.signIn(tx, op)
		if err != nil {
			return err
		}
		return by.discreet(fn(tx, by))
	})
}

// read runs fn as the operator on one snapshot.
func (d *Desk) read(ctx context.Context, op Operator, fn func(tx *ledger.Tx, by *actor) error) error {
	return d.ledger.Read(ctx, func(tx *ledger.Tx) error {
		by, err := d.signIn(tx, op)
		if err != nil {
			return err
		}
		return by.discreet(fn(tx, by))
	})
}

// turns lets one goroutine at a time work on a case or card, so that two
// stations asking at once do not both have certificates signed. It is a
// courtesy: the transaction that records decides.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// take waits for its turn and gives the function that ends it.
func (t *turns) take(ctx context.Context, key string) (func(), error) {
	for {
		t.mu.Lock()
		other, taken := t.busy[key]
		if !taken {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[key] = mine
			t.mu.Unlock()
			return func() { t.end(key, mine) }, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) end(key string, mine chan struct{}) {
	t.mu.Lock()
	delete(t.busy, key)
	t.mu.Unlock()
	close(mine)
}
