package server

import (
	"net/http"

	"cardinal/certs"
	"cardinal/issuance"
	"cardinal/issuance/api"
)

// handlers is the table from routes to what they do.
func (s *server) handlers() map[string]handler {
	return map[string]handler{
		"OpenAPI": s.openAPI, "Health": s.health, "Self": s.self, "Operators": s.operators,
		"AddPerson": s.addPerson, "Persons": s.persons, "Person": s.person, "UpdatePerson": s.updatePerson,
		"AddPosition": s.addPosition, "Positions": s.positions, "ClosePosition": s.closePosition,
		"RequestCase": s.requestCase, "Cases": s.cases, "Case": s.oneCase,
		"ApproveCase": s.approveCase, "RefuseCase": s.refuseCase, "Issue": s.issue,
		"Cards": s.cards, "Card": s.card, "HandOver": s.cardVerb(s.desk.HandOver),
		"Suspend": s.cardVerb(s.desk.Suspend), "Resume": s.cardVerb(s.desk.Resume),
		"Cancel": s.cancel, "Renew": s.renew, "Replace": s.replace,
		"PlanOrder": s.planOrder, "PlaceOrder": s.placeOrder, "Orders": s.orders, "Order": s.order, "OrderCards": s.orderCards,
		"ConfirmOrder": s.confirmOrder, "StopOrder": s.steer(s.desk.StopOrder), "ContinueOrder": s.steer(s.desk.ContinueOrder), "WithdrawOrder": s.steer(s.desk.WithdrawOrder),
		"BreakGlass": s.breakGlass, "AddBreakGlass": s.spare(s.desk.Spare), "RemoveBreakGlass": s.spare(s.desk.Unspare),
		"Served": s.served, "Events": s.events,
		"Certificates": s.certificates, "Issuers": s.issuers, "Lists": s.lists, "PublishLists": s.publishLists,
	}
}

func (s *server) addPerson(x *exchange) (answer, error) {
	n, err := body[api.NewPerson](x)
	if err != nil {
		return answer{}, err
	}
	distinct, err := uuids("distinct_from", n.DistinctFrom)
	if err != nil {
		return answer{}, err
	}
	uuid, at, err := s.desk.AddPerson(x.Context(), x.operator, issuance.NewPerson{
		Title: n.Title, Given: n.Given, Middle: n.Middle, Family: n.Family, Birth: n.Birth,
		Mail: n.Mail, Phone: n.Phone, UPN: n.UPN, Evidence: documentsIn(n.Evidence), Photo: n.Photo, DistinctFrom: distinct})
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: api.PersonWritten{UUID: string(uuid), Written: s.written(x, at)}}, nil
}

func (s *server) updatePerson(x *exchange) (answer, error) {
	uuid, err := person("uuid", x.PathValue("uuid"))
	if err != nil {
		return answer{}, err
	}
	c, err := body[api.PersonChange](x)
	if err != nil {
		return answer{}, err
	}
	distinct, err := uuids("distinct_from", c.DistinctFrom)
	if err != nil {
		return answer{}, err
	}
	change := issuance.PersonChange{Title: c.Title, Given: c.Given, Middle: c.Middle, Family: c.Family, Birth: c.Birth,
		Mail: c.Mail, Phone: c.Phone, UPN: c.UPN, Status: c.Status, Photo: c.Photo, DistinctFrom: distinct, Reason: c.Reason}
	if c.Evidence != nil {
		change.Evidence = documentsIn(*c.Evidence)
	}
	at, err := s.desk.UpdatePerson(x.Context(), x.operator, uuid, change)
	if err != nil {
		return answer{}, err
	}
	return done(api.PersonWritten{UUID: string(uuid), Written: s.written(x, at)})
}

func (s *server) person(x *exchange) (answer, error) {
	uuid, err := person("uuid", x.PathValue("uuid"))
	if err != nil {
		return answer{}, err
	}
	p, err := s.desk.Person(x.Context(), x.operator, uuid)
	if err != nil {
		return answer{}, err
	}
	return done(personOut(p))
}

func (s *server) persons(x *exchange) (answer, error) {
	if err := x.known("family", "after", "limit"); err != nil {
		return answer{}, err
	}
	page, err := x.page()
	if err != nil {
		return answer{}, err
	}
	all, next, err := s.desk.Persons(x.Context(), x.operator, x.query.Get("family"), page)
	if err != nil {
		return answer{}, err
	}
	return done(api.PersonPage{Persons: each(all, personOut), Next: next})
}

func (s *server) addPosition(x *exchange) (answer, error) {
	uuid, err := person("uuid", x.PathValue("uuid"))
	if err != nil {
		return answer{}, err
	}
	n, err := body[api.NewPosition](x)
	if err != nil {
		return answer{}, err
	}
	id, at, err := s.desk.AddPosition(x.Context(), x.operator, uuid, issuance.NewPosition(*n))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: api.PositionWritten{ID: id, Written: s.written(x, at)}}, nil
}

func (s *server) positions(x *exchange) (answer, error) {
	uuid, err := person("uuid", x.PathValue("uuid"))
	if err != nil {
		return answer{}, err
	}
	all, err := s.desk.Positions(x.Context(), x.operator, uuid)
	if err != nil {
		return answer{}, err
	}
	return done(api.PositionList{Positions: each(all, positionOut)})
}

func (s *server) closePosition(x *exchange) (answer, error) {
	uuid, err := person("uuid", x.PathValue("uuid"))
	if err != nil {
		return answer{}, err
	}
	c, err := body[api.ClosePosition](x)
	if err != nil {
		return answer{}, err
	}
	id := x.PathValue("position")
	at, err := s.desk.ClosePosition(x.Context(), x.operator, uuid, issuance.Closing{Position: id, On: c.Closes, Reason: c.Reason})
	if err != nil {
		return answer{}, err
	}
	return done(api.PositionWritten{ID: id, Written: s.written(x, at)})
}

func uuids(field string, texts []string) ([]certs.UUID, error) {
	var all []certs.UUID
	for _, text := range texts {
		uuid, err := person(field, text)
		if err != nil {
			return nil, err
		}
		all = append(all, uuid)
	}
	return all, nil
}
