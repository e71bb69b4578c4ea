package ledger

import (
	"context"
	"crypto"
	"fmt"

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

// checkpointScope names the state a ledger's checkpoint has the digest of.
const checkpointScope = "ledger"

// Checkpoint states the chain's newest position and the digest of the rooms' rows at it, signs the statement with a key
// that is not in the database, and appends it to the journal. It reads all rows: minutes on a large ledger.
func (l *Ledger) Checkpoint(ctx context.Context, signer crypto.Signer) (journal.SignedCheckpoint, error) {
	digest, head, err := l.Digest(ctx)
	if err != nil {
		return journal.SignedCheckpoint{}, fmt.Errorf("making a checkpoint: %w", err)
	}
	signed, err := journal.Checkpoint{Epoch: head.Epoch, Position: head.Position, Time: head.Time, Link: head.Link,
		Scope: checkpointScope, State: digest}.Sign(signer)
	if err != nil {
		return journal.SignedCheckpoint{}, fmt.Errorf("making a checkpoint: %w", err)
	}
	_, err = l.Write(ctx, func(tx *Tx) error {
		tx.Append(journal.KindCheckpoint, 1, signed.Append(nil))
		return nil
	})
	if err != nil {
		return journal.SignedCheckpoint{}, fmt.Errorf("recording a checkpoint at position %d: %w", head.Position, err)
	}
	return signed, nil
}
