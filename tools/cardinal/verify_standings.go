package main

import (
	"fmt"
	"time"

	"cardinal/certs"
	"cardinal/certs/register"
	"cardinal/internal/ledger"
)

// checkStandings compares every status the register has with the journal's, and what lists go by with it: the shard, the
// end, when it changed. What has none there is good.
func (v *verifier) checkStandings(tx *ledger.Tx) error {
	err := register.Standings(tx, func(s register.Standing) error {
		v.checkStanding(s)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the statuses: %w", err)
	}
	for _, c := range v.model.roll.all() {
		if should := c.status(); !c.standing && should.State != certs.StateGood {
			v.found("status of "+c.hex(), "the register says %s, the journal %s", statusText(certs.Status{}), statusText(should))
		}
	}
	return nil
}

func (v *verifier) checkStanding(s register.Standing) {
	where, c := "status of "+s.Serial.Hex(), v.model.roll.at(s.Issuer, s.Serial)
	if c == nil {
		v.found(where, "the register has one, the journal never recorded the certificate")
		return
	}
	if c.standing {
		v.found(where, "the register has two")
	}
	c.standing = true
	if should := c.status(); !sameStatus(s.Status, should) {
		v.found(where, "the register says %s, the journal %s", statusText(s.Status), statusText(should))
	}
	if s.Shard != c.shard || s.Ends.Before(second(c.notAfter)) || s.Ends.After(second(c.notAfter).Add(time.Second)) {
		v.found(where, "the register lists it in shard %d until %s, the journal in %d until %s", s.Shard, s.Ends, c.shard, second(c.notAfter))
	}
	if s.Changed.UnixMicro() != c.changed {
		v.found(where, "the register says it changed %s, the journal %s", s.Changed, time.UnixMicro(c.changed).UTC())
	}
}
