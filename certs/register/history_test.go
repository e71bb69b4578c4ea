package register_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// A history is steps parted by semicolons, each a second after the one before:
// issue NAME; suspend NAME…; revoke NAME… REASON; release NAME…. Its outcome is
// the status of each name: good, or the state, the reason and in which second
// it began.
var histories = []struct{ steps, want string }{
	{"issue A", "A good"},
	{"issue A; suspend A", "A held certificateHold 1"},
	{"issue A; suspend A; release A", "A good"},
	{"issue A; suspend A; release A; suspend A", "A held certificateHold 3"},
	{"issue A; suspend A; revoke A keyCompromise", "A revoked keyCompromise 1"},
	{"issue A; suspend A; release A; revoke A superseded", "A revoked superseded 3"},
	{"issue A; revoke A superseded", "A revoked superseded 1"},
	{"issue A; revoke A unspecified", "A revoked unspecified 1"},
	{"issue A; issue B; revoke A B cessationOfOperation", "A revoked cessationOfOperation 2, B revoked cessationOfOperation 2"},
	{"issue A; issue B; suspend B; revoke A B affiliationChanged", "A revoked affiliationChanged 3, B revoked affiliationChanged 2"},
	{"issue A; revoke A superseded; revoke A keyCompromise", "A revoked keyCompromise 1"},

	{"issue A; release A", "release refused, A good"},
	{"issue A; suspend A; suspend A", "suspend refused, A held certificateHold 1"},
	{"issue A; revoke A superseded; release A", "release refused, A revoked superseded 1"},
	{"issue A; revoke A superseded; suspend A", "suspend refused, A revoked superseded 1"},
	{"issue A; revoke A superseded; revoke A unspecified", "revoke refused, A revoked superseded 1"},
	{"issue A; revoke A keyCompromise; revoke A keyCompromise", "revoke refused, A revoked keyCompromise 1"},
	{"issue A; revoke A keyCompromise; revoke A superseded", "revoke refused, A revoked keyCompromise 1"},
	{"issue A; issue B; revoke B superseded; suspend A B", "suspend refused, A good, B revoked superseded 2"},
}

func TestHistoriesEndAsTheTableOfTransitionsSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, h := range histories {
		if got := w.play(h.steps); got != h.want {
			t.Errorf("%s:\n got %s\nwant %s", h.steps, got, h.want)
		}
	}
}

func (w *world) play(steps string) string {
	w.Helper()
	named := map[string]certs.Ref{}
	start := w.now.Truncate(time.Second)
	var out []string
	for step := range strings.SplitSeq(steps, ";") {
		words := strings.Fields(step)
		if words[0] == "issue" {
			named[words[1]] = w.issue(uint16(len(named)), "card "+words[1]+start.String()).Ref
		} else if err := w.step(words, named); err != nil {
			var refused *register.TransitionError
			if !errors.As(err, &refused) {
				w.Fatal(err)
			}
			out = append(out, words[0]+" refused")
		}
		w.now = w.now.Add(time.Second)
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		w.read(func(tx *ledger.Tx) error {
			s, err := register.StatusOf(tx, named[name])
			if err != nil {
				return err
			}
			line := name + " " + s.State.String()
			if s.State != certs.StateGood {
				line += fmt.Sprintf(" %s %d", s.Reason, int(s.At.Sub(start)/time.Second))
			}
			out = append(out, line)
			return nil
		})
	}
	return strings.Join(out, ", ")
}

func (w *world) step(words []string, named map[string]certs.Ref) error {
	var refs []certs.Ref
	status := certs.Held()
	for _, word := range words[1:] {
		if ref, ok := named[word]; ok {
			refs = append(refs, ref)
			continue
		}
		reason, err := certs.ParseReason(word)
		if err != nil {
			w.Fatal(err)
		}
		status = certs.Revoked(reason)
	}
	return w.write(func(tx *ledger.Tx) error {
		if words[0] == "release" {
			return register.Release(tx, refs)
		}
		return register.SetStatus(tx, refs, status)
	})
}

func TestSetStatusTakesTheTransactionsTimeAndAnnouncesOneChangeAStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var refs []certs.Ref
	for i := range 6 {
		refs = append(refs, w.issue(uint16(i%4), fmt.Sprint("card ", i)).Ref)
	}
	asked := certs.Revoked(certs.ReasonKeyCompromise)
	asked.At = begin.Add(-time.Hour)
	asked.Invalidity = begin.Add(-48 * time.Hour)
	w.must(func(tx *ledger.Tx) error {
		return register.SetStatus(tx, append(refs, refs[0]), asked)
	})
	_, statuses := w.changes()
	if len(statuses) != 1 || len(statuses[0].Serials) != 6 {
		t.Fatalf("announced %+v", statuses)
	}
	got := statuses[0].Status
	if !got.At.Equal(begin.Truncate(time.Second)) || !got.Invalidity.Equal(asked.Invalidity.Truncate(time.Second)) {
		t.Errorf("revoked at %s, invalid since %s", got.At, got.Invalidity)
	}
	w.read(func(tx *ledger.Tx) error {
		shards, err := register.Shards(tx)
		if err != nil || len(shards) != 4 || shards[0].Changes != 2 || shards[1].Changes != 2 || shards[2].Changes != 1 || shards[3].Changes != 1 {
			t.Errorf("shards %+v, %v", shards, err)
		}
		return nil
	})
}

func TestSetStatusRefusesUnknownSerialsAndImpossibleStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.issue(0, "a")
	set := func(ref certs.Ref, s certs.Status) error {
		return w.write(func(tx *ledger.Tx) error { return register.SetStatus(tx, []certs.Ref{ref}, s) })
	}
	if err := set(certs.Ref{Issuer: w.issuer, Serial: "\x01"}, certs.Held()); !errors.Is(err, register.ErrUnknownSerial) {
		t.Errorf("an unknown serial: %v", err)
	}
	if err := set(certs.Ref{Issuer: certs.IssuerID{9}, Serial: p.Serial}, certs.Held()); !errors.Is(err, register.ErrUnknownSerial) {
		t.Errorf("another issuer's serial: %v", err)
	}
	if err := set(p.Ref, certs.Status{}); !errors.Is(err, certs.ErrStatus) {
		t.Errorf("good by SetStatus: %v", err)
	}
	if err := set(p.Ref, certs.Revoked(certs.ReasonRemoveFromCRL)); !errors.Is(err, certs.ErrReason) {
		t.Errorf("removeFromCRL: %v", err)
	}
	if _, statuses := w.changes(); len(statuses) != 0 {
		t.Errorf("a refused status was announced: %+v", statuses)
	}
}
