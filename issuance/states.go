package issuance

import "slices"

// States of a case. Names are those of the API.
const (
	CaseRequested  = "requested"
	CaseApproved   = "approved"
	CaseRefused    = "refused"
	CaseIssued     = "issued"
	CaseHandedOver = "handed-over"
	CaseWithdrawn  = "withdrawn"
)

// States of a card. CardExpired is never stored: issued, active and suspended
// become it when the pair's time is over.
const (
	CardIssued    = "issued"
	CardActive    = "active"
	CardSuspended = "suspended"
	CardCancelled = "cancelled"
	CardReplaced  = "replaced"
	CardExpired   = "expired"
)

// States of an order on many cards. Preparing is before it counts; awaiting is
// for the second administrator. Withdrawn, expired and done are ends.
const (
	OrderPreparing = "preparing"
	OrderAwaiting  = "awaiting"
	OrderRunning   = "running"
	OrderStopped   = "stopped"
	OrderDone      = "done"
	OrderWithdrawn = "withdrawn"
	OrderExpired   = "expired"
)

// Verbs, as the log of decisions spells them.
const (
	verbRegister = "register"
	verbContact  = "contact" // telephone alone
	verbUpdate   = "update"  // what an approval rests on: documents, photograph, mail
	verbRename   = "rename"  // name, birth or user principal name
	verbClose    = "close"
	verbAssign   = "assign-position"
	verbUnassign = "close-position"
	verbRequest  = "request"
	verbApprove  = "approve"
	verbRefuse   = "refuse"
	verbWithdraw = "withdraw"
	verbIssue    = "issue"
	verbHandOver = "hand-over"
	verbSuspend  = "suspend"
	verbResume   = "resume"
	verbRenew    = "renew"
	verbCancel   = "cancel"
	verbReplace  = "replace"
	verbEnrol    = "enrol"
	verbEnd      = "end"
	verbOrder    = "order"
	verbConfirm  = "confirm"
	verbStop     = "stop"
	verbContinue = "continue"
	verbExpire   = "expire"
	verbFinish   = "finish"
	verbSpare    = "break-glass"     // put into the break-glass set
	verbUnspare  = "not-break-glass" // taken out of it
	verbRestore  = "restore"         // what a copy knew and a restored ledger did not
)

// move is one allowed transition; what is not in the tables is not allowed.
type move struct {
	verb string
	from []string
	to   string
}

// caseMoves: a case goes one way.
func caseMoves() []move {
	return []move{
		{verbRequest, []string{""}, CaseRequested},
		{verbApprove, []string{CaseRequested, CaseApproved}, CaseApproved}, // anew, when the person changed since
		{verbRefuse, []string{CaseRequested, CaseApproved}, CaseRefused},
		{verbIssue, []string{CaseApproved}, CaseIssued},
		{verbHandOver, []string{CaseIssued}, CaseHandedOver},
		{verbWithdraw, []string{CaseRequested, CaseApproved, CaseIssued}, CaseWithdrawn},
	}
}

// cardMoves: cancelled and replaced are ends; a suspended card returns to where
// it came from, so resume stands here once for each.
func cardMoves() []move {
	return []move{
		{verbIssue, []string{""}, CardIssued},
		{verbHandOver, []string{CardIssued}, CardActive},
		{verbSuspend, []string{CardIssued, CardActive}, CardSuspended},
		{verbResume, []string{CardSuspended}, CardActive},
		{verbResume, []string{CardSuspended}, CardIssued},
		{verbRenew, []string{CardActive, CardExpired}, CardActive},
		{verbCancel, []string{CardIssued, CardActive, CardSuspended, CardExpired}, CardCancelled},
		{verbReplace, []string{CardCancelled, CardExpired}, CardReplaced},
		{verbRestore, []string{CardIssued, CardActive, CardExpired}, CardSuspended},
		{verbRestore, []string{CardIssued, CardActive, CardSuspended, CardExpired}, CardCancelled},
	}
}

// orderMoves: what was confirmed may be stopped and go on, and what waits or
// was stopped may be withdrawn; what a withdrawn order did stays done. An order
// whose process died while placing it is taken up by asking for it again, or
// withdrawn, or expires.
func orderMoves() []move {
	return []move{
		{verbOrder, []string{OrderPreparing}, OrderAwaiting},
		{verbOrder, []string{OrderPreparing}, OrderRunning},
		{verbConfirm, []string{OrderAwaiting}, OrderRunning},
		{verbStop, []string{OrderRunning}, OrderStopped},
		{verbContinue, []string{OrderStopped}, OrderRunning},
		{verbWithdraw, []string{OrderPreparing, OrderAwaiting, OrderStopped}, OrderWithdrawn},
		{verbExpire, []string{OrderPreparing, OrderAwaiting}, OrderExpired},
		{verbFinish, []string{OrderRunning}, OrderDone},
	}
}

// allowed reports whether the table lets verb lead from one state to the other.
func allowed(moves []move, verb, from, to string) bool {
	return slices.ContainsFunc(moves, func(m move) bool {
		return m.verb == verb && m.to == to && slices.Contains(m.from, from)
	})
}

// starts lists the states verb may start from.
func starts(moves []move, verb string) []string {
	var from []string
	for _, m := range moves {
		if m.verb == verb {
			from = append(from, m.from...)
		}
	}
	slices.Sort(from)
	return slices.Compact(from)
}
