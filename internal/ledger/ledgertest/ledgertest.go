// Package ledgertest is the contract of the ledger as a suite, run on every engine: one order under racing writers,
// isolation within shared commits, nothing lost when the process is killed between two external writes, a restored
// backup that followers can tell from the ledger they knew.
package ledgertest

import (
	"errors"
	"path/filepath"
	"testing"

	"cardinal/internal/journal"
	"cardinal/internal/journal/feedtest"
	"cardinal/internal/ledger"
)

// Engine is a kind of database under test.
type Engine struct {
	// URL is a fresh, empty database for each call.
	URL func(t testing.TB) string
}

// SQLite is a file in the test's folder.
func SQLite() Engine {
	return Engine{URL: func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "ledger.db") }}
}

// Run tests an engine. The test binary's TestMain must call Child first.
func Run(t *testing.T, e Engine) {
	for _, test := range []struct {
		name string
		slow bool // left out under -short
		run  func(t *testing.T, e Engine)
	}{
		{"FeedKeepsItsContract", true, feedContract(func(l *ledger.Ledger) journal.Feed { return l.Feed() })},
		{"NearFeedKeepsItsContract", true, feedContract(func(l *ledger.Ledger) journal.Feed { return l.NearFeed() })},
		{"NearFeedShowsWhatOthersCommit", false, nearAndFar},
		{"NearFeedShowsWhatWasErased", false, nearErased},
		{"ManyWritesShareACommit", false, crowded},
		{"ArgumentsMeanTheSameInAnyOrder", false, arguments},
		{"DollarsInTextsAreText", false, dollars},
		{"BlocksLetOthersIn", false, blocksLetIn},
		{"ValuesKeepTheirTypes", false, valueTypes},
		{"TextSortsByItsBytes", false, textOrder},
		{"CreateRefusesAnExistingLedger", false, createTwice},
		{"OpenRefusesAMissingLedger", false, openMissing},
		{"CreateRefusesForeignWords", false, foreignWords},
		{"SchemaOlderOrNewerIsRefused", false, schemaVersions},
		{"RacingWritersLeaveContiguousPositions", true, racingWriters},
		{"TwoProcessesShareOneOrder", true, twoProcesses},
		{"TransactionsAreSerial", true, serialCounter},
		{"FailingMembersLeaveNoTrace", true, isolation},
		{"RefusalWithoutWritesCostsNothing", false, cleanRefusal},
		{"OverlookedStatementErrorFailsTheWrite", false, overlooked},
		{"PanicReachesItsCallerOnly", false, panics},
		{"TooLargeChangeIsRefused", false, tooLarge},
		{"CancelledWriteLeavesNoTrace", false, cancelled},
		{"OpenRowsAreClosed", false, openRows},
		{"ReadIsASnapshot", false, snapshots},
		{"ReadRefusesWrites", false, readRefuses},
		{"ReadOnlyLedgerFollowsAnother", false, readOnly},
		{"ClosedLedgerRefuses", false, closed},
		{"SlowFunctionIsLogged", true, slowFunction},
		{"BeatMovesTheHead", false, beats},
		{"EpochAndQuarantineStandInTheHead", false, epochs},
		{"ErasedChangeIsGoneAndTheChainHolds", true, erases},
		{"ContentIsSharedAndStreamed", true, contents},
		{"DamagedContentIsNamed", false, damagedContents},
		{"LooseContentGoesWhenDropped", false, looseContents},
		{"ContentSweepKeepsWhatIsUsed", true, sweeps},
		{"CheckpointSignsTheState", true, checkpoints},
		{"FaultAtEachExternalWrite", true, faults},
		{"FaultThatDoesNotEnd", true, faultsForEver},
		{"KilledProcessLosesNothingAcknowledged", true, killed},
		{"RestoredBackupIsTakenForWhatItIs", true, restored},
		{"InterruptedRestoreIsNoLedger", true, interruptedRestore},
		{"DumpWhileWritingIsConsistent", true, dumpWhileWriting},
		{"VerifyNamesTheChangedPosition", false, tampered},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.slow && testing.Short() {
				t.Skip("short")
			}
			t.Parallel()
			test.run(t, e)
		})
	}
}

