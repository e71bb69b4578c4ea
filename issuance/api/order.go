package api

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Verbs of an order.
const (
	OrderSuspend = "suspend"
	OrderResume  = "resume"
	OrderCancel  = "cancel"
)

// States of an order.
const (
	OrderPreparing = "preparing"
	OrderAwaiting  = "awaiting"
	OrderRunning   = "running"
	OrderStopped   = "stopped"
	OrderDone      = "done"
	OrderWithdrawn = "withdrawn"
	OrderExpired   = "expired"
)

// NewOrder asks for one verb on many cards, or for what it would do. Exactly one
// of Names, Filter and Undoes chooses them. Names are of cards, of persons (for
// the card that counts), or serials in hex; Filter is RFC 4515 over the fields
// of a card (card, person, state, reason, issued, ends, issuer, serial, case,
// replaces) and the attributes of its holder's entries; Undoes lifts what an
// order suspended. The rest is as CancelCard has it. RequestID is as
// PairRequest has it.
type NewOrder struct {
	RequestID      string     `json:"request_id,omitempty"` // not of a plan
	Verb           string     `json:"verb"`
	Names          []string   `json:"names,omitempty"`
	Filter         string     `json:"filter,omitempty"`
	Undoes         string     `json:"undoes,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	Note           string     `json:"note,omitempty"`
	Since          *time.Time `json:"since,omitempty"`
	PasscodeKnown  bool       `json:"passcode_known,omitempty"`
	SignaturesFall bool       `json:"signatures_fall,omitempty"`
}

// Order is one verb on many cards, from asking to its end.
type Order struct {
	ID             string     `json:"id"`
	Verb           string     `json:"verb"`
	State          string     `json:"state"`
	Choice         string     `json:"choice"`
	Undoes         string     `json:"undoes,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	Note           string     `json:"note,omitempty"`
	Since          *time.Time `json:"since,omitempty"`
	PasscodeKnown  bool       `json:"passcode_known,omitempty"`
	SignaturesFall bool       `json:"signatures_fall,omitempty"`
	By             string     `json:"by"`
	Role           string     `json:"role"`
	Placed         time.Time  `json:"placed"`
	Second         string     `json:"second,omitempty"`
	Confirmed      *time.Time `json:"confirmed,omitempty"`
	Expires        *time.Time `json:"expires,omitempty"` // of one that awaits a second administrator
	UndoUntil      *time.Time `json:"undo_until,omitempty"`
	Content        string     `json:"content"` // SHA-256 of all that is confirmed
	Cards          int64      `json:"cards"`
	Taken          int64      `json:"taken"`
	Done           int64      `json:"done"`
	Left           int64      `json:"left"`   // by a rule, as they were
	Spared         int64      `json:"spared"` // break-glass cards
	Started        *time.Time `json:"started,omitempty"`
	Ended          *time.Time `json:"ended,omitempty"`
	HeldMillis     float64    `json:"held_ms"` // the longest a block held the journal's head
	Decisions      []Step     `json:"decisions,omitempty"`
	// Position is, once it ended, where a copy has seen all of it.
	Position uint64 `json:"position"`
}

// Step is one line of an order's history.
type Step struct {
	Verb     string   `json:"verb"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to"`
	Decision Decision `json:"decision"`
}

// OrderPage is one page of orders, newest first.
type OrderPage struct {
	Orders []Order `json:"orders"`
	Next   string  `json:"next,omitempty"`
}

// OrderFilter narrows a listing.
type OrderFilter struct {
	State string
	After string
	Limit int
}

// OrderCard is one card of an order; Outcome is done, waiting, or the rule that
// left it as it was.
type OrderCard struct {
	N       int64  `json:"n"`
	Card    string `json:"card"`
	Outcome string `json:"outcome"`
}

// OrderCardPage is one page of an order's cards.
type OrderCardPage struct {
	Cards []OrderCard `json:"cards"`
	Next  string      `json:"next,omitempty"`
}

// OrderCardFilter narrows a listing to what a rule left.
type OrderCardFilter struct {
	Left  bool
	After string
	Limit int
}

// ConfirmOrder is a second administrator's yes to a content.
type ConfirmOrder struct {
	Content string `json:"content"`
}

// OrderPlan is what an order would do now.
type OrderPlan struct {
	Verb       string            `json:"verb"`
	Choice     string            `json:"choice"`
	Chosen     int64             `json:"chosen"`
	Would      int64             `json:"would"`
	Leaves     map[string]int64  `json:"leaves"` // by rule
	Spared     int64             `json:"spared"`
	BreakGlass int               `json:"break_glass"` // active cards of the set
	Short      bool              `json:"short"`       // too few of them: it would be refused
	Second     bool              `json:"second"`      // another administrator would have to confirm
	Own        bool              `json:"own"`         // the asker's own card is among them
	Becomes    PairStatus        `json:"becomes"`
	Sample     []PlannedCard     `json:"sample"`
	Verifiers  []VerifierOutlook `json:"verifiers"`
}

