package main

import (
	"fmt"

	"cardinal/certs"
	"cardinal/internal/ledger"
)

const selectPairs = `SELECT c.id, c.person, c.state, c.pair, p.pair,
	p.authentication_issuer, p.authentication_serial, p.signature_issuer, p.signature_serial
	FROM issuance_cards c JOIN issuance_pairs p ON p.card = c.id ORDER BY c.id, p.pair`

// pairRow is one pair of one card as the desk's tables have it.
type pairRow struct {
	card, person, state string
	present, pair       int64
	refs                [2]certs.Ref
}

// checkCards compares what the desk says of each card with what the journal says of its
// certificates: the card is the unit, and both certificates follow it.
func (v *verifier) checkCards(tx *ledger.Tx) error {
	rows, err := tx.Query(selectPairs)
	if err != nil {
		return fmt.Errorf("reading the cards: %w", err)
	}
	defer rows.Close()
	bar := v.a.progress("cards", 0)
	for rows.Next() {
		var p pairRow
		var issuers, serials [2][]byte
		if err := rows.Scan(&p.card, &p.person, &p.state, &p.present, &p.pair, &issuers[0], &serials[0], &issuers[1], &serials[1]); err != nil {
			return fmt.Errorf("reading the cards: %w", err)
		}
		for i := range p.refs {
			copy(p.refs[i].Issuer[:], issuers[i])
			p.refs[i].Serial = certs.Serial(serials[i])
			v.checkPair(p, p.refs[i])
		}
		v.report.Cards++
		bar.add(1)
	}
	bar.finish()
	return rows.Err()
}

func (v *verifier) checkPair(p pairRow, ref certs.Ref) {
	where := "card " + p.card
	recorded := v.model.roll.at(ref.Issuer, ref.Serial)
	if recorded == nil {
		v.found(where, "its certificate %s was never recorded", ref.Serial.Hex())
		return
	}
	if holder := v.model.roll.holderOf(recorded); holder != p.person {
		v.found(where, "belongs to %s, its certificate %s to %s", p.person, ref.Serial.Hex(), holder)
	}
	want, known := stateOf(p.state)
	if p.pair != p.present {
		want = certs.StateRevoked // a renewal ends the pair before it
	}
	if is := recorded.status(); !known || is.State != want {
		v.found(where, "is %s (pair %d of %d), its certificate %s is %s", p.state, p.pair, p.present, ref.Serial.Hex(), statusText(is))
	}
}

// stateOf is the state a card's present certificates are in; known is false for a state no card has.
func stateOf(card string) (state certs.State, known bool) {
	switch card {
	case "issued", "active":
		return certs.StateGood, true
	case "suspended":
		return certs.StateHeld, true
	case "cancelled", "replaced":
		return certs.StateRevoked, true
	}
	return certs.StateRevoked, false
}
