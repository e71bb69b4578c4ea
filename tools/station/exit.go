package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"cardinal/issuance/api"
	"cardinal/issuance/card"
)

// failure is an error that knows its exit code and what was being done.
type failure struct {
	code int
	what string
	err  error
}

func (f *failure) Error() string { return f.what + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func wrong(what string, err error) error   { return &failure{1, what, err} }
func usage(what string, err error) error   { return &failure{2, what, err} }
func refused(what string, err error) error { return &failure{3, what, err} }

// failing gives an error the exit code of its kind; one that has a code keeps it.
func failing(what string, err error) error {
	var known *failure
	var problem *api.Problem
	var unreachable *api.Unreachable
	var pin *card.PINError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &problem), errors.As(err, &unreachable):
		return &failure{int(api.ClassOf(unwrapped(problem, unreachable))), what, err}
	case errors.As(err, &pin), errors.Is(err, card.ErrNotManaged):
		return refused(what, err)
	case errors.Is(err, context.Canceled):
		return wrong(what, errors.New("interrupted"))
	}
	return wrong(what, err)
}

func unwrapped(problem *api.Problem, unreachable *api.Unreachable) error {
	if problem != nil {
		return problem
	}
	return unreachable
}

// exit writes one line and gives the code the process ends with.
func exit(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "station: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return 1
}