// Rooms are the suite's tables: a row for each write, and a counter.
func Rooms() []ledger.Room {
	return []ledger.Room{{Name: "suite", Migrations: []string{`
CREATE TABLE suite_item (
  id BIGINT PRIMARY KEY,
  name TEXT NOT NULL,
  data BYTEA
);
CREATE TABLE suite_counter (
  name TEXT PRIMARY KEY,
  n BIGINT NOT NULL
);
CREATE TABLE suite_value (
  id BIGINT PRIMARY KEY,
  n BIGINT,
  s TEXT,
  b BYTEA
);
`}}}
}

const insertItem = `INSERT INTO suite_item (id, name, data) VALUES ($1, $2, $3)`

var errRefused = errors.New("refused by the test")

// create makes a ledger that is closed with the test.
func create(t *testing.T, o ledger.Options) *ledger.Ledger {
	t.Helper()
	o.Rooms = Rooms()
	l, err := ledger.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return l
}

func open(t *testing.T, o ledger.Options) *ledger.Ledger {
	t.Helper()
	o.Rooms = Rooms()
	l, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t *testing.T, l *ledger.Ledger, fn func(tx *ledger.Tx) error) journal.Position {
	t.Helper()
	p, err := l.Write(t.Context(), fn)
	if err != nil {
		t.Fatalf("writing: %v", err)
	}
	return p
}

// item writes a row and a change that names it.
func item(id int, name string) func(tx *ledger.Tx) error {
	return func(tx *ledger.Tx) error {
		tx.Append(journal.KindEntryAdded, 1, []byte(name))
		_, err := tx.Exec(insertItem, id, name, []byte(name))
		return err
	}
}

func count(t *testing.T, l *ledger.Ledger, query string, args ...any) int {
	t.Helper()
	var n int
	if err := l.Read(t.Context(), func(tx *ledger.Tx) error { return tx.QueryRow(query, args...).Scan(&n) }); err != nil {
		t.Fatalf("counting: %v", err)
	}
	return n
}

// verify checks the chain and that the rows of the suite are those the journal tells of.
func verify(t *testing.T, l *ledger.Ledger) journal.Head {
	t.Helper()
	head, err := journal.VerifyChain(t.Context(), l.Feed())
	if err != nil {
		t.Fatalf("verifying the chain: %v", err)
	}
	told := map[string]int{}
	for after := journal.Position(0); ; {
		changes, err := l.Feed().Read(t.Context(), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			break
		}
		for _, c := range changes {
			after = c.Position
			if c.Kind == journal.KindEntryAdded {
				told[string(c.Body)]++
			}
		}
	}
	err = l.Read(t.Context(), func(tx *ledger.Tx) error {
		rows, err := tx.Query(`SELECT name FROM suite_item`)
		for err == nil && rows.Next() {
			var name string
			if err = rows.Scan(&name); err == nil {
				told[name]--
			}
		}
		return errors.Join(err, rows.Err())
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range told {
		if n != 0 {
			t.Errorf("%q stands %+d times more in the journal than in the table", name, n)
		}
	}
	return head
}

func feedContract(of func(*ledger.Ledger) journal.Feed) func(t *testing.T, e Engine) {
	return func(t *testing.T, e Engine) { keepsContract(t, e, of) }
}

func keepsContract(t *testing.T, e Engine, of func(*ledger.Ledger) journal.Feed) {
	feedtest.Run(t, func(t *testing.T) (journal.Feed, feedtest.Writer) {
		l := create(t, ledger.Options{URL: e.URL(t)})
		return of(l), feedtest.Writer{
			Append: func(kind journal.Kind, version uint8, bodies ...[]byte) (journal.Position, error) {
				return l.Write(t.Context(), func(tx *ledger.Tx) error {
					for _, b := range bodies {
						tx.Append(kind, version, b)
					}
					return nil
				})
			},
			PutContent: func(data []byte) (h journal.Hash, err error) {
				_, err = l.Write(t.Context(), func(tx *ledger.Tx) error {
					h, err = tx.PutContent(data)
					return err
				})
				return h, err
			},
			Beat: func() error { return l.Heartbeat(t.Context()) },
		}
	})
}
