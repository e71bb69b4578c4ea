package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"cardinal/directory"
	"cardinal/internal/ledger"
	"cardinal/issuance/api"
	"cardinal/issuance/card"
	"cardinal/policies"
)

// The exit codes, which scripts rely on.
const (
	exitDone        = 0
	exitWrong       = 1 // checked and found wrong, or an error of no other kind
	exitUsage       = 2 // usage or configuration
	exitRefused     = 3 // refused by a rule
	exitUnreachable = 4
)

var (
	errWantsCommand = errors.New("says which command to run: see --help")
	errInterrupted  = errors.New("interrupted")
)

// A failure is an error that knows its exit code and what was being done.
type failure struct {
	code int
	what string
	err  error
}

func (f *failure) Error() string { return f.what + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func wrong(what string, err error) error       { return &failure{exitWrong, what, err} }
func usage(what string, err error) error       { return &failure{exitUsage, what, err} }
func refused(what string, err error) error     { return &failure{exitRefused, what, err} }
func unreachable(what string, err error) error { return &failure{exitUnreachable, what, err} }

// failing gives err the exit code its kind has: unreachable for what the
// network says, refused for what a rule says, wrong for the rest. An error
// that knows its code keeps it.
func failing(what string, err error) error {
	var known *failure
	var problem *api.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return wrong(what, errInterrupted)
	case errors.As(err, &problem):
		return &failure{int(api.ClassOf(err)), what, err}
	case isRefusal(err):
		return refused(what, err)
	case isUnreachable(err):
		return unreachable(what, err)
	}
	return wrong(what, err)
}

// isRefusal knows the rules' own errors, for commands that open the folder, and
// a card that refuses a wrong PIN.
func isRefusal(err error) bool {
	var byPolicy *policies.Refusal
	var byDirectory *directory.Error
	var byCard *card.PINError
	return errors.As(err, &byPolicy) || errors.As(err, &byDirectory) || errors.As(err, &byCard) || errors.Is(err, ledger.ErrQuarantine)
}

func isUnreachable(err error) bool {
	var unanswered *api.Unreachable
	var asked *url.Error
	var dialled *net.OpError
	return errors.As(err, &unanswered) || errors.As(err, &asked) || errors.As(err, &dialled)
}

// exit writes the one line and gives the code the process ends with.
func exit(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
	fmt.Fprintf(stderr, "cardinal: %s\n", text)
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitWrong
}
