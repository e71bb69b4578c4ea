package api

import "context"

// Health asks where the ledger stands and what will stop issuing.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	return ask[Health](ctx, c, call{route: "Health"})
}

// OpenAPI fetches the OpenAPI 3.1 document as JSON.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	return c.exchange(ctx, call{route: "OpenAPI"})
}

// Self asks who the server takes the caller for.
func (c *Client) Self(ctx context.Context) (*Self, error) {
	return ask[Self](ctx, c, call{route: "Self"})
}

// Operators lists the bootstrap operators, ended ones too.
func (c *Client) Operators(ctx context.Context) (*OperatorList, error) {
	return ask[OperatorList](ctx, c, call{route: "Operators"})
}

// AddPerson registers somebody and gets the number the system chose.
func (c *Client) AddPerson(ctx context.Context, p NewPerson) (*PersonWritten, error) {
	return ask[PersonWritten](ctx, c, call{route: "AddPerson", body: p})
}

// Persons lists who is on record, by number.
func (c *Client) Persons(ctx context.Context, f PersonFilter) (*PersonPage, error) {
	return ask[PersonPage](ctx, c, call{route: "Persons", query: page(filled("family", f.Family), f.After, f.Limit)})
}

// Person shows one person, on record or in the directory alone.
func (c *Client) Person(ctx context.Context, uuid string) (*Person, error) {
	return ask[Person](ctx, c, call{route: "Person", path: []string{uuid}})
}

// UpdatePerson changes what is given.
func (c *Client) UpdatePerson(ctx context.Context, uuid string, change PersonChange) (*PersonWritten, error) {
	return ask[PersonWritten](ctx, c, call{route: "UpdatePerson", path: []string{uuid}, body: change})
}

// AddPosition gives a person a role in an organisation.
func (c *Client) AddPosition(ctx context.Context, uuid string, p NewPosition) (*PositionWritten, error) {
	return ask[PositionWritten](ctx, c, call{route: "AddPosition", path: []string{uuid}, body: p})
}

// Positions lists a person's role profiles, closed ones too.
func (c *Client) Positions(ctx context.Context, uuid string) (*PositionList, error) {
	return ask[PositionList](ctx, c, call{route: "Positions", path: []string{uuid}})
}

// ClosePosition ends one role profile of a person.
func (c *Client) ClosePosition(ctx context.Context, uuid, position string, how ClosePosition) (*PositionWritten, error) {
	return ask[PositionWritten](ctx, c, call{route: "ClosePosition", path: []string{uuid, position}, body: how})
}

// RequestCase opens a person's way to a card.
func (c *Client) RequestCase(ctx context.Context, n NewCase) (*CaseWritten, error) {
	return ask[CaseWritten](ctx, c, call{route: "RequestCase", body: n})
}

// Cases lists cases, oldest first.
func (c *Client) Cases(ctx context.Context, f CaseFilter) (*CasePage, error) {
	return ask[CasePage](ctx, c, call{route: "Cases",
		query: page(filled("person", f.Person, "state", f.State), f.After, f.Limit)})
}

// Case shows one case with every decision.
func (c *Client) Case(ctx context.Context, id string) (*Case, error) {
	return ask[Case](ctx, c, call{route: "Case", path: []string{id}})
}

// ApproveCase is the sponsor's yes.
func (c *Client) ApproveCase(ctx context.Context, id string, why Reason) (*CaseWritten, error) {
	return ask[CaseWritten](ctx, c, call{route: "ApproveCase", path: []string{id}, body: why})
}

// RefuseCase is the sponsor's no.
func (c *Client) RefuseCase(ctx context.Context, id string, why Reason) (*CaseWritten, error) {
	return ask[CaseWritten](ctx, c, call{route: "RefuseCase", path: []string{id}, body: why})
}

// Issue makes the approved case's pair.
func (c *Client) Issue(ctx context.Context, id string, p PairRequest) (*Issued, error) {
	return ask[Issued](ctx, c, call{route: "Issue", path: []string{id}, body: p})
}

// Cards lists cards by number.
func (c *Client) Cards(ctx context.Context, f CardFilter) (*CardPage, error) {
	return ask[CardPage](ctx, c, call{route: "Cards",
		query: page(filled("person", f.Person, "state", f.State), f.After, f.Limit)})
}

// Card shows one card with its history.
func (c *Client) Card(ctx context.Context, id string) (*Card, error) {
	return ask[Card](ctx, c, call{route: "Card", path: []string{id}})
}

// HandOver makes an issued card its holder's.
func (c *Client) HandOver(ctx context.Context, id string, why Reason) (*CardWritten, error) {
	return ask[CardWritten](ctx, c, call{route: "HandOver", path: []string{id}, body: why})
}

// Suspend puts both certificates on hold.
func (c *Client) Suspend(ctx context.Context, id string, why Reason) (*CardWritten, error) {
	return ask[CardWritten](ctx, c, call{route: "Suspend", path: []string{id}, body: why})
}

// Resume ends a suspension.
func (c *Client) Resume(ctx context.Context, id string, why Reason) (*CardWritten, error) {
	return ask[CardWritten](ctx, c, call{route: "Resume", path: []string{id}, body: why})
}

// Cancel ends a card for good.
func (c *Client) Cancel(ctx context.Context, id string, how CancelCard) (*CardWritten, error) {
	return ask[CardWritten](ctx, c, call{route: "Cancel", path: []string{id}, body: how})
}

// Renew puts a new pair on the same card and ends the old pair.
func (c *Client) Renew(ctx context.Context, id string, p PairRequest) (*Issued, error) {
	return ask[Issued](ctx, c, call{route: "Renew", path: []string{id}, body: p})
}

// Replace cancels a card and opens the case for its successor, which needs a
// sponsor's approval and another person's issuing like a first card.
func (c *Client) Replace(ctx context.Context, id string, how CancelCard) (*CardWritten, error) {
	return ask[CardWritten](ctx, c, call{route: "Replace", path: []string{id}, body: how})
}

// Certificates shows every certificate of record with this serial, in hex.
func (c *Client) Certificates(ctx context.Context, serial string) (*CertificateList, error) {
	return ask[CertificateList](ctx, c, call{route: "Certificates", path: []string{serial}})
}

// Issuers lists the certification authorities of this house.
func (c *Client) Issuers(ctx context.Context) (*IssuerList, error) {
	return ask[IssuerList](ctx, c, call{route: "Issuers"})
}

// Lists shows the newest revocation list of every issuer and shard.
func (c *Client) Lists(ctx context.Context) (*Lists, error) {
	return ask[Lists](ctx, c, call{route: "Lists"})
}

// PublishLists has new revocation lists signed now.
func (c *Client) PublishLists(ctx context.Context, p PublishLists) (*Lists, error) {
	return ask[Lists](ctx, c, call{route: "PublishLists", body: p})
}
