package main

import (
	"errors"
	"io"
	"slices"

	"cardinal/ca"
	"cardinal/certs"
	"cardinal/directory/ldap"
	"cardinal/ocsp"
)

// The lists that may stand in the directory.
const (
	listShards  = "shards"
	listFull    = "full"
	listDelta   = "delta"
	listArchive = "archive"
)

// directoryLists shows the directory the lists that are downloaded over HTTP,
// the same octets from the same table.
type directoryLists struct {
	table *ocsp.Table
	which []string
}

// lists gives what the directory shows of revocation lists; nil for nothing.
func (n *node) lists() ldap.Lists {
	which := n.config.Lists.Directory
	if which == nil {
		which = []string{listShards} // which certificates name; others may be long
	}
	if len(which) == 0 {
		return nil
	}
	return directoryLists{n.read.table, which}
}

// Authorities implements ldap.Lists.
func (d directoryLists) Authorities() (out []ldap.ListAuthority) {
	for _, i := range d.table.Issuers() {
		out = append(out, ldap.ListAuthority{Name: i.Name, Certificates: append([][]byte{i.DER}, i.Cross...)})
	}
	return out
}

// Points implements ldap.Lists.
func (d directoryLists) Points(authority string) (out []ldap.DistributionPoint, err error) {
	issuer := d.table.Issuer(authority)
	if issuer == nil {
		return nil, nil
	}
	var names []certs.ListName
	if slices.Contains(d.which, listShards) {
		for shard := range issuer.Shards {
			names = append(names, certs.ShardList(shard))
		}
	}
	for _, kind := range []certs.ListKind{certs.ListFull, certs.ListArchive} {
		if slices.Contains(d.which, map[certs.ListKind]string{certs.ListFull: listFull, certs.ListArchive: listArchive}[kind]) {
			names = append(names, certs.ListName{Kind: kind})
		}
	}
	for _, name := range names {
		p, err := d.point(issuer, name)
		if err != nil {
			return nil, err
		}
		if len(p.Values) > 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// point is the entry of a complete list, with its delta.
func (d directoryLists) point(of *ocsp.Issuer, name certs.ListName) (p ldap.DistributionPoint, err error) {
	p.Name = name.String()
	attributes := []string{"certificateRevocationList;binary"}
	if certs.IssuerKind(of.Name) == ca.Root { // it is about authorities alone
		attributes = append(attributes, "authorityRevocationList;binary")
	}
	if err := d.add(&p, of, name, attributes...); err != nil || name.Kind == certs.ListArchive || !slices.Contains(d.which, listDelta) {
		return p, err
	}
	name.Delta = true
	return p, d.add(&p, of, name, "deltaRevocationList;binary")
}

func (d directoryLists) add(p *ldap.DistributionPoint, of *ocsp.Issuer, name certs.ListName, attributes ...string) error {
	list, err := d.table.List(of.Name, name)
	missing := errors.Is(err, ocsp.ErrNoList)
	if err != nil && !missing {
		return err
	}
	if missing && name != certs.ShardList(name.Shard) {
		return nil // it is not made; a shard's always is, and was not fetched yet
	}
	for _, attribute := range attributes {
		v := ldap.DistributionValue{Attribute: attribute, Read: func() ([]byte, error) { return nil, ldap.ErrNoList }}
		if !missing {
			v.Size, v.Read = list.Size, func() ([]byte, error) { return octetsOf(list) }
			if list.ThisUpdate.After(p.Made) {
				p.Made = list.ThisUpdate
			}
		}
		p.Values = append(p.Values, v)
	}
	return nil
}

func octetsOf(list *ocsp.List) ([]byte, error) {
	der := make([]byte, list.Size)
	_, err := io.ReadFull(list.Open(false), der)
	return der, err
}
