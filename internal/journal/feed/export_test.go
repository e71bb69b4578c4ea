package feed

import "time"

// Patient is c for a client that waits a minute longer for everything: a machine that stands still for seconds, twice within
// one handshake, is none of what is tested.
func (c ClientConfig) Patient() ClientConfig {
	c.longer = time.Minute
	return c
}
