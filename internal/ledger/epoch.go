package ledger

import (
	"context"
	"crypto"
	"fmt"
	"io"

	"cardinal/internal/journal"
)

// RaiseEpoch opens a new epoch, and says so in the journal: after a restore, and when another database takes over.
// Followers reseed.
func (l *Ledger) RaiseEpoch(ctx context.Context, reason string) error {
	_, err := l.Write(ctx, func(tx *Tx) error {
		tx.beginEpoch(reason, tx.head.Quarantine)
		return nil
	})
	if err != nil {
		return fmt.Errorf("raising the epoch: %w", err)
	}
	return nil
}

// beginEpoch raises the epoch with this transaction.
func (tx *Tx) beginEpoch(reason string, quarantine bool) {
	began := journal.EpochBegan{Epoch: tx.head.Epoch + 1, Reason: reason, Previous: tx.head.Epoch, PreviousTime: tx.head.Time}
	tx.Append(journal.KindEpochBegan, 1, began.Append(nil))
	tx.newHead = func(h *journal.Head) { h.Epoch, h.Quarantine = began.Epoch, quarantine }
}

// SetQuarantine sets or ends the head's mark.
func (l *Ledger) SetQuarantine(ctx context.Context, on bool) error {
	_, err := l.Write(ctx, func(tx *Tx) error {
		tx.wrote = true
		tx.newHead = func(h *journal.Head) { h.Quarantine = on }
		return nil
	})
	if err != nil {
		return fmt.Errorf("setting quarantine: %w", err)
	}
	return nil
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
