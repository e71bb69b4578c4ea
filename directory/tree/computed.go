package tree

import (
	"strconv"

	"cardinal/directory"
)

// computed names the operational attributes that stand in no record because
// they follow from where an entry is and which change made it what it is.
type computed uint8

const (
	computedNot             computed = iota
	computedEntryDN                  // RFC 5020
	computedHasSubordinates          // X.501 §13.4; draft-boreham-numsubordinates
	computedNumSubordinates
	computedSubschema // RFC 4512 §4.2
	computedUUID      // RFC 4530
	computedCSN       // draft-zeilenga-ldap-csn
)

// SubschemaDN is where the schema is published.
const SubschemaDN = "cn=Subschema"

func computedOf(d directory.Description) computed {
	if d.Type == nil || len(d.Options) > 0 || !d.Type.Operational() {
		return computedNot
	}
	switch d.Type.Name() {
	case "entryDN":
		return computedEntryDN
	case "hasSubordinates":
		return computedHasSubordinates
	case "numSubordinates":
		return computedNumSubordinates
	case "subschemaSubentry":
		return computedSubschema
	case "entryUUID":
		return computedUUID
	case "entryCSN":
		return computedCSN
	}
	return computedNot
}

// IsComputed reports whether a description is of an attribute that stands in
// no entry but follows from where it is.
func IsComputed(d directory.Description) bool { return computedOf(d) != computedNot }

// ComputedNames are the attributes Computed knows, in the order they are shown.
func ComputedNames() []string {
	return []string{"entryUUID", "entryCSN", "entryDN", "subschemaSubentry", "hasSubordinates", "numSubordinates"}
}

// Computed returns the value of an operational attribute that follows from
// where the entry is; nil if the type is none of them.
func (e *Entry) Computed(d directory.Description) []byte {
	switch computedOf(d) {
	case computedEntryDN:
		text, err := e.appendDN(nil)
		if err != nil {
			return nil
		}
		return text
	case computedHasSubordinates:
		if e.Children() > 0 {
			return []byte("TRUE")
		}
		return []byte("FALSE")
	case computedNumSubordinates:
		return strconv.AppendUint(nil, e.Children(), 10)
	case computedSubschema:
		return []byte(SubschemaDN)
	case computedUUID:
		return directory.FormatUUID(e.UUID())
	case computedCSN:
		return e.CSN()
	}
	return nil
}

func (q *query) matchComputed(n *node, e *Entry) directory.Truth {
	if q.allow != nil && !q.allow.Search(e, n.Attr) {
		return directory.Undefined
	}
	if n.Kind == directory.FilterPresent {
		return directory.True
	}
	return n.MatchValue(e.Computed(n.Attr))
}
