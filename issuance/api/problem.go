package api

import (
	"errors"
	"fmt"
	"net/http"
)

// Problem is an RFC 9457 problem document: the answer to a request that was
// understood well enough to be refused, and the error the Client returns then.
type Problem struct {
	Type     string `json:"type"` // urn:cardinal:rule:RULE
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"` // urn:cardinal:request:ID, the id also stands in the server's log
	Rule     string `json:"rule"`               // stable name, for programs: case.same-person
	Clause   string `json:"clause,omitempty"`   // where the rule comes from
	Field    string `json:"field,omitempty"`    // JSON path of the input at fault: evidence.documents[1].kind
}

// Error is one line naming the rule and what it found.
func (p *Problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	if p.Rule == "" {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, p.Rule)
}

// Unreachable means no answer was had: nothing listens, TLS ended before a
// request could be asked, or time ran out. Whether a write took place is then
// not known; asking again with the same request id is safe.
type Unreachable struct {
	URL string
	Err error
}

// Error says what could not be reached and why.
func (u *Unreachable) Error() string { return fmt.Sprintf("reaching %s: %v", u.URL, u.Err) }

// Unwrap gives the transport's error.
func (u *Unreachable) Unwrap() error { return u.Err }

// Class is the kind of failure, with the exit codes a command gives for it.
type Class int

// The classes. Their numbers are the commands' exit codes.
const (
	ClassDone        Class = 0
	ClassUsage       Class = 2 // the request itself was wrong: syntax, an unknown name, a size
	ClassRefused     Class = 3 // understood, and refused by a rule
	ClassUnreachable Class = 4 // not asked, or the service cannot answer now
)

// ClassOf sorts an error returned by a Client.
func ClassOf(err error) Class {
	var p *Problem
	var u *Unreachable
	switch {
	case err == nil:
		return ClassDone
	case errors.As(err, &u):
		return ClassUnreachable
	case !errors.As(err, &p):
		return ClassUsage
	case p.Status >= 500:
		return ClassUnreachable
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity:
		return ClassRefused
	}
	return ClassUsage
}
