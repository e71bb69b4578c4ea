package issuance_test

import (
	"slices"
	"strings"
	"testing"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/internal/journal"
	"cardinal/internal/ledger"
	"cardinal/issuance"
	"cardinal/issuance/issuancetest"
)

// shownCards are the cards the directory of record shows of a person, each as
// its number and state.
func shownCards(t *testing.T, w *issuancetest.World, uuid certs.UUID) (out []string) {
	t.Helper()
	dn, err := directory.ParseDN("uid=" + string(uuid) + ",ou=People,o=nhs")
	if err != nil {
		t.Fatal(err)
	}
	err = w.Ledger.Read(t.Context(), func(tx *ledger.Tx) error {
		return w.Directory.Children(tx, dn, func(e *directory.Entry) error {
			if strings.EqualFold(e.First("structuralObjectClass"), "cardinalCard") {
				if e.First("cardNotAfter") == "" {
					t.Errorf("%s has no end", e.DN)
				}
				out = append(out, e.First("uniqueIdentifier")+" "+e.First("cardState"))
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDirectoryShowsThePresentCardAndItsState(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short")
	}
	w := issuancetest.New(t, "")
	uuid := w.Person("Alex", "Example")
	card, _ := w.Card(uuid)
	op := w.Manager.Operator()
	expect := func(what string, want ...string) {
		t.Helper()
		if got := shownCards(t, w, uuid); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	done := func(_ any, at journal.Position, err error) {
		t.Helper()
		if err != nil || at == 0 {
			t.Fatal(err)
		}
	}
	expect("handed over", card+" active")
	c, at, err := w.Desk.Suspend(t.Context(), op, card, "")
	done(c, at, err)
	expect("suspended", card+" suspended")
	c, at, err = w.Desk.Resume(t.Context(), op, card, "")
	done(c, at, err)
	expect("resumed", card+" active")
	c, next, at, err := w.Desk.Replace(t.Context(), op, card, issuance.Cancellation{Reason: "lost"})
	done(c, at, err)
	expect("cancelled", card+" cancelled")
	_, at, err = w.Desk.ApproveCase(t.Context(), w.Sponsor.Operator(), next.ID, "")
	done(nil, at, err)
	ask, _ := issuancetest.Asking(t, "request-second")
	pair, at, err := w.Desk.Issue(t.Context(), op, next.ID, ask)
	done(pair, at, err)
	expect("replaced", pair.Card+" issued")
	_, at, err = w.Desk.Cancel(t.Context(), op, pair.Card, issuance.Cancellation{Reason: "damaged"})
	done(nil, at, err)
	expect("the second cancelled", pair.Card+" cancelled")
}
