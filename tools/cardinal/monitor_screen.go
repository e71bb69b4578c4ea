package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/term"
)

// terminal is a screen that is drawn anew for each reading.
type terminal struct {
	out     *os.File
	in      *os.File // nil if standard input is no terminal: then only a signal ends it
	before  *term.State
	resized chan os.Signal
}

// terminal is the screen of standard output; nil if that is none, or one
// reading or JSON is wanted.
func (w *watch) terminal() *terminal {
	out, ok := w.out.(*os.File)
	if !ok || w.once || w.json || !term.IsTerminal(int(out.Fd())) || w.env("TERM") == "dumb" {
		return nil
	}
	t := &terminal{out: out}
	if in, ok := w.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		t.in = in
	}
	return t
}

// What terminals understand (ECMA-48).
const (
	screenEnter = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
	screenLeave = "\x1b[?25h\x1b[?1049l"
	screenTop   = "\x1b[H"
	lineRest    = "\x1b[K" // clears to the end of the line
	screenRest  = "\x1b[J"
)

// open takes the screen; quit is called when somebody presses q or Ctrl-C.
func (t *terminal) open(quit context.CancelFunc) error {
	t.resized = make(chan os.Signal, 1)
	signal.Notify(t.resized, syscall.SIGWINCH)
	if t.in != nil {
		var err error
		if t.before, err = term.MakeRaw(int(t.in.Fd())); err != nil {
			return fmt.Errorf("taking the terminal: %w", err)
		}
		go readKeys(t.in, quit) // ends with the process: reading a terminal cannot be given up
	}
	_, err := io.WriteString(t.out, screenEnter)
	return err
}

func readKeys(in io.Reader, quit context.CancelFunc) {
	var b [16]byte
	for {
		n, err := in.Read(b[:])
		if err != nil || strings.ContainsAny(string(b[:n]), "qQ\x03\x04") {
			quit()
			return
		}
	}
}

// close gives the screen back as it was.
func (t *terminal) close() {
	signal.Stop(t.resized)
	_, _ = io.WriteString(t.out, screenLeave)
	if t.before != nil {
		_ = term.Restore(int(t.in.Fd()), t.before)
	}
}

// draw shows a view, cut to the size of the screen.
func (t *terminal) draw(name string, v *monitorView) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	all := lines(name, v)
	var b strings.Builder
	b.WriteString(screenTop)
	for i := range min(len(all), height-1) {
		b.WriteString(all[i].styled(width) + lineRest + "\r\n")
	}
	b.WriteString(textLine{styleQuiet, "q ends"}.styled(width) + lineRest + screenRest)
	_, _ = io.WriteString(t.out, b.String())
}

// styled is a line as a terminal of that width shows it.
func (l textLine) styled(width int) string {
	text := cut(l.text, width)
	switch l.style {
	case styleTitle:
		return "\x1b[1m" + text + "\x1b[0m"
	case styleHead:
		return "\x1b[7m" + text + strings.Repeat(" ", width-utf8.RuneCountInString(text)) + "\x1b[0m"
	case styleQuiet:
		return "\x1b[2m" + text + "\x1b[0m"
	case styleAlarm:
		return "\x1b[1;31m" + text + "\x1b[0m"
	}
	return text
}

// printable replaces control characters: what a node says is not trusted to be
// free of them.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// cut shortens a text to so many characters.
func cut(text string, width int) string {
	text = printable(text)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}
