package server

import (
	"context"
	"encoding/hex"
	"net/http"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/issuance"
	"cardinal/issuance/api"
	"cardinal/policies"
)

func (x *exchange) newOrder() (issuance.OrderRequest, error) {
	n, err := body[api.NewOrder](x)
	if err != nil {
		return issuance.OrderRequest{}, err
	}
	return issuance.OrderRequest{RequestID: n.RequestID, Verb: n.Verb,
		Selection: issuance.Selection{Names: n.Names, Filter: n.Filter, Undoes: n.Undoes},
		Cancellation: cancellationIn(&api.CancelCard{Reason: n.Reason, Note: n.Note, Since: n.Since,
			PasscodeKnown: n.PasscodeKnown, SignaturesFall: n.SignaturesFall})}, nil
}

func (s *server) planOrder(x *exchange) (answer, error) {
	r, err := x.newOrder()
	if err != nil {
		return answer{}, err
	}
	p, err := s.desk.PlanOrder(x.Context(), x.operator, r)
	if err != nil {
		return answer{}, err
	}
	return done(planOut(p))
}

func planOut(p *issuance.Plan) api.OrderPlan {
	pair := policies.PairReasons{Authentication: p.Authentication.Reason, Signature: p.Signature.Reason}
	return api.OrderPlan{Verb: p.Verb, Choice: p.Choice, Chosen: p.Chosen, Would: p.Would, Leaves: p.Leaves, Spared: p.Spared,
		BreakGlass: p.BreakGlass, Short: p.Short, Second: p.Second, Own: p.Own,
		Becomes: api.PairStatus{Authentication: statusOut(p.Authentication), Signature: statusOut(p.Signature), SignaturesFall: pair.SignaturesFall()},
		Sample:  each(p.Sample, func(c issuance.PlannedCard) api.PlannedCard { return api.PlannedCard(c) }),
		Verifiers: each(p.Verifiers, func(v issuance.VerifierSays) api.VerifierOutlook {
			return api.VerifierOutlook{Verifier: v.Verifier, Says: v.Says, Clause: v.Citation}
		})}
}

func (s *server) placeOrder(x *exchange) (answer, error) {
	r, err := x.newOrder()
	if err != nil {
		return answer{}, err
	}
	o, _, err := s.desk.PlaceOrder(x.Context(), x.operator, r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: orderOut(o)}, nil
}

func (s *server) orders(x *exchange) (answer, error) {
	if err := x.known("state", "after", "limit"); err != nil {
		return answer{}, err
	}
	page, err := x.page()
	if err != nil {
		return answer{}, err
	}
	all, next, err := s.desk.Orders(x.Context(), x.operator, x.query.Get("state"), page)
	if err != nil {
		return answer{}, err
	}
	return done(api.OrderPage{Orders: each(all, orderOut), Next: next})
}

func (s *server) order(x *exchange) (answer, error) {
	o, err := s.desk.Order(x.Context(), x.operator, x.PathValue("order"))
	if err != nil {
		return answer{}, err
	}
	return done(orderOut(o))
}

func (s *server) orderCards(x *exchange) (answer, error) {
	if err := x.known("left", "after", "limit"); err != nil {
		return answer{}, err
	}
	page, err := x.page()
	if err != nil {
		return answer{}, err
	}
	left := x.query.Get("left")
	if left != "" && left != "true" && left != "false" {
		return answer{}, &wrong{http.StatusBadRequest, "request.query", "left", "is neither true nor false"}
	}
	all, next, err := s.desk.OrderCards(x.Context(), x.operator, issuance.CardsWanted{Order: x.PathValue("order"), Left: left == "true"}, page)
	if err != nil {
		return answer{}, err
	}
	return done(api.OrderCardPage{Cards: each(all, func(c issuance.OrderCard) api.OrderCard { return api.OrderCard(c) }), Next: next})
}

func (s *server) confirmOrder(x *exchange) (answer, error) {
	c, err := body[api.ConfirmOrder](x)
	if err != nil {
		return answer{}, err
	}
	var content journal.Hash
	if n, err := hex.Decode(content[:], []byte(c.Content[:min(len(c.Content), 2*len(content))])); err != nil || n != len(content) || len(c.Content) != 2*n {
		return answer{}, badField("content", "is no SHA-256 in hex")
	}
	o, _, err := s.desk.ConfirmOrder(x.Context(), x.operator, x.PathValue("order"), content)
	if err != nil {
		return answer{}, err
	}
	return done(orderOut(o))
}

type orderVerb func(ctx context.Context, op issuance.Operator, id, note string) (*issuance.Order, journal.Position, error)

func (s *server) steer(verb orderVerb) handler {
	return func(x *exchange) (answer, error) {
		why, err := body[api.Reason](x)
		if err != nil {
			return answer{}, err
		}
		o, _, err := verb(x.Context(), x.operator, x.PathValue("order"), why.Reason)
		if err != nil {
			return answer{}, err
		}
		return done(orderOut(o))
	}
}

func orderOut(o *issuance.Order) api.Order {
	out := api.Order{ID: o.ID, Verb: o.Verb, State: o.State, Choice: o.Choice, Undoes: o.Undoes, Reason: o.Why.Reason, Note: o.Why.Note,
		Since: present(o.Why.Since), PasscodeKnown: o.Why.PasscodeKnown, SignaturesFall: o.Why.SignaturesFall,
		By: o.By, Role: string(o.Role), Placed: o.Placed, Second: o.Second, Confirmed: present(o.Confirmed),
		UndoUntil: present(o.UndoUntil), Content: hex.EncodeToString(o.Content[:]), Cards: o.Total, Taken: o.Taken, Done: o.Done, Left: o.Left,
		Spared: o.Spared, Started: present(o.Started), Ended: present(o.Ended), HeldMillis: o.Held.Seconds() * 1000, Position: uint64(o.Position)}
	if o.State == issuance.OrderAwaiting || o.State == issuance.OrderExpired {
		out.Expires = present(o.Expires)
	}
	for _, d := range o.Events {
		out.Decisions = append(out.Decisions, api.Step{Verb: d.Verb, From: d.From, To: d.To, Decision: *decisionOut(d)})
	}
	return out
}

func (s *server) breakGlass(x *exchange) (answer, error) {
	all, err := s.desk.BreakGlass(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(api.BreakGlassSet{Needed: issuance.LeastBreakGlass, Cards: each(all, func(c issuance.BreakGlassCard) api.BreakGlassCard {
		return api.BreakGlassCard{Card: c.Card, Person: c.Person, State: c.State, Added: *decisionOut(c.Since)}
	})})
}

type spareVerb func(ctx context.Context, op issuance.Operator, id, note string) (*issuance.Card, error)

func (s *server) spare(verb spareVerb) handler {
	return func(x *exchange) (answer, error) {
		why, err := body[api.Reason](x)
		if err != nil {
			return answer{}, err
		}
		if _, err := verb(x.Context(), x.operator, x.PathValue("card"), why.Reason); err != nil {
			return answer{}, err
		}
		return s.breakGlass(x)
	}
}

func kindOf(s certs.Status) string {
	switch s.State {
	case certs.StateHeld:
		return api.EventSuspended
	case certs.StateRevoked:
		return api.EventRevoked
	}
	return api.EventReleased
}
