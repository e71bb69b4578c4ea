package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// say tells the operator what happens, on standard error.
func (s *station) say(text string) { fmt.Fprintln(s.err, text) }

// print writes a document as JSON, or its rows as a table.
func (s *station) print(document any, rows [][2]string) error {
	if s.json {
		return json.NewEncoder(s.out).Encode(document)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}
