package ca

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

// Alarm is something somebody must do. Kind is for machines: stopped,
// issuer-key, issuer-ending, list-ending. Until is when it is too late.
type Alarm struct {
	Kind    string
	Issuer  string
	Message string
	Until   time.Time
}

// Alarms gives what stands now, the most urgent first: a stopped authority; a
// year before an authority is too old for the longest certificate it issues,
// which is then refused and not shortened; and lists that will end within half
// their life (the root's, which somebody must bring the key for, within a
// month).
func (a *Authority) Alarms(ctx context.Context) ([]Alarm, error) {
	now := a.Now()
	var out []Alarm
	if err := a.Stopped(); err != nil {
		out = append(out, Alarm{Kind: "stopped", Message: err.Error(), Until: now})
	}
	known := a.known.Load()
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

// listAlarms looks at every list whose issuer has not ended itself, whether its
// key is here or not.
func (a *Authority) listAlarms(ctx context.Context, now time.Time) ([]Alarm, error) {
	var out []Alarm
	err := a.Ledger.Read(ctx, func(tx *ledger.Tx) error {
		ended, err := endedIssuers(tx, now)
		if err != nil {
			return err
		}
		shards, err := register.Shards(tx)
		for i := range shards {
			s := &shards[i]
			if ended[s.Issuer] || now.Before(warnFrom(s)) {
				continue
			}
			out = append(out, Alarm{Kind: "list-ending", Issuer: s.Name, Until: s.List.NextUpdate, Message: fmt.Sprintf(
				"list %d of %s must be replaced before %s", s.Shard, s.Name, s.List.NextUpdate.UTC().Format(time.RFC3339))})
		}
		return err
	})
	return out, err
}

func warnFrom(s *register.Shard) time.Time {
	if certs.IssuerKind(s.Name) == Root {
		return s.List.NextUpdate.AddDate(0, -1, 0)
	}
	return s.List.NextUpdate.Add(-s.List.NextUpdate.Sub(s.List.ThisUpdate) / 2)
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
