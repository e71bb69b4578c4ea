package api

import "time"

// Document is one piece of identity evidence that was seen and checked.
// Kind is one of the kinds the policy in force knows, for example passport,
// driving-licence, bank-statement. Number stays in the tables of record: it is
// never in the journal and an answer shows it only masked.
type Document struct {
	Kind    string `json:"kind"`
	Number  string `json:"number,omitempty"`
	Photo   bool   `json:"photo,omitempty"`   // it shows the holder's face
	Address bool   `json:"address,omitempty"` // it proves where the holder lives
	Expires string `json:"expires,omitempty"` // YYYY-MM-DD, absent when it has no end
}

// Evidence is what the identity of a person rests on: at least three
// documents, one with a photo, one proving the address, one with its number.
// It is also the form of the file given to `person add --evidence`.
type Evidence struct {
	Documents []Document `json:"documents"`
}

// NewPerson registers somebody. Photo is JPEG or PNG, at most 512 KiB.
type NewPerson struct {
	Title    string   `json:"title,omitempty"`
	Given    string   `json:"given"`
	Middle   string   `json:"middle,omitempty"`
	Family   string   `json:"family"`
	Birth    string   `json:"birth"` // YYYY-MM-DD
	Mail     string   `json:"mail,omitempty"`
	Phone    string   `json:"phone,omitempty"` // stays in the tables of record
	UPN      string   `json:"upn,omitempty"`   // Microsoft user principal name, goes into the authentication certificate
	Evidence Evidence `json:"evidence"`
	Photo    []byte   `json:"photo,omitempty"`
	// DistinctFrom names persons of the same name and birth who were looked at
	// and found to be somebody else. Without it a namesake is refused.
	DistinctFrom []string `json:"distinct_from,omitempty"`
}

// PersonChange changes what is given and leaves the rest. A change of name
// needs Evidence; it takes the approval from an open case, and a card that bears
// the old name is replaced, not renewed. A person known only from the directory (imported) is taken
// on record by giving Birth, Evidence and Photo. Status closed ends every
// position, case and card.
type PersonChange struct {
	Title    *string   `json:"title,omitempty"`
	Given    *string   `json:"given,omitempty"`
	Middle   *string   `json:"middle,omitempty"`
	Family   *string   `json:"family,omitempty"`
	Birth    *string   `json:"birth,omitempty"`
	Mail     *string   `json:"mail,omitempty"`
	Phone    *string   `json:"phone,omitempty"`
	UPN      *string   `json:"upn,omitempty"`
	Status   *string   `json:"status,omitempty"` // active or closed
	Evidence *Evidence `json:"evidence,omitempty"`
	Photo    []byte    `json:"photo,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	// DistinctFrom is as in NewPerson, for a change of name or birth.
	DistinctFrom []string `json:"distinct_from,omitempty"`
}

// Person is somebody on record. OnRecord is false for an entry that is only in
// the directory: no evidence, so no card.
type Person struct {
	UUID       string     `json:"uuid"` // 12 decimal digits
	Title      string     `json:"title,omitempty"`
	Given      string     `json:"given"`
	Middle     string     `json:"middle,omitempty"`
	Family     string     `json:"family"`
	Birth      string     `json:"birth,omitempty"`
	Mail       string     `json:"mail,omitempty"`
	Phone      string     `json:"phone,omitempty"`
	UPN        string     `json:"upn,omitempty"`
	Status     string     `json:"status"` // active or closed
	OnRecord   bool       `json:"on_record"`
	Photo      string     `json:"photo,omitempty"` // SHA-256 of the photo, hex
	Documents  []Document `json:"documents,omitempty"`
	Registered *Decision  `json:"registered,omitempty"`
}

// PersonPage is one page of persons; Next is the After of the following page,
// empty at the end.
type PersonPage struct {
	Persons []Person `json:"persons"`
	Next    string   `json:"next,omitempty"`
}

// PersonFilter narrows a listing. The zero value lists everybody.
type PersonFilter struct {
	Family string // whole family name, compared without case and accents
	After  string
	Limit  int // 1 to 200; 0 = 100
}

// PersonWritten answers AddPerson and UpdatePerson.
type PersonWritten struct {
	UUID string `json:"uuid"`
	Written
}

// Written says where a write stands in the journal. Visible is true when the
// replica beside the server had reached Position before the answer was sent:
// a status or directory query there already sees the change.
type Written struct {
	Position uint64 `json:"position"`
	Visible  bool   `json:"visible"`
}

// Decision says who did something, acting as what, when, and under which rules.
type Decision struct {
	By       string    `json:"by"`   // UUID, or the name of a bootstrap operator
	Role     string    `json:"role"` // the role that allowed it
	At       time.Time `json:"at"`
	Policies string    `json:"policies"` // SHA-256 of the policy set in force, hex
	Reason   string    `json:"reason,omitempty"`
}

// NewPosition gives a person a role in an organisation.
type NewPosition struct {
	Organisation     string   `json:"organisation"` // ODS code
	OrganisationName string   `json:"organisation_name"`
	JobRoleCode      string   `json:"job_role_code"` // S8000:G8000:R8000, or the last part alone
	JobRole          string   `json:"job_role"`
	Activities       []string `json:"activities,omitempty"`    // B codes
	AreasOfWork      []string `json:"areas_of_work,omitempty"` // codes
	Workgroups       []string `json:"workgroups,omitempty"`    // 12-digit ids
	Opens            string   `json:"opens,omitempty"`         // YYYY-MM-DD, Europe/London; absent = today
	Closes           string   `json:"closes,omitempty"`        // YYYY-MM-DD, first day without the role; absent = open end
}

// Position is one role profile of a person as the directory of record has it.
type Position struct {
	ID               string   `json:"id"`         // 12 digits, uniqueIdentifier of the role profile
	OrgPerson        string   `json:"org_person"` // 12 digits, uniqueIdentifier of the entry above it
	Person           string   `json:"person"`
	Organisation     string   `json:"organisation"`
	OrganisationName string   `json:"organisation_name,omitempty"`
	JobRoleCode      string   `json:"job_role_code,omitempty"`
	JobRole          string   `json:"job_role,omitempty"`
	Activities       []string `json:"activities,omitempty"`
	AreasOfWork      []string `json:"areas_of_work,omitempty"`
	Workgroups       []string `json:"workgroups,omitempty"`
	Opens            string   `json:"opens,omitempty"`
	Closes           string   `json:"closes,omitempty"`
	Active           bool     `json:"active"`
	Roles            []string `json:"roles,omitempty"` // what it allows at the issuance desk
}

// PositionList answers Positions.
type PositionList struct {
	Positions []Position `json:"positions"`
}

// PositionWritten answers AddPosition and ClosePosition.
type PositionWritten struct {
	ID string `json:"id"`
	Written
}

// ClosePosition ends a role profile. Closes absent = today.
type ClosePosition struct {
	Closes string `json:"closes,omitempty"`
	Reason string `json:"reason,omitempty"`
}
