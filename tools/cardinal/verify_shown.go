package main

import (
	"fmt"
	"slices"
	"strings"

	"cardinal/directory"
	"cardinal/internal/ledger"
)

// shownCard is what the directory has to show of a card: what the desk has of it.
type shownCard struct {
	person, state, replacedBy string
	ends                      int64 // in microseconds since 1970
}

// end is when the card ends, as entries say it.
func (c shownCard) end() string { return micro(c.ends).Format("20060102150405Z") }

// readShown reads what the desk has of each card.
func (v *verifier) readShown(tx *ledger.Tx) error {
	v.cards = map[string]shownCard{}
	rows, err := tx.Query(`SELECT id, person, state, not_after, replaced_by FROM issuance_cards`)
	if err != nil {
		return fmt.Errorf("reading the cards: %w", err)
	}
	defer rows.Close()
	states := map[string]string{} // each kept once, not once a card
	for rows.Next() {
		var id string
		var c shownCard
		if err := rows.Scan(&id, &c.person, &c.state, &c.ends, &c.replacedBy); err != nil {
			return fmt.Errorf("reading the cards: %w", err)
		}
		if _, known := states[c.state]; !known {
			states[c.state] = c.state
		}
		c.state = states[c.state]
		v.cards[id] = c
	}
	return rows.Err()
}

// checkShownCard compares an entry that shows a card with what the desk has of the card. The entries
// are those of record, which the copies are compared with item by item. A card without an entry
// is no difference: there are some from before there were such entries, and of people who have
// left.
func (v *verifier) checkShownCard(e *directory.Entry, f *findings) {
	if !slices.ContainsFunc(e.Get("objectClass"), func(class []byte) bool { return strings.EqualFold(string(class), "cardinalCard") }) {
		return
	}
	id, where := e.First("uniqueIdentifier"), "entry "+e.DN.String()
	c, known := v.cards[id]
	person := ""
	if above := e.DN.Parent(); len(above) > 0 && len(above[0]) > 0 {
		person = string(above[0][0].Value)
	}
	switch {
	case !known:
		f.found(where, "the desk knows no card %s", id)
	case c.person != person:
		f.found(where, "the card is %s's", c.person)
	case c.replacedBy != "":
		f.found(where, "the card was replaced by %s", c.replacedBy)
	case e.First("cardState") != c.state:
		f.found(where, "shows the card as %s, the desk has it as %s", e.First("cardState"), c.state)
	case e.First("cardNotAfter") != c.end():
		f.found(where, "shows the card as ending at %s, the desk at %s", e.First("cardNotAfter"), c.end())
	}
}
