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
		if says(low, w.text) {
			said = append(said, w)
		}
	}
	return said
}

// says finds a word; a path must begin there and not go on from a name, as
// crl/NAME/1.crl does.
func says(line []byte, word string) bool {
	for {
		at := bytes.Index(line, []byte(word))
		if at < 0 {
			return false
		}
		if at == 0 || word[0] != '/' || !isName(line[at-1]) {
			return true
		}
		line = line[at+len(word):]
	}
}

func isName(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '}' || c == '.' }