// PairStatus is what both certificates would become.
type PairStatus struct {
	Authentication CertificateStatus `json:"authentication"`
	Signature      CertificateStatus `json:"signature"`
	SignaturesFall bool              `json:"signatures_fall"` // what the card signed before would count no longer
}

// PlannedCard is one card of a plan.
type PlannedCard struct {
	Card   string `json:"card"`
	Person string `json:"person"`
	State  string `json:"state"`
	Leaves string `json:"leaves,omitempty"` // the rule that leaves it
}

// VerifierOutlook is what a kind of relying system makes of it.
type VerifierOutlook struct {
	Verifier string `json:"verifier"`
	Says     string `json:"says"`
	Clause   string `json:"clause"`
}

// BreakGlassCard is a card that orders on many leave working.
type BreakGlassCard struct {
	Card   string   `json:"card"`
	Person string   `json:"person"`
	State  string   `json:"state"`
	Added  Decision `json:"added"`
}

// BreakGlassSet answers BreakGlass; Needed is how many must be active before
// many cards are stopped.
type BreakGlassSet struct {
	Cards  []BreakGlassCard `json:"cards"`
	Needed int              `json:"needed"`
}

// PlanOrder asks what an order would do. It may look at every card.
func (c *Client) PlanOrder(ctx context.Context, o NewOrder) (*OrderPlan, error) {
	return ask[OrderPlan](ctx, c, call{route: "PlanOrder", body: o, patient: true})
}

// PlaceOrder asks for an order. It may look at every card. Asking again with the
// same request id is safe.
func (c *Client) PlaceOrder(ctx context.Context, o NewOrder) (*Order, error) {
	return ask[Order](ctx, c, call{route: "PlaceOrder", body: o, patient: true})
}

// Orders lists orders, newest first.
func (c *Client) Orders(ctx context.Context, f OrderFilter) (*OrderPage, error) {
	return ask[OrderPage](ctx, c, call{route: "Orders", query: page(filled("state", f.State), f.After, f.Limit)})
}

// Order shows one order with every decision.
func (c *Client) Order(ctx context.Context, id string) (*Order, error) {
	return ask[Order](ctx, c, call{route: "Order", path: []string{id}})
}

// OrderCards lists an order's cards with what became of them.
func (c *Client) OrderCards(ctx context.Context, id string, f OrderCardFilter) (*OrderCardPage, error) {
	query := url.Values{}
	if f.Left {
		query.Set("left", "true")
	}
	return ask[OrderCardPage](ctx, c, call{route: "OrderCards", path: []string{id}, query: page(query, f.After, f.Limit)})
}

// ConfirmOrder is the second administrator's yes.
func (c *Client) ConfirmOrder(ctx context.Context, id string, what ConfirmOrder) (*Order, error) {
	return ask[Order](ctx, c, call{route: "ConfirmOrder", path: []string{id}, body: what})
}

// StopOrder halts an order after the block it is at.
func (c *Client) StopOrder(ctx context.Context, id string, why Reason) (*Order, error) {
	return ask[Order](ctx, c, call{route: "StopOrder", path: []string{id}, body: why})
}

// ContinueOrder has a stopped order go on.
func (c *Client) ContinueOrder(ctx context.Context, id string, why Reason) (*Order, error) {
	return ask[Order](ctx, c, call{route: "ContinueOrder", path: []string{id}, body: why})
}

// WithdrawOrder ends an order that waits or was stopped.
func (c *Client) WithdrawOrder(ctx context.Context, id string, why Reason) (*Order, error) {
	return ask[Order](ctx, c, call{route: "WithdrawOrder", path: []string{id}, body: why})
}

// BreakGlass lists the cards that orders on many leave working.
func (c *Client) BreakGlass(ctx context.Context) (*BreakGlassSet, error) {
	return ask[BreakGlassSet](ctx, c, call{route: "BreakGlass"})
}

// AddBreakGlass puts an active card among them.
func (c *Client) AddBreakGlass(ctx context.Context, card string, why Reason) (*BreakGlassSet, error) {
	return ask[BreakGlassSet](ctx, c, call{route: "AddBreakGlass", path: []string{card}, body: why})
}

// RemoveBreakGlass takes a card out.
func (c *Client) RemoveBreakGlass(ctx context.Context, card string, why Reason) (*BreakGlassSet, error) {
	return ask[BreakGlassSet](ctx, c, call{route: "RemoveBreakGlass", path: []string{card}, body: why})
}

// Served asks how far the nodes are with a position, waiting for those that
// follow for at most 30 s.
func (c *Client) Served(ctx context.Context, position uint64, wait time.Duration) (*Served, error) {
	query := filled("position", strconv.FormatUint(position, 10), "wait", strconv.FormatInt(int64(wait/time.Second), 10))
	return ask[Served](ctx, c, call{route: "Served", query: query})
}
