package ledger

import (
	"context"
	"crypto"
	"fmt"
	"io"

	"cardinal/internal/journal"
)

// RaiseEpoch opens a new epoch: after a restore, and when another database takes over. Followers reseed.
func (l *Ledger) RaiseEpoch(ctx context.Context, reason string) error {
	return fmt.Errorf("raising the epoch: %w", errNotBuilt)
}

// SetQuarantine sets or ends the head's mark.
func (l *Ledger) SetQuarantine(ctx context.Context, on bool) error {
	return fmt.Errorf("setting quarantine: %w", errNotBuilt)
}

// Checkpoint signs the chain's newest position and the digest of the rooms' rows, and appends the statement to the journal.
func (l *Ledger) Checkpoint(ctx context.Context, signer crypto.Signer) (journal.SignedCheckpoint, error) {
	return journal.SignedCheckpoint{}, fmt.Errorf("making a checkpoint: %w", errNotBuilt)
}

// Dump writes every table of one consistent snapshot in a form either engine can restore.
func (l *Ledger) Dump(ctx context.Context, w io.Writer) error {
	return fmt.Errorf("dumping the ledger: %w", errNotBuilt)
}

// Restore makes a new ledger from a dump, on either engine, in a higher epoch and in quarantine.
func Restore(ctx context.Context, o Options, r io.Reader) (*Ledger, error) {
	return nil, fmt.Errorf("restoring the ledger: %w", errNotBuilt)
}
