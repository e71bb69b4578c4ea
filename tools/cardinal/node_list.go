package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cardinal/certs"
	"cardinal/certs/nodes"
	"cardinal/certs/register"
	"cardinal/internal/journal"
	"cardinal/internal/journal/feed"
	"cardinal/internal/ledger"
	"cardinal/policies"
)

func nodeList(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "list", Short: "List the read nodes: how far each is, how old, and when it will refuse by itself", Args: cobra.NoArgs,
		Long: `Nodes say how far they are with each question; what this shows is up to 5 seconds old. LAG is in
positions. REFUSES says when OCSP and LDAP stop answering there if the node hears nothing more.`,
		Example: "  cardinal node list --dir cards",
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			return failing("node list", a.listNodes(cmd.Context(), f, config))
		}}
	dirFlag(c, &dir)
	return c
}

// nodeRow is one node as node list prints it.
type nodeRow struct {
	Name       string   `json:"name"`
	Scope      string   `json:"scope"`
	Hosts      []string `json:"hosts,omitempty"`
	State      string   `json:"state"` // following, away, never seen, disabled
	Epoch      uint64   `json:"epoch,omitempty"`
	Position   uint64   `json:"position,omitempty"`
	Lag        uint64   `json:"lag"`
	Age        float64  `json:"age_seconds,omitempty"`
	Seen       string   `json:"seen,omitempty"`
	Version    string   `json:"version,omitempty"`
	OCSPUntil  string   `json:"ocsp_until,omitempty"`
	LDAPUntil  string   `json:"ldap_until,omitempty"`
	CertEnds   string   `json:"certificate_ends,omitempty"`
	Disabled   string   `json:"disabled,omitempty"`
	WhyRefused string   `json:"why,omitempty"`
}

func (a *app) listNodes(ctx context.Context, f folder, config Config) (err error) {
	l, err := a.openLedger(ctx, f, config)
	if err != nil {
		return err
	}
	defer closeInto(&err, l)
	now := a.clock(config)
	at := nodes.Register{Ledger: l, Now: now}
	leases := feed.NewLeases(at.List)
	if err := at.LoadLeases(ctx, leases.Note); err != nil {
		return err
	}
	states, err := leases.Applied(ctx)
	if err != nil {
		return err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return err
	}
	rows := make([]nodeRow, len(states))
	for i := range states {
		rows[i] = rowOfNode(&states[i], head, now())
	}
	return a.print(struct {
		Position uint64    `json:"position"`
		Nodes    []nodeRow `json:"nodes"`
	}{uint64(head.Position), rows}, func(w io.Writer) {
		row(w, "NODE", "SCOPE", "STATE", "LAG", "AGE", "LAST SEEN", "OCSP REFUSES", "LDAP REFUSES", "VERSION")
		for _, r := range rows {
			row(w, r.Name, r.Scope, r.State, r.Lag, (time.Duration(r.Age*1000) * time.Millisecond).String(), r.Seen, r.OCSPUntil, r.LDAPUntil, r.Version)
		}
	})
}

func rowOfNode(s *feed.NodeState, head journal.Head, now time.Time) nodeRow {
	r := nodeRow{Name: s.Name, Scope: string(s.Scope), Hosts: s.Hosts, State: "never seen", WhyRefused: s.Why,
		Epoch: uint64(s.Epoch), Position: uint64(s.Position), Version: s.Version,
		Seen: moment(s.Seen), CertEnds: moment(s.Ends), Disabled: moment(s.Disabled)}
	ocsp, directory := s.Refuses()
	r.OCSPUntil, r.LDAPUntil = moment(ocsp), moment(directory)
	if !s.Seen.IsZero() {
		r.State, r.Age = "away", max(0, now.Sub(s.AsOf)).Seconds()
		if now.Sub(s.Seen) < leaseEvery+liveMargin {
			r.State = "following"
		}
		if s.Loading && r.State == "following" {
			r.State = "loading"
		}
		if head.Position > s.Position {
			r.Lag = uint64(head.Position - s.Position)
		}
	}
	if !s.Disabled.IsZero() {
		r.State = "disabled"
	}
	return r
}

// liveMargin is how long after its last word a node counts as following, beside how late that is read.
const liveMargin = 10 * time.Second

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func nodeDisable(a *app) *cobra.Command {
	var dir, why string
	c := &cobra.Command{Use: "disable NAME", Short: "Refuse a node from now on, and revoke its certificates", Args: cobra.ExactArgs(1),
		Long: `Takes effect at once, in the middle of what the node is being sent. It cannot be taken back: add the
machine again under another name. A node that is out of reach does not hear of it: it answers until it is
as old as it may be, and what it signs by then is believed until its responder certificates end; both are
printed.`,
		Example: "  cardinal node disable edge-1 --dir cards --reason stolen",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, config, err := a.open(dir)
			if err != nil {
				return err
			}
			return failing("node disable", a.disableNode(cmd.Context(), f, config, disabling{name: args[0], why: why}))
		}}
	dirFlag(c, &dir)
	c.Flags().StringVar(&why, "reason", "", "why, for those who look later")
	return c
}

// disabling is a node to be disabled, and what it could still do.
type disabling struct {
	name, why string
	revoked   []certs.Ref
	signs     time.Time // until when a responder certificate of it counts
}

func (d *disabling) run(tx *ledger.Tx) error {
	var err error
	if d.revoked, err = nodes.Disable(tx, d.name, d.why); err != nil {
		return err
	}
	held, err := register.ByHolder(tx, d.name)
	if err != nil {
		return err
	}
	for _, c := range held {
		if c.Profile == policies.ProfileResponder && c.NotAfter.After(d.signs) {
			d.signs = c.NotAfter
		}
	}
	return nil
}

func (a *app) disableNode(ctx context.Context, f folder, config Config, d disabling) (err error) {
	l, err := a.openLedger(ctx, f, config)
	if err != nil {
		return err
	}
	defer closeInto(&err, l)
	position, err := l.Write(ctx, func(tx *ledger.Tx) error { return d.run(tx) })
	if err != nil {
		return nodeProblem(d.name, err)
	}
	var serials []string
	for _, ref := range d.revoked {
		serials = append(serials, strings.ToLower(ref.Serial.Hex()))
	}
	state, err := lastWord(ctx, nodes.Register{Ledger: l, Now: a.clock(config)}, d.name)
	if err != nil {
		return err
	}
	ocsp, directory := state.Refuses()
	return a.printJSON(struct {
		Disabled  string   `json:"disabled"`
		Position  uint64   `json:"position"`
		Revoked   []string `json:"revoked"`
		Seen      string   `json:"seen,omitempty"`
		OCSPUntil string   `json:"ocsp_until,omitempty"`
		LDAPUntil string   `json:"ldap_until,omitempty"`
		Signs     string   `json:"signatures_until,omitempty"`
	}{d.name, uint64(position), serials, moment(state.Seen), moment(ocsp), moment(directory), moment(d.signs)})
}

// lastWord is a node with the last it said that was written down.
func lastWord(ctx context.Context, at nodes.Register, name string) (feed.NodeState, error) {
	leases := feed.NewLeases(at.List)
	if err := at.LoadLeases(ctx, leases.Note); err != nil {
		return feed.NodeState{}, err
	}
	states, err := leases.Applied(ctx)
	for _, s := range states {
		if s.Name == name {
			return s, err
		}
	}
	return feed.NodeState{}, err
}
