package ldap

import (
	"errors"
	"time"

	"cardinal/directory"
	"cardinal/directory/tree"
)

// ListsDN is the top of the revocation lists in the directory (RFC 4523): below
// it stands an entry for each CA, and below that one for each of its lists. It
// is in no naming context: whoever copies a suffix, or reads all of it, does
// not meet megabytes that change every hour. Access rules decide who reads it.
const ListsDN = "cn=Revocation Lists"

// ErrNoList is what DistributionValue.Read gives while there should be a list
// that has not arrived.
var ErrNoList = errors.New("this list is not here yet")

// MaxList is the longest list a search returns, in octets: a third of a million
// entries. LDAP carries it in one message, so it stands in memory twice.
const MaxList = 16 << 20

// listsAtOnce is how many lists are in memory at a time, over all connections:
// clients that take them slowly hold them for up to Limits.Write.
const listsAtOnce = 8

// Lists are the newest revocation lists there are here. Its methods are called
// from any number of goroutines.
type Lists interface {
	// Authorities are the CAs, in an order that stays.
	Authorities() []ListAuthority
	// Points are the distribution points of the CA of a name.
	Points(authority string) ([]DistributionPoint, error)
}

// ListAuthority is a CA that has lists.
type ListAuthority struct {
	Name         string
	Certificates [][]byte // DER
}

// DistributionPoint is a cRLDistributionPoint entry.
type DistributionPoint struct {
	Name   string
	Made   time.Time // when the newest of its lists was; zero: none is here
	Values []DistributionValue
}

// DistributionValue is a list as a value of its entry.
type DistributionValue struct {
	Attribute string // as it is transferred: certificateRevocationList;binary
	Size      int64  // octets
	Read      func() ([]byte, error)
}

// listEntry is an entry below ListsDN without the lists themselves.
type listEntry struct {
	*directory.Entry
	view  directory.EntryView
	point *DistributionPoint // nil: it is none
}

func (s *Server) listEntry(above directory.DN, name string, classes ...string) listEntry {
	e := &directory.Entry{DN: above.Child(directory.RDN{{Type: "cn", Value: []byte(name)}})}
	e.PutString("objectClass", append([]string{"top"}, classes...)...)
	e.PutString("cn", name)
	e.PutString("structuralObjectClass", classes[0])
	e.PutString("entryDN", e.DN.String())
	e.PutString("subschemaSubentry", tree.SubschemaDN)
	return listEntry{Entry: e}
}

// listEntries gives every entry a search from base on can be about, parents
// first.
func (s *Server) listEntries(base directory.Key, visit func(e listEntry) error) error {
	give := func(e listEntry) (err error) {
		if e.view, err = s.schema.View(e.Entry); err != nil {
			return err
		}
		return visit(e)
	}
	authorities := s.config.Lists.Authorities()
	top := s.listEntry(nil, "Revocation Lists", "applicationProcess")
	top.PutString("hasSubordinates", boolean(len(authorities) > 0))
	if err := give(top); err != nil {
		return err
	}
	for i := range authorities {
		e := s.listEntry(top.DN, authorities[i].Name, "applicationProcess", "pkiCA")
		e.Put("cACertificate;binary", authorities[i].Certificates...)
		key, err := s.schema.Key(e.DN)
		if err != nil {
			return err
		}
		if !key.Contains(base) && !base.Contains(key) {
			continue
		}
		points, err := s.config.Lists.Points(authorities[i].Name)
		if err != nil {
			return err
		}
		e.PutString("hasSubordinates", boolean(len(points) > 0))
		if err := give(e); err != nil {
			return err
		}
		for j := range points {
			if err := give(s.pointEntry(e.DN, &points[j])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) pointEntry(above directory.DN, p *DistributionPoint) listEntry {
	e := s.listEntry(above, p.Name, "cRLDistributionPoint")
	e.point = p
	if !p.Made.IsZero() {
		e.PutString("modifyTimestamp", generalized(p.Made))
	}
	e.PutString("hasSubordinates", boolean(false))
	return e
}

func boolean(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// speaksOf reports whether a filter may say something of an attribute.
func speaksOf(schema *directory.Schema, f *directory.Filter, attribute directory.Description) bool {
	for _, c := range f.Children {
		if speaksOf(schema, c, attribute) {
			return true
		}
	}
	if len(f.Children) > 0 {
		return false
	}
	d, ok := schema.Describe(f.Attr)
	return f.Attr == "" || ok && d.Covers(attribute)
}
