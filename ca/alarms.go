package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Alarm is something somebody must do. Kind is for machines: stopped, no-issuer,
// issuer-key, issuer-ending, list-lacks (the root's, of something revoked), list-due (the root's, 60 days before its end),
// list-ending, clock. Until is when it is too late; of clock, when it is over by
// itself.
type Alarm struct {
	Kind    string
	Issuer  string
	Message string
	Until   time.Time
}

// Alarms gives what stands now, the most urgent first: a stopped authority; a
// kind of which none issues; a year before an authority is too old for the longest certificate it issues,
// which is then refused and not shortened; and lists that will end within half
// their life (the root's, for which somebody must bring the key, within 60 days
// and again within 30); and lists dated in the future, which relying systems may
// refuse until then.
func (a *Authority) Alarms(ctx context.Context) ([]Alarm, error) {
	now := a.Now()
	var out []Alarm
	if err := a.Stopped(); err != nil {
		out = append(out, Alarm{Kind: "stopped", Message: err.Error(), Until: now})
	}
	known := a.known.Load()
	for _, kind := range Names()[1:] {
		if _, err := a.issuing(kind, now); errors.Is(err, register.ErrNotIssuing) {
			out = append(out, Alarm{Kind: "no-issuer", Issuer: kind, Until: now, Message: fmt.Sprintf(
				"no authority for %s issues: make the next one (cardinal ca rollover %s)", kind, kind)})
		}
	}
	for name, at := range known.byName {
		if at.unopened != nil {
			out = append(out, Alarm{Kind: "issuer-key", Issuer: name, Until: at.stage.Starts, Message: fmt.Sprintf(
				"the key of authority %s cannot be opened here: %v", name, at.unopened)})
		}
		last := a.lastIssue(certs.IssuerKind(name), at.Issuer.Certificate.NotAfter)
		if !now.Before(last.AddDate(-1, 0, 0)) && !known.followed(at) {
			out = append(out, Alarm{Kind: "issuer-ending", Issuer: name, Until: last, Message: fmt.Sprintf(
				"authority %s ends %s; from %s on it issues no certificate of full length: make its next generation",
				name, day(at.Issuer.Certificate.NotAfter), day(last))})
		}
	}
	lists, err := a.listAlarms(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("looking for alarms: %w", err)
	}
	out = append(out, lists...)
	slices.SortFunc(out, func(a, b Alarm) int { return a.Until.Compare(b.Until) })
	return out, nil
}

