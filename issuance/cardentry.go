package issuance

import (
	"fmt"

	"cardinal/certs"
	"cardinal/directory"
	"cardinal/internal/ledger"
)

// What stands in the directory of a person's present card.
const (
	classCard     = "cardinalCard"
	attrCardState = "cardState"
	attrCardEnds  = "cardNotAfter"
)

func (d *Desk) cardDN(c *Card) directory.DN {
	return d.personDN(c.Person).Child(rdn(attrNumber, c.ID))
}

// putCard adds the entry of a new card below its holder's, in the place of the
// card before it: the directory shows the present card alone.
func (d *Desk) putCard(tx *ledger.Tx, c *Card) error {
	old, err := d.cardEntries(tx, c.Person)
	if err != nil {
		return err
	}
	for _, dn := range old {
		if err := d.directory.Delete(tx, desk(), dn); err != nil {
			return fmt.Errorf("deleting the entry %s: %w", dn, err)
		}
	}
	return d.addCard(tx, c)
}

func (d *Desk) addCard(tx *ledger.Tx, c *Card) error {
	e := newEntry(d.cardDN(c), classCard)
	e.PutString(attrNumber, c.ID)
	e.PutString(attrCardState, c.State)
	e.PutString(attrCardEnds, cardEnds(c))
	return d.addEntry(tx, e)
}

func cardEnds(c *Card) string { return c.NotAfter.UTC().Format("20060102150405Z") }

// showCard brings the entry of a card up to date. A card that was issued before
// there were such entries gets one; one that has a successor has none, and
// neither does one whose holder has no entry: no card is kept alive by what the
// directory lacks.
func (d *Desk) showCard(tx *ledger.Tx, c *Card) error {
	dn := d.cardDN(c)
	mods := append(replacing(attrCardState, []byte(c.State)), replacing(attrCardEnds, []byte(cardEnds(c)))...)
	switch shown, err := d.entry(tx, dn); {
	case err != nil:
		return err
	case shown != nil:
		return d.modifyEntry(tx, dn, mods)
	}
	holder, err := d.entry(tx, d.personDN(c.Person))
	if err != nil || holder == nil {
		return err
	}
	if others, err := d.cardEntries(tx, c.Person); err != nil || len(others) > 0 {
		return err
	}
	return d.addCard(tx, c)
}

// cardEntries are the names of a person's cards in the directory.
func (d *Desk) cardEntries(tx *ledger.Tx, uuid certs.UUID) ([]directory.DN, error) {
	var found []directory.DN
	err := d.directory.Children(tx, d.personDN(uuid), func(e *directory.Entry) error {
		if isOf(e, classCard) {
			found = append(found, e.DN.Clone())
		}
		return nil
	})
	if err != nil && !isAbsent(err) {
		return nil, fmt.Errorf("reading the cards of %s: %w", uuid, err)
	}
	return found, nil
}
