package ca_test

import (
	"errors"
	"fmt"
	"testing"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

var errFault = errors.New("fault of the test")

// The fault table: every external write of an issue, failed, or done while the
// answer was lost, with or without the process dying after; whether Issue
// reports an error, what stands in the register then, and after the next start.
// Commit 1 reserves, 2 records, 3 settles what failed. A lost answer is looked
// up by the ledger, so the issue goes on.
type faultRow struct {
	fails int  // this commit does not happen
	lost  int  // this commit happens, but its answer is lost
	dies  int  // no commit from this one on happens: the process is gone
	err   bool // Issue returns an error
	after string
	start string
}

var faultTable = []faultRow{
	{fails: 1, err: true, after: "nothing", start: "nothing"},
	{dies: 1, err: true, after: "nothing", start: "nothing"},
	{lost: 1, after: "2 good, caller's write", start: "2 good, caller's write"},
	{lost: 1, dies: 2, err: true, after: "2 open", start: "2 spoiled"},
	{fails: 2, err: true, after: "2 spoiled", start: "2 spoiled"},
	{dies: 2, err: true, after: "2 open", start: "2 spoiled"},
	{lost: 2, after: "2 good, caller's write", start: "2 good, caller's write"},
	{fails: 2, lost: 3, err: true, after: "2 spoiled", start: "2 spoiled"},
	{lost: 2, dies: 3, after: "2 good, caller's write", start: "2 good, caller's write"},
}

func TestFaultTableOfIssuing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write(func(tx *ledger.Tx) error {
		_, err := tx.Exec(`CREATE TABLE caller (card TEXT)`)
		return err
	})
	for i, row := range faultTable {
		card := fmt.Sprint("card ", i)
		w.faults.Before, w.faults.After = row.hooks()
		_, _, err := w.authority.Issue(t.Context(), w.pair("900000000017", card), callersWrite(card))
		w.faults.Before, w.faults.After = nil, nil
		if row.err != (err != nil) || row.err && !errors.Is(err, errFault) {
			t.Errorf("%+v: %v", row, err)
		}
		if got := w.outcome(card); got != row.after {
			t.Errorf("%+v: %s", row, got)
		}
		if err := w.newAuthority(w.hierarchy.Issuers).Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.outcome(card); got != row.start {
			t.Errorf("%+v: after the next start %s", row, got)
		}
	}
}

func (row faultRow) hooks() (before, after func(string) error) {
	n := 0 // the ledger has one committer
	before = func(step string) error {
		if step != "commit" {
			return nil
		}
		n++
		if n == row.fails || row.dies > 0 && n >= row.dies {
			return errFault
		}
		return nil
	}
	after = func(step string) error {
		if step == "commit" && n == row.lost {
			return errFault
		}
		return nil
	}
	return before, after
}

func callersWrite(card string) func(*ledger.Tx, []ca.Issued) error {
	return func(tx *ledger.Tx, _ []ca.Issued) error {
		_, err := tx.Exec(`INSERT INTO caller (card) VALUES ($1)`, card)
		return err
	}
}

// outcome says what the register holds for a card.
func (w *world) outcome(card string) string {
	w.Helper()
	var open, spoiled, good, callers int
	w.read(func(tx *ledger.Tx) error {
		intents, err := register.OpenIntents(tx)
		if err != nil {
			return err
		}
		for _, in := range intents {
			if in.Card == card {
				open++
			}
		}
		found, err := register.ByCard(tx, card)
		if err != nil {
			return err
		}
		for _, c := range found {
			switch {
			case c.Spoiled && c.Status.State == certs.StateRevoked && c.DER == nil:
				spoiled++
			case !c.Spoiled && c.Status.State == certs.StateGood && len(c.DER) > 0:
				good++
			default:
				w.Errorf("a certificate in between: %+v", c)
			}
		}
		return tx.QueryRow(`SELECT count(*) FROM caller WHERE card = $1`, card).Scan(&callers)
	})
	switch {
	case open+spoiled+good+callers == 0:
		return "nothing"
	case callers == 1:
		return fmt.Sprintf("%d good, caller's write", good)
	case open > 0 && spoiled+good == 0:
		return fmt.Sprintf("%d open", open)
	}
	return fmt.Sprintf("%d spoiled", spoiled)
}

func TestRecoverPutsInterruptedSerialsOnTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	row := faultRow{dies: 2} // dies between signing and recording
	w.faults.Before, w.faults.After = row.hooks()
	if _, _, err := w.authority.Issue(t.Context(), w.pair("900000000017", "card-1"), nil); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	w.faults.Before, w.faults.After = nil, nil
	next := w.newAuthority(w.hierarchy.Issuers)
	if err := next.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expectSpoiledPair("card-1")
	_, found := w.card("card-1")
	for _, c := range found {
		name := map[string]string{policies.ProfileAuthentication: ca.Authentication, policies.ProfileSignature: ca.Signing}[c.Profile]
		if _, err := next.PublishList(t.Context(), name, certs.ShardList(c.Shard)); err != nil {
			t.Fatal(err)
		}
		list := w.list(name, c.Shard)
		if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(c.Serial.Big()) != 0 {
			t.Errorf("list %d of %s: %+v", c.Shard, name, list.RevokedCertificateEntries)
		}
	}
	// The card made its keys once; the same order may be asked for again.
	if err := next.Recover(t.Context()); err != nil {
		t.Errorf("recovering again: %v", err)
	}
}

func TestListThatCannotBeRecordedIsNotAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.issue(w.pair("900000000017", "card-1"))[0]
	w.setStatus(certs.Held(), one.Ref)
	before := w.shard(one.Issuer, one.Shard)
	for dies := 1; dies <= 2; dies++ { // the heartbeat, the record
		w.faults.Before, w.faults.After = faultRow{dies: dies}.hooks()
		if _, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard)); !errors.Is(err, errFault) {
			t.Errorf("commit %d: %v", dies, err)
		}
		w.faults.Before, w.faults.After = nil, nil
		if now := w.shard(one.Issuer, one.Shard); now.List != before.List || now.Listed == now.Changes {
			t.Errorf("commit %d: %+v", dies, now)
		}
	}
	w.faults.Before, w.faults.After = faultRow{lost: 2}.hooks()
	_, err := w.authority.PublishList(t.Context(), one.Issuer, certs.ShardList(one.Shard))
	w.faults.Before, w.faults.After = nil, nil
	if err != nil || len(w.list(one.Issuer, one.Shard).RevokedCertificateEntries) != 1 {
		t.Errorf("with the answer lost: %v", err)
	}
}
