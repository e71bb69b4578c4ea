package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/internal/replica"
	"cardinal/issuance"
	"cardinal/ocsp"
)

var (
	errNotNewer   = errors.New("it saw nothing that the backup had not")
	errOtherStory = errors.New("it is a copy of another history than this ledger's")
	errHalfLoaded = errors.New("it is half way through a change: let cardinal serve finish it, or take another replica")
	errQuarantine = errors.New("it is in quarantine itself")
	errNoEpoch    = errors.New("the journal does not say where its epoch began")
)

// mergeBlock is how many certificates are written in one transaction, mergeLook
// how many are looked up in one.
const (
	mergeBlock = 200
	mergeLook  = 1000
)

// merging gives a restored ledger back what a replica of the history before
// knows. Everything is compared before anything is written; what is written is
// whole in itself, so a merge that was killed is simply run again.
type merging struct {
	a       *app
	ledger  *ledger.Ledger
	desk    *issuance.Desk
	file    *replica.File
	began   journal.EpochBegan // the quarantined epoch
	ended   journal.Change     // the last change that was in the backup
	issuers map[certs.IssuerID]register.Issuer

	look    []sighting // not compared yet
	known   int64      // certificates of the backup that the replica has too
	changed []regained
	lost    []register.Lost

	operators bool // bootstrap operators were ended after the backup
}

// sighting is one certificate as the replica has it.
type sighting struct {
	certs.Ref
	ocsp.Record
}

// regained is a status to give back, and the card it belongs to.
type regained struct {
	issuance.Regained
	card string
}

// merged is what merge prints.
type merged struct {
	Merged   bool   `json:"merged"`
	Epoch    uint64 `json:"epoch"`
	Revoked  int    `json:"revoked"`
	Held     int    `json:"held"`
	Unknown  int    `json:"unknown"`
	Cards    int    `json:"cards"`
	Position uint64 `json:"position"`
}

// merge opens the folder and the replica, and ends the quarantine when all the
// replica knows is in the ledger.
func (a *app) merge(ctx context.Context, dir, from string) (err error) {
	f, config, err := a.open(dir)
	if err != nil {
		return err
	}
	l, err := a.openLedger(ctx, f, config)
	if err != nil {
		return err
	}
	defer closeInto(&err, l)
	head, err := l.Head(ctx)
	if err != nil {
		return failing("restore", err)
	}
	if !head.Quarantine {
		return refused("restore", errNoMerge)
	}
	m := &merging{a: a, ledger: l}
	if m.desk, err = a.bareDesk(f, config, l); err != nil {
		return err
	}
	if m.file, err = openReplicaFile(from); err != nil {
		return usage("reading the replica", err)
	}
	defer closeInto(&err, m.file)
	return failing("restore", m.run(ctx, head))
}

// bareDesk is a desk that decides and cannot sign: merging needs no key.
func (a *app) bareDesk(f folder, config Config, l *ledger.Ledger) (*issuance.Desk, error) {
	set, err := loadPolicies(f, config)
	if err != nil {
		return nil, err
	}
	directory, err := loadDirectory(f, config)
	if err != nil {
		return nil, err
	}
	w, err := a.writeSide(writeSideOf{folder: f, config: config, ledger: l, policies: set, directory: directory, now: a.clock(config)})
	if err != nil {
		return nil, err
	}
	return w.desk, nil
}

// openReplicaFile opens a replica's file, or that of another installation's
// folder, and reads all of it once.
func openReplicaFile(path string) (*replica.File, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		path = folder(path).replica()
	}
	file, err := replica.OpenFile(path)
	if errors.Is(err, bolterrors.ErrTimeout) {
		err = fmt.Errorf("%w: somebody serves from it: stop that first, or take a copy of the file", err)
	}
	if err != nil {
		return nil, err
	}
	if err := file.Check(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (m *merging) run(ctx context.Context, head journal.Head) error {
	if err := m.findEpoch(ctx, head); err != nil {
		return err
	}
	if err := m.checkState(m.file.State(), head); err != nil {
		return refused("the replica", err)
	}
	if err := m.compare(ctx); err != nil {
		return err
	}
	done, err := m.write(ctx)
	if err != nil {
		return err
	}
	if err := m.ledger.SetQuarantine(ctx, false); err != nil {
		return err
	}
	now, err := m.ledger.Head(ctx)
	if err != nil {
		return err
	}
	m.tellLost()
	return m.a.printJSON(merged{Merged: true, Epoch: uint64(now.Epoch), Revoked: done.Revoked, Held: done.Held,
		Unknown: len(m.lost), Cards: done.Cards, Position: uint64(now.Position)})
}

// findEpoch looks for the change that began the ledger's epoch, from the end:
// in quarantine little follows it.
func (m *merging) findEpoch(ctx context.Context, head journal.Head) error {
	const stride = 100 // one read gives so many, however long they are
	for to := head.Position; to > 0; to -= min(to, stride) {
		// One more than the stride, for the change before the one that is looked for.
		changes, err := m.ledger.Feed().Read(ctx, to-min(to, stride+1), stride+1)
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		for i := len(changes) - 1; i > 0; i-- {
			if changes[i].Kind != journal.KindEpochBegan {
				continue
			}
			m.began, err = journal.ParseEpochBegan(changes[i].Body)
			m.ended = changes[i-1]
			if err == nil && m.began.Epoch != head.Epoch {
				err = errNoEpoch
			}
			return err
		}
	}
	return errNoEpoch
}

// checkState refuses what cannot know more than the backup did.
func (m *merging) checkState(s replica.State, head journal.Head) error {
	at := fmt.Sprintf("epoch %d position %d; the backup ended at epoch %d position %d", s.Epoch, s.Position, m.began.Previous, m.ended.Position)
	switch {
	case s.Quarantine:
		return errQuarantine
	case s.Loading:
		return errHalfLoaded
	case s.Epoch >= head.Epoch || s.Epoch < m.began.Previous:
		return fmt.Errorf("%w: %s, and the ledger is in epoch %d", errOtherStory, at, head.Epoch)
	case s.Position < m.ended.Position:
		return fmt.Errorf("%w: %s", errNotNewer, at)
	case s.Position == m.ended.Position && s.Link != m.ended.Link:
		return fmt.Errorf("%w: %s, and their links differ", errOtherStory, at)
	}
	return nil
}

// tellLost says what no replica can give back.
func (m *merging) tellLost() {
	s := m.file.State()
	m.a.say("the backup ended at position %d (%s), the replica had followed to position %d (%s)", m.ended.Position, m.ended.Time.Format(time.RFC3339), s.Position, s.Time.Format(time.RFC3339))
	m.a.say("enter again what was done between: people registered, changed or closed, their evidence and photographs; positions and roles; cases, approvals and handovers; cards resumed; directory entries and passwords")
	if len(m.lost) > 0 {
		m.a.say("%d certificates issued between are revoked, since nobody knows on whose card they are: open a case for those who were given or renewed a card", len(m.lost))
	}
}
