package server

import (
	"context"
	"net/http"

	"cardinal/certs"
	"cardinal/internal/journal"
	"cardinal/issuance"
	"cardinal/issuance/api"
)

func (s *server) requestCase(x *exchange) (answer, error) {
	n, err := body[api.NewCase](x)
	if err != nil {
		return answer{}, err
	}
	uuid, err := person("person", n.Person)
	if err != nil {
		return answer{}, err
	}
	c, at, err := s.desk.RequestCase(x.Context(), x.operator, uuid, n.Reason)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: s.caseWritten(x, c, at)}, nil
}

func (s *server) caseWritten(x *exchange, c *issuance.Case, at journal.Position) api.CaseWritten {
	return api.CaseWritten{Case: c.ID, State: c.State, Written: s.written(x, at)}
}

func (s *server) approveCase(x *exchange) (answer, error) { return s.judge(x, s.desk.ApproveCase) }
func (s *server) refuseCase(x *exchange) (answer, error)  { return s.judge(x, s.desk.RefuseCase) }

func (s *server) judge(x *exchange, verb func(context.Context, issuance.Operator, string, string) (*issuance.Case, journal.Position, error)) (answer, error) {
	why, err := body[api.Reason](x)
	if err != nil {
		return answer{}, err
	}
	c, at, err := verb(x.Context(), x.operator, x.PathValue("case"), why.Reason)
	if err != nil {
		return answer{}, err
	}
	return done(s.caseWritten(x, c, at))
}

func (s *server) oneCase(x *exchange) (answer, error) {
	c, err := s.desk.Case(x.Context(), x.operator, x.PathValue("case"))
	if err != nil {
		return answer{}, err
	}
	return done(caseOut(c))
}

func (s *server) cases(x *exchange) (answer, error) {
	wanted, page, err := x.wanted()
	if err != nil {
		return answer{}, err
	}
	all, next, err := s.desk.Cases(x.Context(), x.operator, wanted, page)
	if err != nil {
		return answer{}, err
	}
	return done(api.CasePage{Cases: each(all, caseOut), Next: next})
}

// wanted reads the filters that lists of cases and cards share.
func (x *exchange) wanted() (issuance.Wanted, issuance.Page, error) {
	var w issuance.Wanted
	if err := x.known("person", "state", "after", "limit"); err != nil {
		return w, issuance.Page{}, err
	}
	if text := x.query.Get("person"); text != "" {
		var err error
		if w.Person, err = person("person", text); err != nil {
			return w, issuance.Page{}, err
		}
	}
	w.State = x.query.Get("state")
	page, err := x.page()
	return w, page, err
}

func (s *server) issue(x *exchange) (answer, error) {
	return s.pair(x, "case", s.desk.Issue)
}

func (s *server) renew(x *exchange) (answer, error) {
	return s.pair(x, "card", s.desk.Renew)
}

func (s *server) pair(x *exchange, subject string, verb func(context.Context, issuance.Operator, string, issuance.PairRequest) (*issuance.Pair, journal.Position, error)) (answer, error) {
	p, err := body[api.PairRequest](x)
	if err != nil {
		return answer{}, err
	}
	r, err := pairIn(p)
	if err != nil {
		return answer{}, err
	}
	made, at, err := verb(x.Context(), x.operator, x.PathValue(subject), *r)
	if err != nil {
		return answer{}, err
	}
	return done(issuedOut(made, s.written(x, at)))
}

func (s *server) cards(x *exchange) (answer, error) {
	wanted, page, err := x.wanted()
	if err != nil {
		return answer{}, err
	}
	all, next, err := s.desk.Cards(x.Context(), x.operator, wanted, page)
	if err != nil {
		return answer{}, err
	}
	return done(api.CardPage{Cards: each(all, cardOut), Next: next})
}

func (s *server) card(x *exchange) (answer, error) {
	c, err := s.desk.Card(x.Context(), x.operator, x.PathValue("card"))
	if err != nil {
		return answer{}, err
	}
	return done(cardOut(c))
}

type cardVerb func(ctx context.Context, op issuance.Operator, id, note string) (*issuance.Card, journal.Position, error)

// cardVerb serves the verbs that take no more than a reason.
func (s *server) cardVerb(verb cardVerb) handler {
	return func(x *exchange) (answer, error) {
		why, err := body[api.Reason](x)
		if err != nil {
			return answer{}, err
		}
		c, at, err := verb(x.Context(), x.operator, x.PathValue("card"), why.Reason)
		if err != nil {
			return answer{}, err
		}
		return done(api.CardWritten{Card: c.ID, State: c.State, Written: s.written(x, at)})
	}
}

func (s *server) cancel(x *exchange) (answer, error) {
	why, err := body[api.CancelCard](x)
	if err != nil {
		return answer{}, err
	}
	c, at, err := s.desk.Cancel(x.Context(), x.operator, x.PathValue("card"), cancellationIn(why))
	if err != nil {
		return answer{}, err
	}
	return done(api.CardWritten{Card: c.ID, State: c.State, Written: s.written(x, at)})
}

func (s *server) replace(x *exchange) (answer, error) {
	why, err := body[api.CancelCard](x)
	if err != nil {
		return answer{}, err
	}
	c, opened, at, err := s.desk.Replace(x.Context(), x.operator, x.PathValue("card"), cancellationIn(why))
	if err != nil {
		return answer{}, err
	}
	return done(api.CardWritten{Card: c.ID, State: c.State, Case: opened.ID, Written: s.written(x, at)})
}

func (s *server) certificates(x *exchange) (answer, error) {
	serial, err := certs.ParseSerial(x.PathValue("serial"))
	if err != nil {
		return answer{}, badField("serial", "%q is no serial in hex", x.PathValue("serial"))
	}
	all, err := s.desk.Certificates(x.Context(), x.operator, serial)
	if err != nil {
		return answer{}, err
	}
	issuers, err := s.desk.Issuers(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(api.CertificateList{Certificates: each(all, certificateOut(issuers))})
}
