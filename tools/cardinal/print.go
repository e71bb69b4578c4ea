package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes data: as one line of JSON with --json, else as text does.
func (a *app) print(data any, text func(w io.Writer)) error {
	if a.json {
		return a.printJSON(data)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// printJSON writes one document on one line.
func (a *app) printJSON(data any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(data)
}

// say tells the person at the terminal what is going on.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}
