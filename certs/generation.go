package certs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrIssuerName says that a name is not that of an authority.
var ErrIssuerName = errors.New("is no name of an authority: want its kind, or kind-N with N from 2")

// maxGeneration bounds the number in a name; a house makes a generation in some years.
const maxGeneration = 9999

// IssuerName is an authority's kind with the number of its generation. The
// first of a kind is called by the kind alone, the next kind-2: it has URLs of
// its own, since it has lists of its own.
type IssuerName struct {
	Kind       string // root, authentication, signing, services
	Generation int    // from 1
}

// ParseIssuerName reads a name as it stands in URLs; ErrIssuerName.
func ParseIssuerName(name string) (IssuerName, error) {
	kind, number, numbered := strings.Cut(name, "-")
	n := IssuerName{Kind: kind, Generation: 1}
	if numbered {
		n.Generation, _ = strconv.Atoi(number)
	}
	if n.String() != name || kind == "" || n.Generation > maxGeneration {
		return IssuerName{}, fmt.Errorf("%q %w", name, ErrIssuerName)
	}
	return n, nil
}

// String is the name as it stands in URLs.
func (n IssuerName) String() string {
	if n.Generation == 1 {
		return n.Kind
	}
	return n.Kind + "-" + strconv.Itoa(n.Generation)
}

// Next is the name of the generation after this one.
func (n IssuerName) Next() IssuerName { return IssuerName{n.Kind, n.Generation + 1} }

// IssuerKind is the kind of an authority by its name, the name itself when it
// is none.
func IssuerKind(name string) string {
	if n, err := ParseIssuerName(name); err == nil {
		return n.Kind
	}
	return name
}
