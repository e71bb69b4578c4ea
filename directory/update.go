package directory

// UpdateKind is which of the four updates an Update is (RFC 4511 §4.6 to §4.9).
type UpdateKind uint8

// The kinds.
const (
	UpdateAdd UpdateKind = iota
	UpdateDelete
	UpdateModify
	UpdateMove
)

// Update is one update of one entry, as it was asked for.
type Update struct {
	Kind  UpdateKind
	DN    DN             // of all but UpdateAdd
	Entry *Entry         // of UpdateAdd
	Mods  []Modification // of UpdateModify
	Move  Move           // of UpdateMove
	// Subtree deletes everything below along with the entry.
	Subtree bool
	// Permissive passes over values to add that are there, and values to
	// delete that are not.
	Permissive bool
	// Relax lets attributes be written that users may not modify: the names and
	// times of creation and modification, and entryUUID of a new entry. Others
	// a new entry brings along follow from the entry and are passed over.
	Relax bool
	// Before and After are called inside the transaction, before and after the
	// update is made; nil: not. An error of theirs refuses the update. They may
	// be called again when the transaction is run again, so they must have no
	// effect but on what they return, the last call deciding.
	Before, After func(in Lookup) error
}

// Lookup shows the entries as a transaction finds them, its own updates made.
type Lookup interface {
	// Entry returns an entry with the operational attributes that are stored
	// or follow from where it is (entryUUID, entryDN, hasSubordinates), without
	// secrets. Its memory is the caller's. NoSuchObject if there is none.
	Entry(dn DN) (*Entry, error)
	// Below calls visit for the entries below a name, at most so many, until it
	// returns an error; more reports whether there are others.
	Below(dn DN, most int, visit func(*Entry) error) (more bool, err error)
}
