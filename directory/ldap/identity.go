package ldap

import (
	"slices"
	"time"

	"cardinal/directory"
)

// Identity is who asks. The zero value is anonymous. Its Root is set only for
// what lies in the suffix whose root identity it is.
type Identity struct {
	directory.Identity
	UUID directory.UUID // of the entry; zero without one
	// Certificate is the DER of the client certificate the identity rests on,
	// nil for other methods.
	Certificate []byte
	// By is the identity that acts as this one (RFC 4370), nil if none does.
	By *Identity
	// State: the modifications are, or hold besides the client's own, state of
	// passwords that the server keeps, which no client may write.
	State      bool
	terms      *terms     // under which it was looked at
	asOf       uint64     // tree.Memberships when the groups were looked up
	allowed    *allowance // what its searches may cost
	mustChange bool       // nothing is allowed but a new password
	ends       time.Time  // notAfter of Certificate
	rootOf     directory.Key
}

// at is the identity as it stands towards one entry.
func (i Identity) at(key directory.Key) Identity {
	i.Root = i.rootOf != "" && i.rootOf.Contains(key)
	return i
}

// suffix is a Suffix with its names resolved.
type suffix struct {
	Suffix
	key     directory.Key
	rootKey directory.Key
	text    string
}

func (s *Server) resolveSuffixes(in []Suffix) ([]suffix, error) {
	out := make([]suffix, 0, len(in))
	for _, x := range in {
		y := suffix{Suffix: x, text: x.DN.String()}
		var err error
		if y.key, err = s.schema.Key(x.DN); err != nil {
			return nil, err
		}
		if len(x.RootDN) > 0 {
			if y.rootKey, err = s.schema.Key(x.RootDN); err != nil {
				return nil, err
			}
		}
		out = append(out, y)
	}
	return out, nil
}

// isSuffix reports whether a name is that of a suffix.
func (s *Server) isSuffix(key directory.Key) bool {
	return slices.ContainsFunc(s.suffixes, func(x suffix) bool { return x.key == key })
}

// answersFor reports whether a name lies in one of the suffixes.
func (s *Server) answersFor(key directory.Key) bool {
	return slices.ContainsFunc(s.suffixes, func(x suffix) bool { return x.key.Contains(key) })
}

// label is how an identity is called in the log.
func (i *Identity) label() string {
	switch {
	case len(i.DN) > 0:
		return i.DN.String()
	case i.Name != "":
		return i.Name
	}
	return "anonymous"
}
