package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cardinal/internal/journal"
	"cardinal/internal/ledger"
)

// errDifferences says that verify found what is not as it should be; the findings were printed.
var errDifferences = errors.New("not everything is as the journal says")

func verifyCommand(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check the journal's chain, every certificate, every list and the replica against each other",
		Long: `Check that everything in the folder tells one story: the chain of the journal, every
certificate and its status, every revocation list, every entry of the directory, and the
replica, which is rebuilt from the journal and compared item by item. The journal is the
witness; certificates and lists are read by a reader of verify's own.

It only reads, and may run beside a serving process. Exit code 1 and one line for each
difference when something is not as it should be.`,
		Example: "  cardinal verify --dir cards",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			v := &verifier{a: a, folder: f, config: config, findings: findings{all: []finding{}}}
			if err := v.run(cmd.Context()); err != nil {
				return usageIfSchema("verify", err)
			}
			return v.conclude()
		},
	}
	dirFlag(c, &dir)
	return c
}

// verifyReport is what verify prints.
type verifyReport struct {
	OK           bool             `json:"ok"`
	Position     journal.Position `json:"position"`
	Changes      int              `json:"changes"`
	Certificates int              `json:"certificates"`
	Lists        int              `json:"lists"`
	Cards        int              `json:"cards"`
	Entries      int              `json:"entries"`
	Findings     []finding        `json:"findings"`
	More         int              `json:"moreFindings,omitempty"`
}

// verifier goes through one folder.
type verifier struct {
	a      *app
	folder folder
	config Config
	ledger *ledger.Ledger
	head   journal.Head
	model  *model
	report verifyReport
	findings

	directory *directoryOf
	cards     map[string]shownCard // what the desk has, by the card's number
}

// run goes through everything. The error is one of not being able to look; differences are findings.
func (v *verifier) run(ctx context.Context) error {
	l, err := ledger.Open(ctx, ledger.Options{URL: v.folder.ledgerURL(v.config), Rooms: rooms(), ReadOnly: true})
	if err != nil {
		return fmt.Errorf("opening the ledger: %w", err)
	}
	defer l.Close()
	v.ledger = l
	if err := v.checkContents(ctx); err != nil {
		return err
	}
	// One snapshot for everything: what is written meanwhile neither disturbs nor is disturbed.
	return l.Read(ctx, func(tx *ledger.Tx) error {
		whole, err := v.readJournal(ctx, tx)
		if err != nil || !whole {
			return err
		}
		v.model.conclude()
		if err := v.checkCertificates(tx); err != nil {
			return err
		}
		if err := v.checkLists(tx); err != nil {
			return err
		}
		if err := v.checkCards(tx); err != nil {
			return err
		}
		return v.checkCopies(ctx, tx)
	})
}

// checkContents reads every large body that is kept by its hash.
func (v *verifier) checkContents(ctx context.Context) error {
	err := v.ledger.VerifyContents(ctx)
	var damaged *ledger.DamagedContent
	if errors.As(err, &damaged) {
		v.found("content", "%v", err)
		return nil
	}
	return err
}

// readJournal follows the chain from the first change to the head and builds the model. A broken
// chain is a finding, and then nothing else can be measured against it.
func (v *verifier) readJournal(ctx context.Context, tx *ledger.Tx) (whole bool, err error) {
	var link []byte
	if err := tx.QueryRow(`SELECT epoch, position, link FROM ledger_head WHERE id = 1`).Scan(&v.head.Epoch, &v.head.Position, &link); err != nil {
		return false, fmt.Errorf("reading the head: %w", err)
	}
	copy(v.head.Link[:], link)
	bar := v.a.progress("changes of the journal", int64(v.head.Position))
	feed := v.ledger.Feed()
	v.model = newModel()
	chain := journal.Verifier{}
	for chain.Position < v.head.Position {
		changes, err := feed.Read(ctx, chain.Position, 1000)
		if err != nil {
			return false, fmt.Errorf("reading the journal after position %d: %w", chain.Position, err)
		}
		if len(changes) == 0 {
			v.found("journal", "position %d is missing, though the head stands at %d", chain.Position+1, v.head.Position)
			return false, nil
		}
		if !v.follow(&chain, changes) {
			return false, nil
		}
		bar.to(int64(chain.Position))
	}
	bar.finish()
	v.report.Position, v.report.Changes = v.head.Position, v.model.changes
	return true, nil
}

// follow takes changes up to the head of the snapshot: the journal may have grown meanwhile.
func (v *verifier) follow(chain *journal.Verifier, changes []journal.Change) bool {
	for i := range changes {
		if err := chain.Next(&changes[i]); err != nil {
			v.found("journal", "%v", err)
			return false
		}
		if err := v.model.apply(&changes[i]); err != nil {
			v.found("journal", "%v", err)
		}
		if chain.Position < v.head.Position {
			continue
		}
		if chain.Link != v.head.Link {
			v.found("ledger", "the head at position %d carries another link than its change", v.head.Position)
			return false
		}
		return true
	}
	return true
}

// conclude prints the report and gives exit code 1 when there are findings.
func (v *verifier) conclude() error {
	v.report.Findings, v.report.More, v.report.OK = v.all, v.more, len(v.all) == 0
	printed := v.a.print(v.report, func(w io.Writer) {
		for _, f := range v.report.Findings {
			row(w, "WRONG", f.Where, f.What)
		}
		if v.report.More > 0 {
			row(w, "WRONG", "", fmt.Sprintf("and %d differences more", v.report.More))
		}
		row(w, "position", v.report.Position)
		row(w, "journal changes", v.report.Changes)
		row(w, "certificates", v.report.Certificates)
		row(w, "lists", v.report.Lists)
		row(w, "cards", v.report.Cards)
		row(w, "entries", v.report.Entries)
	})
	if printed != nil || v.report.OK {
		return printed
	}
	return wrong("verify", fmt.Errorf("%w: %d differences", errDifferences, len(v.report.Findings)+v.report.More))
}

// scratch makes a folder for the rebuilt replica, beside the real one so that it lies on the same
// disk and never in a shared place.
func (v *verifier) scratch() (string, func(), error) {
	beside := filepath.Dir(v.folder.replica())
	if err := makeFolders(beside); err != nil { // a folder just restored was never served
		return "", nil, err
	}
	dir, err := os.MkdirTemp(beside, "verify-")
	if err != nil {
		return "", nil, fmt.Errorf("making a folder for the rebuilt replica: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// text is a value as a finding shows it.
func text(b []byte) string {
	if b == nil {
		return "nothing"
	}
	if len(b) > 48 {
		return fmt.Sprintf("%x… (%d bytes)", b[:48], len(b))
	}
	if json.Valid(b) {
		return string(b)
	}
	return fmt.Sprintf("%x", b)
}
