package ldap

import "cardinal/directory"

// named is a name as a client wrote it, and its key.
type named struct {
	text  string
	key   directory.Key
	again bool // it was asked for again since it was last passed over
}

// names are the last few a connection asked for.
type names struct {
	known [4]named
	next  int
}

// keyOf brings a name from the wire to its key. The last few are remembered:
// most searches of a connection have one of the same few bases.
func (c *conn) keyOf(dn []byte) (directory.Key, error) {
	for i := range c.names.known {
		if n := &c.names.known[i]; n.key != "" && n.text == string(dn) {
			n.again = true
			return n.key, nil
		}
	}
	var room [256]byte
	if key, ok := c.server.schema.AppendPlainKey(room[:0], dn); ok {
		return c.names.remember(dn, key), nil
	}
	parsed, err := directory.ParseDN(string(dn))
	if err != nil {
		return "", badDN(err)
	}
	key, err := c.server.schema.Key(parsed)
	if err != nil {
		return "", err
	}
	return c.names.remember(dn, []byte(key)), nil
}

// remember puts a name in the place of one that was not asked for again.
func (n *names) remember(dn, key []byte) directory.Key {
	for n.known[n.next].again {
		n.known[n.next].again = false
		n.next = (n.next + 1) % len(n.known)
	}
	var room [512]byte
	both := string(append(append(room[:0], dn...), key...)) // they come and go together
	x := named{text: both[:len(dn)], key: directory.Key(both[len(dn):])}
	n.known[n.next] = x
	n.next = (n.next + 1) % len(n.known)
	return x.key
}
