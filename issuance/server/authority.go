package server

import (
	"cardinal/certs"
	"cardinal/issuance"
	"cardinal/issuance/api"
)

func (s *server) openAPI(*exchange) (answer, error) { return done(s.document) }

func (s *server) health(x *exchange) (answer, error) {
	h, err := s.desk.Health(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(healthOut(h))
}

func (s *server) self(x *exchange) (answer, error) {
	self, err := s.desk.Self(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(selfOut(self))
}

func (s *server) operators(x *exchange) (answer, error) {
	all, err := s.desk.Operators(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(api.OperatorList{Operators: each(all, operatorOut)})
}

func (s *server) issuers(x *exchange) (answer, error) {
	all, err := s.desk.Issuers(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(api.IssuerList{Issuers: each(all, issuerOut)})
}

func (s *server) lists(x *exchange) (answer, error) {
	all, err := s.desk.Lists(x.Context(), x.operator)
	if err != nil {
		return answer{}, err
	}
	return done(api.Lists{Lists: each(all, listOut)})
}

func (s *server) publishLists(x *exchange) (answer, error) {
	p, err := body[api.PublishLists](x)
	if err != nil {
		return answer{}, err
	}
	which := issuance.Publication{Issuer: p.Issuer, All: p.Shard == nil && p.List == ""}
	switch {
	case p.List != "" && p.Shard != nil:
		return answer{}, badField("list", "a list and a shard are two ways to name one list")
	case p.List != "":
		var ok bool
		if which.List, ok = certs.ParseListName(p.List); !ok {
			return answer{}, badField("list", "%q is none of 0, 1, …, full, archive", p.List)
		}
		which.List.Delta = false // it comes with the list it belongs to
	case p.Shard != nil:
		if *p.Shard < 0 || *p.Shard >= 1<<16 {
			return answer{}, badField("shard", "%d is no shard", *p.Shard)
		}
		which.List = certs.ShardList(uint16(*p.Shard))
	}
	all, at, err := s.desk.PublishLists(x.Context(), x.operator, which)
	if err != nil {
		return answer{}, err
	}
	return done(api.Lists{Lists: each(all, listOut), Written: s.written(x, at)})
}
