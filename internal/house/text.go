package house

import "bytes"

// A word is text no tracked file holds, with the reason.
type word struct {
	text string // lower case
	why  string
}

// words are written in pieces, since this file is tracked too.
func words() []word {
	machine, planning := "a path of one machine", "the project speaks for itself: cite the standard"
	return []word{
		{"/wo" + "rk/", machine},
		{"/ro" + "ot/", machine},
		{"/ho" + "me/", machine},
		{"../sha" + "red", planning},
		{"house" + ".md", planning},
		{"domain" + ".md", planning},
		{"contract" + ".md", planning},
		{"proxy.golang" + ".org", "a registry is the reader's choice"},
	}
}

func (h *house) text(p plan, report func(Finding)) {
	for _, f := range h.texts {
		for i, line := range bytes.Split(f.data, []byte("\n")) {
			for _, w := range p.said(line) {
				report(Finding{Rule: "word", File: f.name, Line: i + 1, Name: w.text, Text: "holds " + w.text + ": " + w.why})
			}
		}
	}
}

func (p plan) said(line []byte) (said []word) {
	low := bytes.ToLower(line)
	for _, w := range p.words {
		if bytes.Contains(low, []byte(w.text)) {
			said = append(said, w)
		}
	}
	return said
}
