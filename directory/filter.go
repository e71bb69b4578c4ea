package directory

// FilterKind is the kind of a filter node. The numbers are the tags of
// RFC 4511 §4.5.1.
type FilterKind uint8

// The kinds. FilterNone stands for a choice this server does not know: it is
// always Undefined.
const (
	FilterAnd            FilterKind = 0
	FilterOr             FilterKind = 1
	FilterNot            FilterKind = 2
	FilterEquality       FilterKind = 3
	FilterSubstrings     FilterKind = 4
	FilterGreaterOrEqual FilterKind = 5
	FilterLessOrEqual    FilterKind = 6
	FilterPresent        FilterKind = 7
	FilterApprox         FilterKind = 8
	FilterExtensible     FilterKind = 9
	FilterNone           FilterKind = 255
)

// Limits of a filter; slapd allows a depth of 1000 and no bound on nodes,
// others 12 to 64.
const (
	MaxFilterDepth = 100
	MaxFilterNodes = 10_000
)

// Filter is a search filter as it was sent (RFC 4511 §4.5.1.7). And and Or
// without children are absolutely true and false (RFC 4526).
type Filter struct {
	Kind     FilterKind
	Attr     string // description; may be "" in an extensible match
	Value    []byte // of equality, ordering, approximate and extensible matches
	Initial  []byte // nil when absent
	Any      [][]byte
	Final    []byte // nil when absent
	Rule     string // of an extensible match, name or OID; "" when absent
	DNAttrs  bool   // of an extensible match
	Children []*Filter
}

// Truth is the value of a filter (RFC 4511 §4.5.1.7).
type Truth int8

// The three values. They are ordered so that AND is the minimum and OR the
// maximum.
const (
	False     Truth = -1
	Undefined Truth = 0
	True      Truth = 1
)

// Not returns the negation; of Undefined, Undefined.
func (t Truth) Not() Truth { return -t }

// String returns TRUE, FALSE or Undefined.
func (t Truth) String() string {
	switch t {
	case True:
		return "TRUE"
	case False:
		return "FALSE"
	}
	return "Undefined"
}

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}