// followed reports whether an authority has stopped, or a younger one of its
// kind is there to go on.
func (h *hierarchy) followed(at *hand) bool {
	if at.stage != nil && !at.stage.Stopped.IsZero() {
		return true
	}
	for _, other := range h.byName {
		if certs.IssuerKind(other.name) == certs.IssuerKind(at.name) && other.stage != nil && other.stage.Stopped.IsZero() &&
			!other.stage.Starts.IsZero() && other.Issuer.Certificate.NotAfter.After(at.Issuer.Certificate.NotAfter) {
			return true
		}
	}
	return false
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// lastIssue is the last moment an authority that ends at end can issue its
// longest certificate.
func (a *Authority) lastIssue(kind string, end time.Time) time.Time {
	last := end
	for _, p := range a.Policies.Profiles() {
		profile := a.Policies.Profile(p)
		if !slices.Contains(profile.Issuers, kind) || profile.Name == policies.ProfileRoot || profile.Name == policies.ProfileCross {
			continue
		}
		from, to := profile.Validity.Lifetime(end)
		if t := end.Add(-to.Sub(from)); t.Before(last) {
			last = t
		}
	}
	return last
}

// rootWarnings are how long before the end of the root's list somebody is told
// to bring its key: in good time, and as the last call.
const (
	rootWarning  = 60 * 24 * time.Hour
	rootLastCall = 30 * 24 * time.Hour
)

// listAlarms looks at every list whose issuer has not ended itself, whether its
// key is here or not.
func (a *Authority) listAlarms(ctx context.Context, now time.Time) ([]Alarm, error) {
	var out []Alarm
	var ahead time.Time
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		lacking, err := unlisted(tx)
		for _, s := range lacking {
			out = append(out, Alarm{Kind: "list-lacks", Issuer: s.Name, Until: now, Message: fmt.Sprintf(
				"the list of %s does not tell of everything it revoked: bring its key to a ceremony with a list step (cardinal ca ceremony)", s.Name)})
		}
		if err != nil {
			return err
		}
		ended, err := endedIssuers(tx, now)
		if err != nil {
			return err
		}
		lists, err := register.Lists(tx)
		for i := range lists {
			s := &lists[i]
			if at := a.known.Load().byKey[s.Issuer]; ended[s.Issuer] || at != nil && !a.Lists.has(at, s.Which) {
				continue
			}
			if alarm, ok := listAlarm(s, now); ok {
				out = append(out, alarm)
			}
			if s.List.ThisUpdate.After(ahead) {
				ahead = s.List.ThisUpdate
			}
		}
		return err
	})
	if ahead.After(now.Add(maxAhead)) {
		out = append(out, Alarm{Kind: "clock", Until: ahead, Message: fmt.Sprintf(
			"there are lists dated %s, %s from now: this clock is slow, or one was fast; relying systems may refuse them until then",
			ahead.UTC().Format(time.RFC3339), ahead.Sub(now).Round(time.Second))})
	}
	return out, err
}

// Unlisted names the roots whose newest list does not tell of everything they
// revoked: it is made where their keys are.
func (a *Authority) Unlisted(ctx context.Context) (names []string, err error) {
	err = a.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		lacking, err := unlisted(tx)
		for _, s := range lacking {
			names = append(names, s.Name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what is not listed: %w", err)
	}
	return names, nil
}

func unlisted(tx *ledger.Tx) ([]register.Shard, error) {
	all, err := register.Shards(tx)
	return slices.DeleteFunc(all, func(s register.Shard) bool {
		return certs.IssuerKind(s.Name) != Root || s.Changes <= s.Listed
	}), err
}

// maxAhead is how far in the future a list may be dated without an alarm:
// clocks that are kept right differ by less.
const maxAhead = time.Minute

// listAlarm judges one list: the root's by its warnings, any other when half
// its life has passed without a successor.
func listAlarm(s *register.Shard, now time.Time) (Alarm, bool) {
	left := s.List.NextUpdate.Sub(now)
	alarm := Alarm{Kind: "list-ending", Issuer: s.Name, Until: s.List.NextUpdate}
	until := s.List.NextUpdate.UTC().Format(time.RFC3339)
	if certs.IssuerKind(s.Name) != Root { // made by the publisher
		alarm.Message = fmt.Sprintf("list %s of %s must be replaced before %s: see why the publisher does not", s.Which, s.Name, until)
		return alarm, left <= s.List.NextUpdate.Sub(s.List.ThisUpdate)/2
	}
	alarm.Message = fmt.Sprintf("the list of %s ends %s, in %d days: bring its key to a ceremony with a list step (cardinal ca ceremony)", s.Name, until, int(left/(24*time.Hour)))
	if left > rootLastCall {
		alarm.Kind = "list-due"
	}
	return alarm, left <= rootWarning
}

func endedIssuers(tx *ledger.Tx, now time.Time) (map[certs.IssuerID]bool, error) {
	issuers, err := register.Issuers(tx)
	if err != nil {
		return nil, err
	}
	ended := map[certs.IssuerID]bool{}
	for _, i := range issuers {
		outline, err := certs.OutlineOf(i.DER)
		if err != nil {
			return nil, fmt.Errorf("reading authority %s: %w", i.Name, err)
		}
		ended[i.ID] = now.After(outline.NotAfter)
	}
	return ended, nil
}
