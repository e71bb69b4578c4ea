package ldap

import (
	"cardinal/directory"
	"cardinal/internal/ber"
)

func (u *update) name(dn []byte) (err error) {
	if u.dn, err = directory.ParseDN(string(dn)); err != nil {
		return badDN(err)
	}
	u.key, err = u.conn.server.schema.Key(u.dn)
	u.after = u.key
	return err
}

func (u *update) parseAdd(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	u.entry = &directory.Entry{}
	for n := 0; !list.Empty(); n++ {
		if n >= maxAttributes {
			return protocolError("too many attributes")
		}
		a, err := readAttribute(&list)
		if err != nil {
			return err
		}
		u.entry.Attributes = append(u.entry.Attributes, a)
	}
	if err := u.name(name); err != nil {
		return err
	}
	u.entry.DN = u.dn
	return nil
}

// readAttribute reads an Attribute or PartialAttribute (RFC 4511 §4.1.7).
func readAttribute(r *ber.Reader) (a directory.Attribute, err error) {
	seq, err := r.Enter(ber.Sequence)
	if err != nil {
		return a, err
	}
	typ, err := seq.Expect(ber.OctetString)
	if err != nil {
		return a, err
	}
	set, err := seq.Enter(ber.Set)
	if err != nil {
		return a, err
	}
	a.Type = string(typ)
	for !set.Empty() {
		v, err := set.Expect(ber.OctetString)
		if err != nil {
			return a, err
		}
		a.Values = append(a.Values, v)
	}
	return a, nil
}

func (u *update) parseModify(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	list, err := r.Enter(ber.Sequence)
	if err != nil {
		return err
	}
	for n := 0; !list.Empty(); n++ {
		if n >= maxAttributes {
			return protocolError("too many modifications")
		}
		seq, err := list.Enter(ber.Sequence)
		if err != nil {
			return err
		}
		op, err := seq.Int(ber.Enumerated)
		if err != nil {
			return err
		}
		if op < 0 || op > int64(directory.ModIncrement) {
			return protocolError("unrecognized modify operation")
		}
		a, err := readAttribute(&seq)
		if err != nil {
			return err
		}
		u.mods = append(u.mods, directory.Modification{Op: directory.ModOp(op), Attribute: a})
	}
	return u.name(name)
}

func (u *update) parseModifyDN(body []byte) error {
	r := ber.NewReader(body)
	name, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	rdn, err := r.Expect(ber.OctetString)
	if err != nil {
		return err
	}
	if u.move.DeleteOldRDN, err = r.Bool(ber.Boolean); err != nil {
		return err
	}
	superior, moved, err := r.Optional(ber.Context)
	if err != nil {
		return err
	}
	if err := u.name(name); err != nil {
		return err
	}
	u.move.DN = u.dn
	parsed, err := directory.ParseDN(string(rdn))
	if err != nil || len(parsed) != 1 {
		return &directory.Error{Code: directory.InvalidDNSyntax, Message: "invalid new RDN"}
	}
	u.move.NewRDN = parsed[0]
	if moved {
		above, err := directory.ParseDN(string(superior))
		if err != nil {
			return badDN(err)
		}
		u.move.NewSuperior = append(directory.DN{}, above...)
	}
	u.after, err = u.conn.server.schema.Key(u.movedTo())
	return err
}
